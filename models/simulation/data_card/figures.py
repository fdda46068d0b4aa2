"""Rows of the data card that state a number: sizes, acceptances, costs, returns on investment."""

from __future__ import annotations

from ..world import ACCEPTANCE, OFFER_COST, OFFERS, PUBLISHED_ROI, TAILORING_COST, WINDOW_MONTHS
from .finding import Finding, by_level, chance, falls, near, said, widened
from .study import Study

REAL_OFFERS = OFFERS[1:]
FIRST_VALUE, SECOND_VALUE = 1_262.0, 1_410.0


def size(study: Study) -> Finding:
    """How many leave, and how many of them are in the experiment."""
    world = study.world
    leavers, eligible = len(study.first), len(study.people)
    return Finding(
        "H",
        f"leavers within {WINDOW_MONTHS} months; of them in the experiment",
        f"{world.n_leavers}; {world.n_eligible}",
        "exact",
        f"{leavers}; {eligible}",
        leavers == world.n_leavers and eligible == world.n_eligible,
    )


def acceptance(study: Study) -> Finding:
    """Acceptance per arm, tailored as a policy over stated reasons."""
    people = study.people
    tolerance = widened(0.012, len(people))
    true = {offer: float(chance(people, offer).mean()) for offer in REAL_OFFERS}
    true["tailored"] = float(people["tailored"].mean())
    seen = by_level(people["returned_at"].notna().groupby(people["arm"]).mean().drop("none"))
    return Finding(
        "H",
        "acceptance per arm: in the truth, and in the sample",
        said(dict(ACCEPTANCE), 2),
        f"truth 1e-6; sample {tolerance:.4f}",
        f"truth {said(true)}; sample {said(seen)}",
        near(true, dict(ACCEPTANCE), 1e-6) and near(seen, dict(ACCEPTANCE), tolerance),
    )


def no_offer(study: Study) -> Finding:
    """The arm that is sent nothing: its share and its mean return."""
    people, wanted = study.people, study.world.organic_return
    none = people["arm"] == "none"
    share, true = float(none.mean()), float(chance(people, "none").mean())
    seen = float(people.loc[none, "returned_at"].notna().mean())
    slack, close = widened(0.012, len(people)), widened(0.003, len(people))
    return Finding(
        "D",
        "no-offer arm: share, mean return in the truth, in the sample",
        f"0.2, {wanted}",
        f"share and sample {slack:.4f}; truth {close:.4f}",
        f"share {share:.4f}, truth {true:.4f}, sample {seen:.4f}",
        abs(share - 0.2) <= slack and abs(true - wanted) <= close and abs(seen - wanted) <= slack,
    )


def costs(study: Study) -> Finding:
    """What offers cost, and that they cost only when accepted."""
    people, world = study.people, study.world
    back = people["returned_at"].notna()
    paid = people[back].groupby("offer")["offer_cost"].agg(["min", "max"])
    exact = all((paid.loc[offer] == OFFER_COST[offer]).all() for offer in paid.index)
    return Finding(
        "H",
        "offer cost, paid on acceptance alone (contact and tailoring cost: our choice)",
        said(dict(OFFER_COST), 0),
        "exact; contact 1-5, tailoring 8",
        f"{said(by_level(paid['max']), 0)}; contact {world.contact_cost:g}, "
        f"tailoring {TAILORING_COST:g}",
        exact and not people.loc[~back, "offer_cost"].any() and 1 <= world.contact_cost <= 5,
    )


def roi(study: Study) -> Finding:
    """Margin within the horizon less cost, over cost, per arm."""
    roi = {}
    for arm in PUBLISHED_ROI:
        contacted = study.people[study.people["arm"] == arm]
        extra = TAILORING_COST if arm == "tailored" else 0.0
        cost = contacted["offer_cost"].sum() + extra * len(contacted)
        earned = study.returns.loc[study.returns["arm"] == arm, "value"].sum()
        roi[arm] = float((earned - cost) / cost)
    tolerance = widened(0.10, len(study.people))
    off = max(abs(roi[arm] / wanted - 1) for arm, wanted in PUBLISHED_ROI.items())
    order = [roi[arm] for arm in ("upgrade", "discount", "tailored", "bundle")]
    return Finding(
        "H",
        "ROI per arm: order upgrade > discount > tailored > bundle, and levels",
        said(dict(PUBLISHED_ROI), 2),
        f"{tolerance:.1%} of the level",
        said(roi, 2),
        falls(order) and off <= tolerance,
    )


