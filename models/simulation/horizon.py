"""The value horizon of a simulated return: when it comes, and how many bills follow within it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .lives import CONTACT_RELIEF, CONTENT, CURED_SHARE, FADE_CHANCE, FADING, UPSET, Lives, hazards
from .people import People
from .world import DAY, MONTH, World


def expected_bills(people: People, lives: Lives, *, months: int, weights: np.ndarray) -> np.ndarray:
    """Expected number of bills of later lifetimes, weighted by month; exact, without simulation.

    Parameters
    ----------
    people, lives
        Traits and lifetimes; whether they are cured, and when messages come, is averaged over.
    months
        Months to look ahead.
    weights
        (months,) weight of each month's bill: the chance that it falls within the horizon.

    Returns
    -------
    np.ndarray
        (lives,) expected bills.
    """
    owner = lives.customer
    upset, calm = people.upset_chance[owner], people.recovery_chance[owner]
    relief = 1 - lives.contact_chance * (1 - CONTACT_RELIEF)
    result = np.zeros(len(owner))
    for cured, share in ((True, CURED_SHARE), (False, 1 - CURED_SHARE)):
        group = replace(lives, cured=np.full(len(owner), cured))
        risk = np.minimum(hazards(people, group).sum(axis=1) * relief, 1.0)
        content, angry, fading = np.ones(len(owner)), np.zeros(len(owner)), np.zeros(len(owner))
        for month in range(months):
            angry, content, fading = (
                angry * (1 - calm) + content * upset,
                content * (1 - upset - FADE_CHANCE) + angry * calm,
                fading + content * FADE_CHANCE,
            )
            result += share * weights[month] * (content + angry + fading)
            content = content * (1 - risk[CONTENT])
            angry = angry * (1 - risk[UPSET])
            fading = fading * (1 - risk[FADING])
    return result


def horizon_weights(world: World) -> np.ndarray:
    """Chance that the bill of each month after the return falls within the value horizon."""
    months = int(np.ceil(world.value_horizon_days * DAY / MONTH))
    slack = world.value_horizon_days - np.arange(months) * MONTH / DAY
    return delay_share(slack, world)


def delay_share(days: np.ndarray, world: World) -> np.ndarray:
    """Share of returns that come within so many days of the offer."""
    place = np.clip((days - 1.0) / (world.return_window_days - 2.0), 0.0, 1.0)
    return 1 - (1 - place) ** 3


def draw_delay(n: int, world: World, *, rng: np.random.Generator) -> np.ndarray:
    """Days from offer to return, (n,): soon more often than late, within the return window."""
    return 1.0 + (world.return_window_days - 2.0) * (1 - (1 - rng.random(n)) ** (1 / 3))
