"""How well simulated worlds meet the published study, and what they cost in time and memory.

    python benchmarks/simulate.py [--quick]

Three tables: one world (rows per second, peak memory); how often each row of the data card holds
over many seeds; millions of leavers made shard by shard.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from results import show

from winback.models.simulation.data_card.data_card import data_card
from winback.models.simulation.simulate import Simulation, simulate
from winback.models.simulation.world import World


def simulate_shards(world: World, *, seed: int, shards: int) -> Iterator[Simulation]:
    """The same world in parts that are made one after the other, for sizes beyond memory.

    Each part is a business of `scale / shards` with customer, order and complaint ids of its own;
    the published means hold in each part, hence in their union.
    """
    seeds = np.random.SeedSequence(seed).generate_state(shards)
    first = world.first_customer_id
    for part in range(shards):
        part_world = replace(world, scale=world.scale / shards, first_customer_id=first)
        simulation = simulate(part_world, seed=int(seeds[part]))
        yield simulation
        # Recommended people who never signed up have ids above the customers'.
        first += 4 * len(simulation.tables["customers"])


def measure(simulations: Iterable[Simulation], leavers: int) -> str:
    """Rows, CPU seconds, wall seconds and peak memory of making simulations one by one."""
    cpu, wall = time.process_time(), time.perf_counter()
    rows = shards = 0
    for simulation in simulations:
        rows += sum(len(table) for table in simulation.tables.values())
        shards += 1
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return (
        f"{leavers:>9,} leavers in {shards} parts: {rows:,} rows, {cpu:.1f} s CPU, {wall:.1f} s "
        f"wall, {rows / cpu:,.0f} rows per CPU second, peak memory {peak:.2f} GiB"
    )


def holding(seeds: int, scale: float) -> pd.DataFrame:
    """Share of seeds in which each row of the data card holds."""
    cards = [data_card(simulate(World(scale=scale), seed=seed)) for seed in range(seeds)]
    every = pd.concat(cards)
    share = every.groupby("row")["holds"].agg(["sum", "size"])
    first = cards[0].set_index("row")[["kind", "what", "measured"]]
    return first.assign(holds=share["sum"].astype("str") + "/" + share["size"].astype("str"))


def main() -> None:
    """Run the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few seeds, small worlds")
    quick = parser.parse_args().quick
    one = World(scale=0.25 if quick else 1.0)
    print(measure((simulate(one, seed=seed) for seed in range(1)), one.n_leavers))
    seeds = 3 if quick else 20
    table = holding(seeds, one.scale)
    held = table[["kind", "holds", "what", "measured"]]
    show(f"rows of the data card that hold, {seeds} seeds at scale {one.scale:g}", held)
    many = World(scale=1.0 if quick else 5_000_000 / 53_000)
    shards = 4 if quick else 94
    print()
    print(measure(simulate_shards(many, seed=1, shards=shards), many.n_leavers))


if __name__ == "__main__":
    main()
