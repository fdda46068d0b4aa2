"""Arguments parsed, help printed, and the nearest name told where one was mistyped."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import NoReturn

from ..job.codes import WRONG_USAGE
from ..job.exit_codes import EXIT_CODES
from .declare import PROJECT, Argument, Command, OneOf

START = "start here: winback run"
ABOUT = (
    "Who is about to leave, who of the lost can be won back, with which offer, and what that earns."
)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors have their code."""

    def error(self, message: str) -> NoReturn:
        super().error(f"[{WRONG_USAGE}] {message}")


def parse(
    commands: Mapping[str, Command], arguments: Sequence[str]
) -> tuple[str, argparse.Namespace] | None:
    """The name of the command and its arguments; None, once help is printed, if there are none.

    Wrong usage ends the program with exit code 2, as argparse does.
    """
    top = _top(commands)
    if not arguments:
        top.print_help()
        return None
    first = top.parse_args(arguments)
    if first.command not in commands:
        top.error(f"no command '{first.command}'; {_suggest(first.command, [*commands])}")
    command = commands[first.command]
    parser = command_parser(first.command, command)
    given, unknown = parser.parse_known_args(first.rest)
    if unknown:
        name = unknown[0].partition("=")[0]
        if not name.startswith("-"):
            parser.error(f"one argument too many: '{name}'")
        options = [name for each in command.each_argument() for name in each.names]
        near = _suggest(name, [*filter(lambda name: name.startswith("-"), options), "--help"])
        parser.error(f"no option '{name}'; {near}")
    if "project" not in given:
        given.project = vars(first).get("project")
    return first.command, given


def command_parser(name: str, command: Command) -> argparse.ArgumentParser:
    """The parser of one command."""
    parser = _Parser(
        prog=f"winback {name}",
        description=command.help,
        epilog=exit_codes(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    groups = [part.arguments for part in command.arguments if isinstance(part, OneOf)]
    for group in groups:
        exclusive = parser.add_mutually_exclusive_group()
        for argument in group:
            _add(exclusive, argument)
    for argument in command.each_argument():
        if not any(argument in group for group in groups):
            _add(parser, argument)
    return parser


def listing(commands: Mapping[str, Command]) -> str:
    """The commands with their help, then the exit codes."""
    width = max(map(len, commands)) + 2
    lines = []
    for title, stages in (("commands:", False), ("stages of run, each by itself:", True)):
        lines.append(title)
        lines += [
            f"  {name:<{width}}{command.help}"
            for name, command in commands.items()
            if command.stage == stages
        ]
        lines.append("")
    return "\n".join([*lines, exit_codes()])


def exit_codes() -> str:
    """The exit codes, one line each."""
    return "\n".join(
        ["exit codes:", *(f"  {code:>2}  {meaning}" for code, meaning in EXIT_CODES.items())]
    )


def _top(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="winback",
        usage="winback COMMAND [OPTIONS]     (winback COMMAND --help tells them)",
        description=f"{ABOUT}\n\n{START}",
        epilog=listing(commands),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"winback {version('winback')}")
    _add(parser, PROJECT)
    parser.add_argument("command", help=argparse.SUPPRESS, metavar="COMMAND")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _add(parser: argparse._ActionsContainer, argument: Argument) -> None:
    parser.add_argument(*argument.names, **argument.settings)


def _suggest(name: str, allowed: Sequence[str]) -> str:
    from ..settings.yaml_dataclasses import suggest

    return suggest(name, allowed)
