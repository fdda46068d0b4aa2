"""How it runs: one module per DVC stage, the command line, and everything that touches a disk."""
