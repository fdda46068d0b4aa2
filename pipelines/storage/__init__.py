"""Files and folders that are written old or new, never half."""
