"""What a customer is at a moment: pure functions from event tables to as-of features."""
