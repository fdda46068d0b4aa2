from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from winback.pipelines.settings.yaml_dataclasses import (
    MOMENT,
    NO_KEY,
    SettingsError,
    from_mapping,
    read_yaml,
)

WHERE = "params.yaml: train_churn"


@dataclass(frozen=True)
class Cost:
    on_acceptance: float = 0.0

    def __post_init__(self):
        if self.on_acceptance < 0:
            raise ValueError(f"on_acceptance must be at least 0, found {self.on_acceptance:g}")


@dataclass(frozen=True)
class Settings:
    learning_rate: float
    rounds: int
    windows: tuple[int, ...] = (30, 90)
    method: Literal["isotonic", "platt"] = "isotonic"
    exact: bool = True
    note: str | None = None
    out: Path = Path("artifacts")
    since: Annotated[datetime, MOMENT] | None = None
    costs: Mapping[str, Cost] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    folds: Annotated[int, Field(ge=2, le=9)] = 5
    secret: Annotated[int, NO_KEY] = 7


GOOD = {"learning_rate": 0.1, "rounds": 300}


def test_defaults_fill_what_is_left_out():
    assert from_mapping(Settings, GOOD, WHERE) == Settings(0.1, 300)


def test_every_type_is_read():
    settings = from_mapping(
        Settings,
        {
            "learning_rate": 1,
            "rounds": 5,
            "windows": [7, 14],
            "method": "platt",
            "exact": False,
            "note": "x",
            "out": "elsewhere",
            "since": datetime.fromisoformat("2020-01-01T02:00:00+02:00"),
            "costs": {"discount": {"on_acceptance": 120}},
            "cost": {"on_acceptance": 1.5},
        },
        WHERE,
    )
    assert settings == Settings(
        learning_rate=1.0,
        rounds=5,
        windows=(7, 14),
        method="platt",
        exact=False,
        note="x",
        out=Path("elsewhere"),
        since=datetime(2020, 1, 1),
        costs={"discount": Cost(120.0)},
        cost=Cost(1.5),
    )
    assert isinstance(settings.learning_rate, float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"lerning_rate": 0.1},
            r"train_churn: unknown key 'lerning_rate'; did you mean 'learning_rate'\? allowed: "
            r"learning_rate, rounds, windows, method, exact, note, out, since, costs, cost, "
            r"share, folds$",
        ),
        ({"zzz": 1}, r"train_churn: unknown key 'zzz'; allowed: learning_rate, rounds"),
        ({"secret": 1}, r"train_churn: unknown key 'secret'"),
        ({"rounds": 2.5}, r"train_churn\.rounds: must be a whole number, found a number: 2\.5"),
        ({"rounds": True}, r"rounds: must be a whole number, found true or false: True"),
        ({"rounds": "3"}, r"rounds: must be a whole number, found text: '3'"),
        ({"rounds": None}, r"rounds: must be a whole number, found nothing"),
        ({"learning_rate": float("nan")}, r"learning_rate: must be a number, found a number: nan"),
        ({"exact": 1}, r"exact: must be true or false, found a whole number: 1"),
        ({"windows": 30}, r"windows: must be a list, found a whole number: 30"),
        ({"windows": [30, "x"]}, r"windows\[1\]: must be a whole number, found text: 'x'"),
        ({"method": "isotone"}, r"method: must be one of isotonic, platt, found text: 'isotone'"),
        ({"since": "tomorrow"}, r"since: must be a date or timestamp, found text: 'tomorrow'"),
        ({"note": 3}, r"note: must be text, found a whole number: 3"),
        ({"cost": 3}, r"train_churn\.cost: must be a mapping, found a whole number: 3"),
        ({"costs": []}, r"costs: must be a mapping, found a list"),
        (
            {"costs": {"discount": {"on_acceptanse": 1}}},
            r"costs\.discount: unknown key 'on_acceptanse'; did you mean 'on_acceptance'\?",
        ),
        (
            {"costs": {"discount": {"on_acceptance": -1}}},
            r"costs\.discount: on_acceptance must be at least 0, found -1$",
        ),
        ({"share": 0}, r"train_churn\.share: must be above 0, found a whole number: 0"),
        ({"share": 1.0}, r"share: must be below 1, found a number: 1\.0"),
        ({"folds": 1}, r"folds: must be at least 2, found a whole number: 1"),
        ({"folds": 10}, r"folds: must be at most 9, found a whole number: 10"),
    ],
)
def test_a_mistake_is_named_with_its_place(change, message):
    with pytest.raises(SettingsError, match=message):
        from_mapping(Settings, {**GOOD, **change}, WHERE)


def test_a_date_is_its_first_moment():
    settings = from_mapping(Settings, {**GOOD, "since": date(2020, 1, 1)}, WHERE)
    assert settings.since == datetime(2020, 1, 1)


def test_a_missing_key_says_what_it_must_be():
    message = "train_churn: key 'rounds' is missing; it must be a whole number"
    with pytest.raises(SettingsError, match=message):
        from_mapping(Settings, {"learning_rate": 1.0}, WHERE)


def test_all_mistakes_are_listed_at_once():
    with pytest.raises(SettingsError) as caught:
        from_mapping(Settings, {"rounds": "x", "windows": ["y"], "zzz": 1}, WHERE)
    assert len(caught.value.problems) == 4


def test_a_section_that_is_no_mapping_is_refused():
    with pytest.raises(SettingsError, match="train_churn: must be a mapping, found nothing"):
        from_mapping(Settings, None, WHERE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2", r"x\.yaml: not valid YAML: .*line 1"),
        ("a: 1\na: 2\n", r"x\.yaml: not valid YAML: .*duplicate key"),
        ("- 1\n", r"x\.yaml: must hold keys and values, found a list"),
        ("", r"x\.yaml: must hold keys and values, found nothing"),
    ],
)
def test_bad_yaml_is_refused(tmp_path, text, message):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_yaml(tmp_path / "x.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"absent\.yaml: no such file; check the path"):
        read_yaml(tmp_path / "absent.yaml")


def test_words_of_yaml_1_1_stay_text(tmp_path):
    (tmp_path / "x.yaml").write_text("country: NO\nanswer: yes\n")
    assert read_yaml(tmp_path / "x.yaml") == {"country": "NO", "answer": "yes"}


def test_the_place_may_be_a_whole_file():
    message = r"x\.yaml: cost\.on_acceptance: must be a number.*\nx\.yaml: unknown key 'zzz'"
    with pytest.raises(SettingsError, match=message):
        from_mapping(Settings, {**GOOD, "zzz": 1, "cost": {"on_acceptance": "1"}}, "x.yaml:")
