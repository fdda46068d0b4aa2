"""params.yaml and the source files as checked values."""
