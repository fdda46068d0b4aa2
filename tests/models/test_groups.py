"""Customers who share their fate: labels, splits, and errors that count them together."""

import numpy as np
import pandas as pd
import pytest
from experiments import read, row

from winback.models.evaluation.effect_groups import effects_by_group
from winback.models.evaluation.gates import policy_gates
from winback.models.evaluation.graded import Graded
from winback.models.evaluation.held_out import held_out, kept_apart
from winback.models.evaluation.policies import compare, decide
from winback.models.evaluation.qini import multi_armed_qini
from winback.models.evaluation.qini_bootstrap import bootstrap
from winback.models.evaluation.time_split import split_by_time
from winback.models.evaluation.unseen import remember_offers, remember_share, unseen
from winback.models.experiment.assignment import checked_rows, compare_sizes
from winback.models.experiment.observational import adjusted_effects
from winback.models.groups import drawn_units, group_labels, shared_labels

SIZE = 4  # customers of a household


def households(seed=0, *, number=500, alike=0.6):
    """Whole households are drawn; who lives together comes back together. No effect."""
    rng = np.random.default_rng(seed)
    home = np.repeat(np.arange(number), SIZE)
    shared = rng.normal(size=number)[home] * np.sqrt(alike)
    lasting = shared + rng.normal(size=len(home)) * np.sqrt(1 - alike)
    return pd.DataFrame(
        {
            "customer_id": rng.permutation(len(home)),
            "group_id": home.astype(str),
            "offer": np.where(rng.random(number) < 0.5, "mail", "none")[home],
            "propensity": 0.5,
            "returned": (lasting > 0.3).astype(int),
        }
    )


def judged(rows, seed, *, groups=True):
    """Scores of the rows; who is promised more by mail is drawn by household."""
    rng = np.random.default_rng(seed)
    sent = rows["offer"].to_numpy() == "mail"
    mean = rows["returned"].mean()
    scores = np.full((len(rows), 2), mean)
    scores[np.arange(len(rows)), sent.astype(int)] += (rows["returned"] - mean) / 0.5
    promised = 0.02 * rng.normal(size=len(rows) // SIZE).repeat(SIZE)
    expected = np.column_stack([np.full(len(rows), mean), mean + promised])
    labels = shared_labels(rows) if groups else None
    return Graded(("none", "mail"), scores, expected, expected, groups=labels)


def test_customers_without_a_group_keep_their_own_label():
    rows = pd.DataFrame({"customer_id": [1, 2, 3, 4], "group_id": ["4", None, "4", None]})
    labels = group_labels(rows)
    assert labels.tolist() == ["group:4", "2", "group:4", "4"]
    assert shared_labels(rows).tolist() == [2, 0, 2, 1]
    plain = rows.drop(columns="group_id")
    assert group_labels(plain).equals(plain["customer_id"])
    assert group_labels(rows.assign(group_id=None)).equals(plain["customer_id"])
    assert shared_labels(plain) is None
    assert shared_labels(rows.drop(columns="customer_id")) is None


def test_groups_were_drawn_where_none_has_two_offers():
    home = np.array(["b", "b", "a", "c", "a"])
    assert drawn_units(np.array([1, 1, 0, 1, 0]), home).tolist() == [0, 2, 3]
    assert drawn_units(np.array([1, 1, 0, 1, 1]), home).tolist() == [0, 1, 2, 3, 4]
    assert drawn_units(np.array([1, 1, 0]), None).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "choose", [kept_apart, lambda ids, share: held_out(ids, share=share, seed=3)]
)
def test_whole_groups_lie_on_one_side_and_the_others_where_they_lay(choose):
    rows = households(number=4_000)
    rows.loc[::7, "group_id"] = None
    chosen = choose(group_labels(rows), share=0.2)
    assert chosen.mean() == pytest.approx(0.2, abs=0.02)
    assert set(pd.Series(chosen).groupby(rows["group_id"]).nunique()) == {1}
    alone = rows["group_id"].isna()
    assert (chosen[alone] == choose(rows["customer_id"], share=0.2)[alone]).all()


@pytest.mark.parametrize("gap_days", [30, None])
def test_parts_of_a_split_share_no_group(gap_days):
    rows = households(number=400).assign(as_of=pd.Timestamp("2024-01-01"), x=np.arange(1_600))
    split = split_by_time(
        rows, gap_days=gap_days, calibrate_share=0.2, test_share=0.3, seed=1, features=["x"]
    )
    assert set(pd.Series(split.part).groupby(rows["group_id"]).nunique()) == {1}
    assert set(split.part) == {"train", "calibrate", "test"}


def test_a_model_is_graded_on_the_groups_that_it_did_not_learn_from():
    rows = households().assign(as_of=pd.Timestamp("2024-01-01"))
    apart = kept_apart(group_labels(rows), share=0.1)
    memory = remember_offers(rows, share=0.1)
    assert (unseen(memory, rows) == apart).all()
    assert (unseen(remember_share(0.1, grouped=True), rows) == apart).all()
    with pytest.raises(ValueError, match="group_id is not there any more"):
        unseen(memory, rows.drop(columns="group_id"))
    with pytest.raises(ValueError, match="of 200 sampled rows of its training are among"):
        unseen(memory, rows.assign(group_id=rows["group_id"].to_numpy()[::-1]))
    of_customers = remember_offers(rows.drop(columns="group_id"), share=0.1)
    assert (unseen(of_customers, rows) == kept_apart(rows["customer_id"], share=0.1)).all()


