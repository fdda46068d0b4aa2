"""The steps of batch scoring."""
