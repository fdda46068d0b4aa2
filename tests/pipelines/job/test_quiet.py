"""Programs that talk: silent while all is well, heard when something fails."""

import subprocess
import sys

import pytest

from winback.pipelines.job.quiet import quiet_children


def talk():
    code = "import sys; sys.stderr.write('setting default log level')"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_program_that_talks_is_not_heard_and_others_are(capfd):
    with quiet_children():
        talk()
    assert not capfd.readouterr().err
    talk()
    assert capfd.readouterr().err == "setting default log level"


def test_what_was_said_is_told_when_the_block_fails(capfd):
    with pytest.raises(ZeroDivisionError), quiet_children():
        talk() or 1 / 0
    assert capfd.readouterr().err == "setting default log level"
