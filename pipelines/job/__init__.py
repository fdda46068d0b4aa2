"""What every command shares: the lock, progress, results and exit codes."""
