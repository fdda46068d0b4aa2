"""One module per family of features, and their assembly into one table."""
