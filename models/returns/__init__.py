"""Who comes back, for how long, and what the second time is worth."""
