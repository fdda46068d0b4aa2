"""Names of offers as parts of file names and of metrics."""

import pytest

from winback.pipelines.tables.portable_names import portable_name


@pytest.mark.parametrize("name", ["mail", "gift.2-a_b", "winback.discount.auc"])
def test_a_portable_name_stays(name):
    assert portable_name(name) == name


def test_names_that_differ_in_replaced_characters_alone_stay_apart():
    names = [portable_name(name) for name in ("10%", "10$", "10 ", "10_")]
    assert len({*names}) == 4
    assert all(name.startswith("10_") for name in names)
