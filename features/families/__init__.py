"""Feature families, one module each, and their assembly into one table."""
