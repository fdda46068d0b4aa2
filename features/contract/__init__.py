"""The data contract: the tables that a source may have, and the checks of their content."""
