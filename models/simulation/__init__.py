"""A simulated telecom with an experiment, after Kumar, Bhagwat and Zhang (2015)."""
