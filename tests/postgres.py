"""A real PostgreSQL in a folder of its own, for tests that need one."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_servers import free_port

PASSWORD = "s3cret/pass"
QUOTED = "s3cret%2Fpass"


def programs() -> Path | None:
    """The folder of PostgreSQL's server programs, newest first; None where it is not installed."""
    if sys.platform != "linux":
        return None
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    on_path = shutil.which("initdb")
    return found[0].parent if found else Path(on_path).resolve().parent if on_path else None


def psql(uri: str, sql: str) -> None:
    """Run SQL, or a command of psql."""
    program = str(programs() / "psql")
    done = subprocess.run([program, "-q", uri, "-c", sql], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


@contextmanager
def running() -> Iterator[str]:
    """The uri of a server that runs as long as the block; its owner may do everything."""
    folder = Path(tempfile.mkdtemp(prefix="winback-pg-", dir="/tmp"))
    if os.geteuid() == 0:  # PostgreSQL refuses root; Debian's package brings a user for it
        shutil.chown(folder, "postgres")
        who: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []}
    else:
        who = {}
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    port = free_port()
    data = folder / "data"
    initialize = (
        *(programs() / "initdb", "-D", data, "-U", "owner", "-A", "scram-sha-256"),
        *("--pwfile", folder / "password", "-E", "UTF8", "--no-sync", "--locale", "C"),
    )
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    control = (programs() / "pg_ctl", "-D", data, "-w", "-l", folder / "log")
    given = {"cwd": folder, "capture_output": True, "timeout": 60, **who}
    try:
        subprocess.run(initialize, check=True, **given)
        subprocess.run((*control, "-o", options, "start"), check=True, **given)
        yield f"postgresql://owner:{QUOTED}@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run((*control, "-m", "immediate", "stop"), check=False, **given)
        shutil.rmtree(folder, ignore_errors=True)
