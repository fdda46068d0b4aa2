"""A simulated business in the making: its customers, and what has happened to them so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .events import History, Wave, happen, no_history, remember
from .experiment import NEVER, stated_reasons
from .lives import ALIVE, CURED_SHARE, live
from .people import People
from .response import NONE, draw_unasked_return
from .value import CARE, UNASKED_PRICE, second_lives
from .world import OFFERS, World


@dataclass
class Business:
    """All customers with what has happened to them so far; arrays run along `people`.

    Attributes
    ----------
    people, world, rng
        Traits, parameters, and the generator of all draws.
    history
        Sums of what happened to each customer.
    waves, stated
        The lifetimes so far with their events, and the reason stated at the end of each.
    latest
        (customers,) the reason stated at the last departure, -1 for none.
    asked_at
        (customers,) second at which the business would ask a leaver of the window, else NEVER.
    unasked_at
        (customers,) second at which a lost customer comes back if nobody asks, -1 for not before
        the end of the data.
    """

    people: People
    world: World
    rng: np.random.Generator
    history: History = field(init=False)
    waves: list[Wave] = field(default_factory=list)
    stated: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = len(self.people.plan)
        self.history = no_history(n)
        self.latest = np.full(n, -1)
        self.asked_at = np.full(n, NEVER)
        self.unasked_at = np.full(n, -1)

    def add(self, wave: Wave) -> np.ndarray:
        """Remember a wave of lifetimes; the customers who left at the end of theirs."""
        customer = wave.lives.customer
        self.history = remember(self.history, self.people, wave)
        self.waves.append(wave)
        self.stated.append(stated_reasons(wave.lived.reason, self.world, rng=self.rng))
        self.latest[customer] = self.stated[-1]
        self.asked_at[customer], self.unasked_at[customer] = NEVER, -1
        return customer[wave.lived.ended_at != ALIVE]

    def leave_alone(
        self,
        customer: np.ndarray,
        intercept: float,
        *,
        since_days: np.ndarray,
        exponential: np.ndarray,
    ) -> None:
        """Decide when lost customers come back if nobody asks them, see `draw_unasked_return`."""
        self.unasked_at[customer] = draw_unasked_return(
            self.history.take(customer),
            since_days,
            intercept,
            world=self.world,
            exponential=exponential,
        )

    def come_back(self, customer: np.ndarray) -> np.ndarray:
        """Live the lifetimes that unasked returns begin; the customers who left again."""
        n = len(customer)
        return self.live_again(
            customer,
            offer=np.full(n, NONE),
            started_at=self.unasked_at[customer],
            cured=self.rng.random(n) < CURED_SHARE,
            price_level=np.full(len(OFFERS), UNASKED_PRICE),
        )

    def live_again(
        self,
        customer: np.ndarray,
        *,
        offer: np.ndarray,
        started_at: np.ndarray,
        cured: np.ndarray,
        price_level: np.ndarray,
    ) -> np.ndarray:
        """Live the lifetimes that returns begin; the customers who left again."""
        lives = second_lives(
            self.history.take(customer),
            self.people,
            customer,
            offer=offer,
            started_at=started_at,
            contact_chance=self.rng.choice(CARE, len(customer)),
            cured=cured,
            price_level=price_level,
            effect_strength=self.world.effect_strength,
        )
        lived = live(self.people, lives, world=self.world, rng=self.rng)
        return self.add(happen(self.people, lives, lived, world=self.world, rng=self.rng))