def design_effect(rows):
    """How much wider intervals of arms of whole households are: 1 + (size - 1) x likeness."""
    by_home = rows.groupby("group_id")["returned"]
    between = by_home.mean().var() - rows["returned"].var() / SIZE
    likeness = between / (rows["returned"].var() * (1 - 1 / SIZE))
    return 1 + (SIZE - 1) * likeness


def test_intervals_of_a_readout_are_wider_by_the_design_effect():
    rows = households(number=2_000)
    grouped, plain = read(rows), read(rows.drop(columns="group_id"))
    assert "some customers share a group_id: intervals are by group" in grouped.notes
    errors = [
        row(found.effects, arm="mail", outcome="returned")["se"] for found in (grouped, plain)
    ]
    assert errors[0] / errors[1] == pytest.approx(np.sqrt(design_effect(rows)), rel=0.05)
    assert errors[0] / errors[1] > 1.4


def test_effects_of_targeted_offers_have_the_intervals_of_households():
    rows = households(number=1_000)
    facts = pd.DataFrame({"x": np.random.default_rng(1).normal(size=1_000).repeat(SIZE)})
    widths = []
    for clusters in (shared_labels(rows), None):
        found = adjusted_effects(
            facts,
            rows["offer"].to_numpy(),
            rows["returned"].to_numpy(float),
            control="none",
            seed=0,
            clusters=clusters,
        )
        widths.append((found["hi"] - found["lo"]).item())
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(design_effect(rows)), rel=0.1)


def test_sizes_of_arms_are_counted_in_what_was_drawn():
    """Households of four drawn whole stray from the plan twice as far as single customers do."""
    alarms = {"groups": 0, "rows": 0}
    for seed in range(200):
        rows = households(seed, number=250)
        for way, frame in (("groups", rows), ("rows", rows.drop(columns="group_id"))):
            checked, _ = checked_rows(frame, control="none", needed=("none",), planned=None)
            ratio, _ = compare_sizes(checked, planned=None, alpha=0.05)
            alarms[way] += ratio.mismatch
            assert ratio.arms["rows"].sum() == (250 if way == "groups" else 1_000)
    assert alarms["groups"] <= 20
    assert alarms["rows"] >= 40


def test_intervals_of_policies_count_households_together():
    rows = households(number=2_000)
    together, apart = (judged(rows, 1, groups=groups) for groups in (True, False))
    wide, narrow = (compare(one, personalize=True, best_single="none") for one in (together, apart))
    assert (wide["value_per_customer"] == narrow["value_per_customer"]).all()
    ours = wide["policy"] == "ours"
    for lo, hi in (("lo", "hi"), ("gain_lo", "gain_hi")):
        ratio = (wide[hi] - wide[lo])[ours] / (narrow[hi] - narrow[lo])[ours]
        assert ratio.item() == pytest.approx(np.sqrt(design_effect(rows)), rel=0.1)
    parts = pd.Series(np.where(np.arange(len(rows)) < 4_000, "a", "b"))
    wide, narrow = (effects_by_group(one, parts) for one in (together, apart))
    assert ((wide["hi"] - wide["lo"]) > 1.3 * (narrow["hi"] - narrow["lo"])).all()


def test_curves_are_drawn_again_by_household():
    rows = households(number=1_000)
    one = judged(rows, 1)
    gained = one.scores[:, 1:] - one.scores[:, :1]
    curve = {"mail": multi_armed_qini(one.expected[:, 1:], np.ones_like(gained), gained)}
    errors = [
        bootstrap(curve, [0.0, 1.0], rng=np.random.default_rng(0), groups=groups)
        .draws["mail"][:, -1]
        .std()
        for groups in (one.groups, None)
    ]
    assert errors[0] / errors[1] == pytest.approx(np.sqrt(design_effect(rows)), rel=0.2)


def test_a_personal_choice_that_gains_nothing_is_seldom_called_evident():
    """At most 5%, where counting each customer by himself claims a gain twice as often."""
    claims = {True: 0, False: 0}
    runs = 400
    for seed in range(runs):
        rows = households(seed, number=300)
        for groups in claims:
            claims[groups] += decide(judged(rows, seed + 1_000, groups=groups))["evidence"]
    assert claims[True] <= 0.05 * runs
    assert claims[False] >= 2 * claims[True] + 5


def test_a_gate_does_not_veto_for_the_luck_of_a_few_households():
    vetoes = {True: 0, False: 0}
    for seed in range(200):
        rows = households(seed, number=200)
        for groups in vetoes:
            one = judged(rows, seed + 1_000, groups=groups)
            ours = np.where(one.expected[:, 1] > one.expected[:, 0], "mail", "none")
            theirs = np.where(one.expected[:, 1] > one.expected[:, 0], "none", "mail")
            gates = policy_gates(
                one.scores, one.names, ours, theirs, margin=0.05, cluster=one.groups
            )
            champion = next(gate for gate in gates if gate.name == "policy_over_champion")
            vetoes[groups] += not champion.passed and not champion.underpowered
    assert vetoes[True] <= 20  # 5% expected
    assert vetoes[False] >= vetoes[True] + 10
