"""What the simulated world must reproduce, and what a run gave."""
