"""How a command is declared: one line of help, its arguments, and what runs it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..job.result import Result
from ..storage.default_paths import PATHS


@dataclass(frozen=True)
class Argument:
    """An option or a positional argument, as `argparse.ArgumentParser.add_argument` takes it."""

    names: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class OneOf:
    """Arguments of which at most one may be given."""

    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes
    ----------
    help
        One line, also of `winback --help`.
    run
        Called with the parsed arguments. Imports what is heavy inside, so that help stays fast.
    arguments
        Beside `--project`, which every command has.
    json
        Whether `--json` prints the facts of the result in place of its text.
    stage
        Whether it is a stage of dvc.yaml; help lists these apart.
    """

    help: str
    run: Callable[[argparse.Namespace], Result | None]
    arguments: tuple[Argument | OneOf, ...] = ()
    json: bool = False
    stage: bool = False

    def each_argument(self) -> Iterator[Argument]:
        """Its own arguments, those of groups one by one, and those that are added to it."""
        for part in self.arguments:
            yield from part.arguments if isinstance(part, OneOf) else (part,)
        if self.json:
            yield JSON
        yield PROJECT


def argument(*names: str, **settings: Any) -> Argument:
    """An argument; the settings are those of `argparse.ArgumentParser.add_argument`."""
    return Argument(names, settings)


POPULATION = argument(
    "--population",
    choices=("lost", "active"),
    default="lost",
    help="whose: lost customers (default), or active ones whom an offer may keep",
)


def flag(name: str, help: str) -> Argument:
    """An option without a value."""
    return argument(name, action="store_true", help=help)


def paths(*names: str, kind: Callable[[str], Any] | None = None) -> tuple[Argument, ...]:
    """Options `--NAME PATH` with the default paths of dvc.yaml; `kind` is `local` by default."""
    return tuple(
        argument(
            f"--{name}",
            type=kind or local,
            default=PATHS[name],
            metavar="PATH",
            help="default %(default)s",
        )
        for name in names
    )


def moment(text: str) -> datetime:
    """A moment such as 2026-01-31 or 2026-01-31T12:00+03:00, as naive UTC.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    from ..settings.moments import naive_utc

    try:
        return naive_utc(datetime.fromisoformat(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no moment such as 2026-01-31") from None


def local(path: str) -> Path:
    """A path of this machine; an address elsewhere would silently become a folder here.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is an address.
    """
    scheme, separator, _ = path.partition("://")
    if separator:
        raise argparse.ArgumentTypeError(
            f"'{path}' is an address ({scheme}://); here only files of this machine will do"
        )
    return Path(path)


def anywhere(path: str) -> Any:
    """A path of this machine, or a folder or file in an object store.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is an address that is not supported.
    """
    if "://" not in path:
        return Path(path)
    from ..storage.places import place

    try:
        return place(path)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


PROJECT = argument(
    "--project",
    type=local,
    default=argparse.SUPPRESS,
    metavar="DIR",
    help="work in that project folder, as if called from there",
)
ENGINE = argument(
    "--engine",
    choices=("local", "spark"),
    default="local",
    help="who reads and computes; default local",
)
JSON = flag("--json", "one object for machines on standard output")
