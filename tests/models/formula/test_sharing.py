import pandas as pd

from winback.models.formula.formula import Column, Formula, evaluate
from winback.models.formula.sharing import share_parts

LINE = ["additive", 1.0, [[0, [0.0, 1.0], [0.0, 2.0], 5.0]]]


def formula():
    return Formula(
        (Column("a"),),
        {
            "twice": ["sum", [1.0, LINE], [2.0, ["sigmoid", LINE]]],
            "once": ["additive", 0.0, [[0, [0.0, 1.0], [0.0, 1.0], 0.0]]],
        },
        ("twice", "once"),
    )


def test_a_repeated_part_is_named_once_and_the_numbers_stay():
    plain, frame = formula(), pd.DataFrame({"a": [0.0, 0.5, 1.0, None]})
    shared = share_parts(plain)
    assert [one for one in shared.expressions.values() if one == LINE] == [LINE]
    assert len(shared.expressions) == 3
    pd.testing.assert_frame_equal(evaluate(shared, frame), evaluate(plain, frame))


def test_sharing_again_keeps_the_names_apart():
    shared = share_parts(formula())
    again = share_parts(
        Formula(
            shared.columns,
            {**shared.expressions, "more": ["sum", [1.0, LINE], [1.0, ["exp", LINE]]]},
            (*shared.outputs, "more"),
        )
    )
    frame = pd.DataFrame({"a": [0.25]})
    assert evaluate(again, frame)["twice"].equals(evaluate(shared, frame)["twice"])
