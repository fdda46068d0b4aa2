"""The tables that a source may have, and the checks that they pass."""
