"""`make docs`: pages of docs/ that are generated from the code."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..features.contract.contract import contract_markdown
from ..features.families.assemble import dictionary
from ..models.simulation.data_card.data_card import card_markdown, data_card
from ..models.simulation.simulate import simulate
from ..models.simulation.world import World
from .ingest import ingest
from .job.codes import errors_page
from .settings.params import read_params
from .settings.source_files import load_source
from .source_reference import source_reference
from .storage.atomic import replace_file
from .tables.frames import open_tables

EXAMPLE = Path("sources/kumar.yaml")


def pages() -> dict[str, str]:
    """Text of each generated page of docs/ by file name."""
    return {
        "contract.md": contract_page(),
        "features.md": features_page(),
        "data_card.md": data_card_page(),
        "source_files.md": source_reference(),
        "errors.md": errors_page(),
    }


def contract_page() -> str:
    """The tables that a source may have."""
    return (
        "# The data contract\n\n"
        "Tables that a source may have; all but `customers` are optional. Times are UTC, money is "
        "in one currency.\n\n" + contract_markdown().strip() + "\n"
    )


def features_page() -> str:
    """Every feature of the default source, by family."""
    params = read_params().featurize
    source = load_source(EXAMPLE, overrides={"scale": 0.05})
    with tempfile.TemporaryDirectory() as folder:
        tables = Path(folder) / "tables"
        ingest(source, tables, truth=Path(folder) / "truth")
        entries = dictionary(
            open_tables(tables),
            windows_days=params.windows_days,
            definition=source.churn,  # type: ignore[arg-type]
        )
    rows = [
        f"| `{entry['name']}` | {entry['family']} | {entry['unit']} | {entry['meaning']} |"
        for entry in entries
    ]
    return (
        "# Features\n\n"
        f"The {len(entries)} features of `{EXAMPLE}` with the windows of `params.yaml`, each as it "
        "was known at the moment `as_of`: a window of 90 days holds what happened, and was "
        "recorded, in the 90 days before it. Other sources have those that their tables "
        "allow.\n\n| feature | family | unit | meaning |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def data_card_page() -> str:
    """What the simulated world must reproduce, and what one run of it gave."""
    seed = read_params().ingest.seed
    card = card_markdown(data_card(simulate(World(), seed=seed)))
    return (
        "# Data card of the simulated telecom\n\n"
        "What the default world must reproduce: figures that the study published, figures of which "
        "only the sign is published, and our own choices ([how the world works](simulator.md)). "
        f"Measured with seed {seed}, that of `params.yaml`.\n\n" + card.strip() + "\n"
    )


def main() -> None:
    """Write all pages."""
    for name, text in pages().items():
        replace_file(Path("docs") / name, text.encode())


if __name__ == "__main__":
    main()
