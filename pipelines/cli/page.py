"""The page of docs/ that lists every command, option and exit code; `make docs` writes it."""

from __future__ import annotations

from pathlib import Path

from ..job.exit_codes import EXIT_CODES
from .commands import COMMANDS
from .declare import Argument

PAGE = Path("docs/commands.md")
HEAD = """# Commands

`winback COMMAND --help` says the same. Stages are what `winback run` runs, each by itself. Paths
are of this machine, but for those that an object store may hold ([which](batch.md#object-stores));
their defaults are those of `dvc.yaml`.
"""


def commands_page() -> str:
    """The page as Markdown."""
    lines = [HEAD]
    for name, command in COMMANDS.items():
        lines += [f"## winback {name}", ""]
        told = f"stage: {command.help}" if command.stage else command.help
        lines += [f"{told[0].upper()}{told[1:]}.", ""]
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [_row(argument) for argument in command.each_argument()] + [""]
    lines += ["## Exit codes", "", "| exit code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(lines) + "\n"


def _row(argument: Argument) -> str:
    name, settings = argument.names[0], argument.settings
    value = settings.get("metavar") or "/".join(settings.get("choices", ()))
    if not value and "action" not in settings:
        value = name.strip("-").upper()
    shown = f"{name} {value}".rstrip() if name.startswith("-") else value
    meaning = settings.get("help", "").replace("%(default)s", f"{settings.get('default')}")
    return f"| `{shown}` | {meaning} |"


if __name__ == "__main__":
    PAGE.write_text(commands_page())
