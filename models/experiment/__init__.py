"""What an experiment says before any model is fitted."""
