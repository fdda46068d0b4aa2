"""A shop: raw files of 300 customers, and a source that reads them."""

from pathlib import Path

import duckdb

from winback.pipelines.ingest import ingest
from winback.pipelines.settings.source_files import load_source
from winback.pipelines.settings.sources import Source

SHOP = """
name: shop
title: A shop
as_of: 2021-01-01
tables:
  customers:
    query: >
      select customer_id, signed_up_at, cost_to_serve_monthly
      from read_parquet('${SHOP}/customers.parquet')
  attributes:
    query: >
      select customer_id, timestamp '2018-06-01' as known_at,
      income from read_parquet('${SHOP}/customers.parquet')
  orders:
    query: select * from read_csv('${SHOP}/orders.csv')
  offers:
    query: select * from read_parquet('${SHOP}/offers.parquet')
experiment:
  control: none
  offers:
    discount: {cost_on_acceptance: 10}
known_afterwards:
  - Satisfaction Score
"""

RAW = {
    "customers.parquet": """
        select range as customer_id,
            timestamp '2018-01-01' + to_hours((hash(range) % 2000)::bigint) as signed_up_at,
            9.99 as cost_to_serve_monthly, (hash(range) % 90000)::double as income
        from range(300)""",
    "orders.csv": """
        select 'o' || range as order_id, hash(range) % 300 as customer_id,
            timestamp '2019-01-01' + to_days((hash(range, 1) % 500)::int)
                + to_minutes((480 + hash(range, 2) % 600)::bigint) as ordered_at,
            (hash(range, 3) % 9000) / 100 as amount
        from range(3000)""",
    "offers.parquet": """
        select range as customer_id, timestamp '2020-06-01' as offered_at,
            case when hash(range, 4) % 2 = 0 then 'none' else 'discount' end as offer,
            0.5 as propensity, (hash(range, 5) % 2)::int as returned
        from range(300)""",
}


def write_raw(folder: Path, **changes: str) -> None:
    """The raw files; `changes` are SQL over the sound rows, by file name without its ending."""
    folder.mkdir(exist_ok=True)
    connection = duckdb.connect(config={"threads": 1})
    for name, query in RAW.items():
        change = changes.get(name.split(".")[0], "select * from sound")
        query = f"with sound as ({query}) {change}"
        connection.execute(f"copy ({query}) to '{folder / name}'")


def shop(raw: Path, text: str = SHOP) -> Source:
    path = raw.parent / "shop.yaml"
    path.write_text(text)
    return load_source(path, environment={"SHOP": str(raw)})


def run(source: Source, folder: Path, **options) -> dict[str, int]:
    return ingest(source, folder / "tables", truth=folder / "truth", **options)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
