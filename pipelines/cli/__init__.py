"""The command line: `winback STAGE` runs one stage, `winback run` the whole pipeline."""

from .commands import COMMANDS
from .dispatch import main, script

__all__ = ["COMMANDS", "main", "script"]
