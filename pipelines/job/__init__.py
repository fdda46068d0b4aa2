"""What every command shares: the lock, progress and exit codes."""
