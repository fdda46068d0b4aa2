"""Raw files of the shop, and the tables that were made of them."""

import shutil
from pathlib import Path

import pytest
from shop import run, shop, write_raw


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Sound raw files, and their accepted tables."""
    folder = tmp_path_factory.mktemp("sound")
    write_raw(folder / "raw")
    run(shop(folder / "raw"), folder / "out")
    return folder


@pytest.fixture
def raw(once, tmp_path):
    return Path(shutil.copytree(once / "raw", tmp_path / "raw"))


@pytest.fixture
def accepted(once, tmp_path):
    """A folder in which the sound tables were accepted."""
    return Path(shutil.copytree(once / "out", tmp_path / "out"))
