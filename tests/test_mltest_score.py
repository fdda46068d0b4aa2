"""The ML Test Score: every row of the rubric is there, and the tests that it names are."""

import ast
import functools

import bar
import pytest


@functools.cache
def names_in(file):
    """Names of the tests of a file."""
    tree = ast.parse((bar.ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_rubric_has_four_sections_of_seven_rows():
    assert {section: len(rows) for section, rows in bar.rows_of_score().items()} == dict.fromkeys(
        ("data", "model", "infrastructure", "monitoring"), 7
    )


@pytest.mark.parametrize("test", sorted(bar.ids_of_score()))
def test_a_test_that_a_row_names_is_there(test):
    file, name = test.split("::")
    assert name in names_in(file)


def test_a_row_that_counts_names_a_test_and_says_how():
    for rows in bar.rows_of_score().values():
        for name, row in rows.items():
            assert row["how"], name
            assert bool(row["tests"]) == (row["done"] != "missing"), name


@pytest.mark.parametrize("section", ["data", "model", "infrastructure", "monitoring"])
def test_each_section_has_six_points(section):
    assert bar.points()[section] >= bar.LEAST


def test_a_row_without_all_its_tests_counts_nothing():
    assert bar.points(passed=set()) == dict.fromkeys(bar.points(), 0)
    all_but_one = bar.ids_of_score() - {sorted(bar.ids_of_score())[0]}
    assert sum(bar.points(all_but_one).values()) < sum(bar.points().values())
