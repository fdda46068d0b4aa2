"""Tables in and out: Parquet, CSV, databases, engines."""
