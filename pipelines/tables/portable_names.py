"""Names that every file system and registry takes, of what a source calls its offers."""

from __future__ import annotations

import hashlib
import re

_OTHERS = re.compile(r"[^A-Za-z0-9_.-]")


def portable_name(name: str) -> str:
    """The name with `_` for all but letters, digits, `_`, `.` and `-`.

    Where any is replaced, a digest of the whole tells `10%` from `10$`.
    """
    plain = _OTHERS.sub("_", name)
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return plain if plain == name else f"{plain}-{digest}"
