"""Corruptions of a tiny set of tables, as SQL: what a column may be delivered as by mistake."""

import itertools
import json

from winback.pipelines.settings.source_files import load_source

TABLES = {
    "customers": """
        select range as customer_id, timestamp '2018-01-01' + to_hours((range * 7) % 2000) as
            signed_up_at, 9.99 as cost_to_serve_monthly from range(40)""",
    "attributes": """
        select range as customer_id, timestamp '2018-06-01' as known_at,
            (range * 977 % 90)::double as income, 'r' || range % 3 as region from range(40)""",
    "orders": """
        select 'o' || range as order_id, range % 40 as customer_id, timestamp '2019-01-01' +
            to_days(range % 500) + to_hours(9 + range % 8) as ordered_at,
            (range * 31 % 9000) / 100 as amount,
            (range * 31 % 9000) / 300 as margin, 1.5 as discount from range(400)""",
    "activity": """
        select range % 40 as customer_id, timestamp '2019-01-01' + to_hours((range * 41) % 12000)
            as happened_at, 'login' as kind, (range % 5)::double as quantity from range(200)""",
    "complaints": """
        select range as complaint_id, range as customer_id, timestamp '2019-05-01' as opened_at,
            timestamp '2019-05-03' as resolved_at, 2 as severity, 'human' as cause,
            'bill' as topic from range(20)""",
    "referrals": """
        select range as referrer_id, range + 1 as referred_id, timestamp '2019-05-01' as
            referred_at, timestamp '2019-05-03' as converted_at from range(20)""",
    "contacts": """
        select range as customer_id, timestamp '2019-05-01' as contacted_at, 'call' as channel,
            'spring' as campaign from range(20)""",
    "offers": """
        select range as customer_id, timestamp '2020-01-01' as offered_at, case when range % 2 = 0
            then 'none' else 'discount' end as offer, 0.5 as propensity, range % 3 = 0 as
            returned, 2.0 as offer_cost, 11.0 as value from range(40)""",
    "suppressions": """
        select range as customer_id, timestamp '2019-05-01' as since, 'objection' as why
        from range(3)""",
}
COLUMNS = {
    "customers": ("customer_id", "signed_up_at", "cost_to_serve_monthly"),
    "attributes": ("customer_id", "known_at", "income", "region"),
    "orders": ("order_id", "customer_id", "ordered_at", "amount", "margin", "discount"),
    "activity": ("customer_id", "happened_at", "kind", "quantity"),
    "complaints": (
        "complaint_id", "customer_id", "opened_at", "resolved_at", "severity", "cause", "topic",
    ),
    "referrals": ("referrer_id", "referred_id", "referred_at", "converted_at"),
    "contacts": ("customer_id", "contacted_at", "channel", "campaign"),
    "offers": (
        "customer_id", "offered_at", "offer", "propensity", "returned", "offer_cost", "value",
    ),
    "suppressions": ("customer_id", "since", "why"),
}  # fmt: skip
VALUES = {
    "text": "'soon'",
    "nothing": "null",
    "huge": "9e14::double",
    "endless": "1e308::double",
    "infinite": "'inf'::double",
    "not a number": "'nan'::double",
    "negative": "-3",
    "a date of 1066": "timestamp '1066-01-01'",
}
WHOLE = {
    "no rows": "select * from sound limit 0",
    "every row twice": "select * from sound union all select * from sound",
    "another column": "select *, 1 as offre from sound",
}
RESERVED = (
    "offer",
    "returned",
    "propensity",
    "value",
    "as_of",
    "population",
    "churned",
    "group_id",
)


def corruptions():
    """(name, table, SQL over `sound`), one for each corruption."""
    for table, (what, query) in itertools.product(TABLES, WHOLE.items()):
        yield f"{table}: {what}", table, query
    for table, columns in COLUMNS.items():
        for column in columns:
            for what, value in VALUES.items():
                query = f"select * replace ({value} as {column}) from sound"
                yield f"{table}.{column}: {what}", table, query
            yield f"{table}.{column}: missing", table, f"select * exclude ({column}) from sound"
    for name in RESERVED:
        query = f"select *, 1.5 as {name} from sound"
        yield f"attributes.{name}: a name of ours", "attributes", query


def source_of(folder, table="", change=""):
    """The sound tables as a source, one of them corrupted."""
    queries = {name: {"query": query} for name, query in TABLES.items()}
    if table:
        queries[table] = {"query": f"with sound as ({TABLES[table]}) {change}"}
    source = {
        "name": "tiny",
        "title": "tiny",
        "as_of": "AS_OF",
        "tables": queries,
        "known_afterwards": ["satisfaction_score"],
        "churn": {"kind": "inactivity", "inactive_days": 60, "horizon_days": 60},
        "experiment": {"offers": {"discount": {"cost_on_acceptance": 10}}},
    }
    path = folder / "tiny.yaml"
    path.write_text(json.dumps(source).replace('"AS_OF"', "2020-03-01"))
    return load_source(path)
