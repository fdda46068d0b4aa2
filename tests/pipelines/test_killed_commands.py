"""Commands killed, failed at calls below Python or short of memory, and called again."""

import json
import shutil
import subprocess
import sys

import killed_commands
import pytest
from bar import FULL

DISTURBED = {  # how often in `make bar`, up to every call; MLflow takes seconds each time
    "score": 160,
    "campaign": 160,
    "erase": 60,
    "register": 12,
    "promote": 12,
    "rollback": 12,
    "recommend": 20,
    "evaluate": 12,
    "ingest": 20,
}
IN_TESTS = {"recommend": 3}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="loads a library first"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here"),
]


@pytest.mark.parametrize("command", DISTURBED if FULL else IN_TESTS)
@pytest.mark.parametrize("how", ["calls", "random", "memory"] if FULL else ["calls", "random"])
@pytest.mark.bar("commands killed or failed: half a result, or one that a second call does not end")
def test_a_command_that_is_disturbed_leaves_old_or_new(finished, figure, command, how):
    times = DISTURBED[command] if FULL else IN_TESTS[command]
    times = times if how == "calls" else max(3, times // 4)
    done = subprocess.run(
        [sys.executable, killed_commands.__file__, finished, command, str(times), how],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["killed" if how != "memory" else "refused"] > 0
    found = seen["half"] + seen["not finished by a second call"]
    figure(tries=seen["disturbed"], found=found, about=done.stdout)
