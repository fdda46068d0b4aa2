from datetime import UTC, datetime, timedelta, timezone

from winback.pipelines.settings.moments import from_seconds, naive_utc, now, seconds

NOON = datetime(2024, 2, 29, 12)
EAST = NOON.replace(tzinfo=timezone(timedelta(hours=3)))


def test_a_moment_without_a_time_zone_is_utc():
    assert naive_utc(NOON) == NOON
    assert naive_utc(EAST) == datetime(2024, 2, 29, 9)


def test_seconds_and_moments_are_inverse():
    noon = 1_709_208_000
    assert seconds(NOON) == seconds("2024-02-29 12:00") == seconds(NOON.replace(tzinfo=UTC)) == noon
    assert seconds(EAST) == noon - 3 * 3600
    assert from_seconds(noon) == NOON
    assert from_seconds(-1) == datetime(1969, 12, 31, 23, 59, 59)


def test_seconds_of_a_fraction_are_those_begun():
    assert seconds(NOON + timedelta(microseconds=999_999)) == seconds(NOON)


def test_now_is_utc():
    assert abs(now().replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(seconds=5)
