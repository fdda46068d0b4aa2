"""What is estimated and decided: pure functions and estimators, no I/O."""