def lifetime_values(study: Study) -> Finding:
    """Margin of first lifetimes that ended and of second ones so far."""
    first = float(study.first["margin"].mean())
    accepted = study.returns[study.returns["arm"] != "none"]
    second = float(accepted["margin"].mean())
    slack_first = widened(0.03, len(study.first))
    slack_second = widened(0.03, len(study.people))
    return Finding(
        "H",
        "mean value of the first lifetime, and of the second to the end of the data",
        f"{FIRST_VALUE:.0f}, {SECOND_VALUE:.0f}",
        f"{slack_first:.1%}, {slack_second:.1%}",
        f"{first:.0f}, {second:.0f}",
        abs(first / FIRST_VALUE - 1) <= slack_first
        and abs(second / SECOND_VALUE - 1) <= slack_second,
    )


def interaction(study: Study) -> Finding:
    """Discount and upgrade by reason, as the published acceptances imply."""
    people = study.people
    prefers = (chance(people, "discount") - chance(people, "upgrade")).groupby(
        people["true_reason"]
    )
    service, price = prefers.mean()["service"], prefers.mean()["price"]
    share = float((people["true_reason"] == "price").mean())
    slack = widened(0.01, len(people))
    return Finding(
        "H",
        "discount less upgrade: nothing among service leavers, .04 / share among price leavers",
        f"0, {0.04 / share:.3f}",
        f"{1.5 * slack:.3f}, {slack / share:.3f}",
        f"{service:.3f}, {price:.3f} (share of price {share:.3f})",
        abs(service) <= 1.5 * slack and abs(price - 0.04 / share) <= slack / share,
    )


def touchy(study: Study) -> Finding:
    """Customers on whom every offer backfires."""
    people = study.people
    movable = ~people["true_reason"].isin(["moved", "need_gone"])
    disturbed = people[people["do_not_disturb"] & movable]
    share = float(people["do_not_disturb"].mean())
    worse = all(
        bool((chance(disturbed, offer) < chance(disturbed, "none")).all()) for offer in REAL_OFFERS
    )
    drop = 1 - chance(disturbed, "discount").mean() / chance(disturbed, "none").mean()
    slack = 0.01 * (widened(1.0, len(people)) - 1.0)
    return Finding(
        "D",
        "customers on whom every offer backfires (contacted often in the year before leaving)",
        "share 0.03 to 0.05",
        f"{slack:.3f}",
        f"share {share:.3f}; an offer takes {drop:.0%} of their returns",
        0.03 - slack <= share <= 0.05 + slack and worse,
    )


def stated(study: Study) -> Finding:
    """How often the stated reason is the true one, or missing."""
    world, truth = study.world, study.truth
    lost = truth[truth["population"] == "lost"].set_index("customer_id")["true_reason"]
    departures = study.tables["departures"].sort_values("departed_at")
    last = departures.drop_duplicates("customer_id", keep="last").set_index("customer_id")
    stated = last["reason"].reindex(lost.index)
    right, missing = float((stated == lost).mean()), float(stated.isna().mean())
    slack = widened(0.01, len(lost))
    return Finding(
        "D",
        "stated reason is the true one, or missing (customers lost now)",
        f"{world.stated_reason_right}, {world.stated_reason_missing}",
        f"{slack:.3f}",
        f"{right:.3f}, {missing:.3f}",
        abs(right - world.stated_reason_right) <= slack
        and abs(missing - world.stated_reason_missing) <= slack,
    )


def churn(study: Study) -> Finding:
    """Monthly churn, and the silence of the dissatisfied."""
    tables = study.tables
    start, end = study.window
    billed, left = tables["orders"]["ordered_at"], tables["departures"]["departed_at"]
    months = int(((billed >= start) & (billed < end)).sum())
    churn = ((left >= start) & (left < end)).sum() / months
    upset = study.people[study.people["dissatisfied"]]
    silent = float(((upset["resolved"] + upset["unresolved"]) == 0).mean())
    return Finding(
        "H",
        "monthly churn within the window; share of the dissatisfied who never complain",
        "0.03, 0.91",
        f"0.002, {widened(0.015, len(study.people)):.3f}",
        f"{churn:.4f}, {silent:.3f}",
        abs(churn - 0.03) <= 0.002 and abs(silent - 0.91) <= widened(0.015, len(study.people)),
    )


def heterogeneity(study: Study) -> Finding:
    """What an oracle earns beyond the best single offer."""
    profit = study.people[[f"profit_{offer}" for offer in OFFERS]]
    gain = float(profit.max(axis=1).mean() / profit.mean().max() - 1)
    bare = study.world.heterogeneity == "reason_only"
    low, high = (0.0, 0.03) if bare else (0.10, 0.20)
    best = str(profit.mean().idxmax()).removeprefix("profit_")
    return Finding(
        "D",
        "profit per contact of an oracle over the best single offer",
        f"{low:.0%} to {high:.0%}",
        "none",
        f"{gain:.1%} over {best} for all",
        low <= gain <= high,
    )
