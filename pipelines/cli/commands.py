"""Every command by name, in the order of `winback --help`."""

from __future__ import annotations

from .campaigns import CAMPAIGNS
from .declare import Command
from .jobs import JOBS
from .looks import LOOKS
from .models import MODELS
from .stages import STAGES

COMMANDS: dict[str, Command] = {**JOBS, **LOOKS, **CAMPAIGNS, **MODELS, **STAGES}
