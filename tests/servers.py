"""A server as docs/registry.md starts it."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "registry.md"


def documented_line(begins: str) -> str:
    """The one line of the page that begins like this."""
    (line,) = re.findall(rf"^{begins} .*", PAGE.read_text(), re.MULTILINE)
    return line
