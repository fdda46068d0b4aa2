"""Codes of refusals: one for each kind of rule, stable, with its cure and an example that fails.

A code is never given to another rule. Codes below WB100 are of commands, those from WB100 on of the
data contract (`features/contract/rules.py`). docs/errors.md lists them; `make docs` writes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...features.contract.rules import RULES


@dataclass(frozen=True)
class Code:
    """What a command refuses.

    Attributes
    ----------
    error
        Name of the exception; its subclasses have the code too, unless they have their own.
    rule, cure
        What must hold, and what to do where it does not.
    given, example
        The state of the project, and a command that is refused in it.
    """

    error: str
    rule: str
    cure: str
    given: str
    example: str


CODES = {
    "WB001": Code(
        "SystemExit",
        "a command and its options exist, and values have their type",
        "`winback COMMAND --help` lists them; the message names the nearest",
        "any project",
        "winback raport",
    ),
    "WB002": Code(
        "SettingsError",
        "`params.yaml` and source files have the keys that are known, with values in their range",
        "correct the line that the message names",
        "`params.yaml` says `lerning_rate`",
        "winback run",
    ),
    "WB003": Code(
        "SourceError",
        "the files, databases and queries of a source can be read",
        "correct the query, or set the variable that leads to the files",
        "`params.yaml` names `sources/hillstrom.yaml`, and its files are not there",
        "winback fingerprint",
    ),
    "WB004": Code(
        "ValueError",
        "what is asked can be done with these settings, models and customers",
        "the message says what was found, and what to change",
        "any project",
        "winback erase",
    ),
    "WB005": Code(
        "FileNotFoundError",
        "a file that a command reads is there",
        "run the stage that makes it, or correct the path",
        "nothing has run yet",
        "winback customer 1",
    ),
    "WB006": Code(
        "StoreError",
        "results of earlier stages are complete and are what was written",
        "run the stage again",
        "nothing has run yet",
        "winback train_churn",
    ),
    "WB007": Code(
        "LockHeld",
        "one job at a time writes to a place",
        "let the other job finish, or end it if whoever started it is gone",
        "another job writes to `data/scores`",
        "winback score --features rows.parquet --no-suppressions",
    ),
    "WB008": Code(
        "ModelRefused",
        "the model is there, and its files are those that were saved or registered",
        "name another model, or train or register it again",
        "there is no folder `nowhere`",
        "winback score --features rows.parquet --no-suppressions --model nowhere",
    ),
    "WB009": Code(
        "SuppressionsUnusable",
        "somebody said who objected, and the list is readable and fresh",
        "name the list, deliver it anew, or say that the business has none",
        "any project",
        "winback score --features rows.parquet",
    ),
    "WB010": Code(
        "DriftBeyondLimit",
        "the customers to score resemble those for whom the model was registered",
        "look for what changed in the data; train anew, or raise `--drift-limit`",
        "models are registered, and today's customers have 50 times the orders",
        "winback score --no-suppressions --model models:/winback@challenger",
    ),
    "WB011": Code(
        "Vetoed",
        "a challenger passes every gate under `promote:`",
        "`winback promote` prints each gate with its figure; train a better model",
        "models are registered, and today's customers have 50 times the orders",
        "winback promote",
    ),
    "WB012": Code(
        "ExperimentError",
        "the offers of the experiment can be compared",
        "correct the offers or the experiment in the source, as the message says",
        "no customer of the experiment got one of its offers",
        "winback readout",
    ),
    "WB013": Code(
        "SampleRatioMismatch",
        "the arms have the sizes that the plan drew",
        "find out who is missing from which arm before anything is believed",
        "half of the customers of one arm are missing",
        "winback readout",
    ),
    "WB014": Code(
        "MemoryError",
        "the work fits into memory",
        "give it more, or lower `machine.threads`, or `--part-rows` of score; where the message "
        "speaks of `memory_limit`, raise `machine.memory_limit`",
        "the project has results, and `machine.memory_limit` is 8MB",
        "winback featurize --tables data/tables --features data/features",
    ),
    "WB015": Code(
        "OSError",
        "the disk has room, and a command may write where it is told to",
        "make room or name another place; what stood before stands",
        "`data` is a file",
        "winback fingerprint --out data/fingerprint.json",
    ),
    "WB100": Code(
        "ContractError",
        "the tables of a source keep the data contract",
        "each line below it has a code of its own",
        "the table `orders` of a source has no column `amount`",
        "winback ingest",
    ),
}
CHECKS = {  # of winback doctor: its name -> code, what must hold
    "settings": ("WB201", "`params.yaml` and the source are valid"),
    "python": ("WB202", "Python is of a supported version"),
    "packages": ("WB203", "packages are those of the lock"),
    "disk": ("WB204", "the disk has room for tables that spill"),
    "memory": ("WB205", "`machine.memory_limit` leaves memory for the rest"),
    "source": ("WB206", "the files that the source reads are there and readable"),
    "git": ("WB207", "settings, source and code are committed"),
    "dvc": ("WB208", "DVC answers, and the stages are up to date"),
    "mlflow": ("WB209", "the registry answers"),
    "spark": ("WB210", "Spark has its Java"),
    "suppressions": ("WB211", "the source has a table of who objected, or says that nobody can"),
    "data": ("WB212", "purchases go on up to `as_of`, and no attribute is a number that is text"),
}
WRONG_USAGE, NO_MEMORY = "WB001", "WB014"
_BY_ERROR = {code.error: name for name, code in CODES.items()}
_BY_ERROR |= {"OutOfMemoryException": NO_MEMORY}  # of DuckDB
PAGE = """# Errors

Every refusal names its code, such as `[WB006]`, and nothing that stood before it is changed. With
`--json` the code stands beside the message. What the process ends with is in
[commands.md](commands.md#exit-codes).

## Commands
"""


def code_of(error: BaseException) -> str | None:
    """The code of an error: that of its class, or of the nearest class that it extends.

    None for errors that nobody foresaw, those of a network among them: a traceback tells more.
    """
    names = [kind.__name__ for kind in type(error).__mro__]
    found = next((name for name in names if name in _BY_ERROR), None)
    of_network = isinstance(error, ConnectionError | TimeoutError)
    if found == "OSError" and (of_network or getattr(error, "errno", None) is None):
        return None
    return None if found is None else _BY_ERROR[found]


def errors_page() -> str:
    """The page of docs/ as Markdown."""
    lines = [PAGE]
    for name, code in CODES.items():
        lines += [
            f"### {name}",
            "",
            f"Rule: {code.rule}. Cure: {code.cure}. Refused ({code.given}): `{code.example}`",
            "",
        ]
    lines += [
        "## Warnings of winback doctor",
        "",
        "A line that is not `ok` names its code and its cure.",
        "",
        "| code | check | rule |",
        "|---|---|---|",
        *(f"| {code} | {name} | {rule} |" for name, (code, rule) in CHECKS.items()),
        "",
        "## The data contract",
        "",
        "`sound` stands for a table that keeps the [contract](contract.md); a source's query that",
        "ends as the example is refused.",
        "",
        "| code | rule | cure | refused |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {rule.code} | {rule.rule} | {rule.cure} | `{rule.table}`: `{rule.example}` |"
        for rule in RULES
    ]
    return "\n".join(lines) + "\n"
