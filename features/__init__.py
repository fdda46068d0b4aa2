"""Features: pure functions that describe customers, as known at a moment, from event tables."""
