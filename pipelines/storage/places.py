"""Folders of results in an object store: whole parts first, the manifest that names them last.

An object store cannot swap folders. So each publication puts its files under a prefix of its own,
which is never changed, and then replaces one object, `_manifest.json`, which lists them: a store
shows the old object or the new one. What readers follow is the manifest. Prefixes begin with an
underscore, so that whoever reads the folder without it finds nothing rather than rows twice.

    s3://bucket/scores/_manifest.json
    s3://bucket/scores/_parts-2f6c.../part-00000.parquet

Credentials, region and endpoint come from the environment, as the clients of each store take them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from . import atomic
from .atomic import MANIFEST, NewFolder, StoreError, clean_leftovers
from .store_clients import SCHEMES, file_system

KEPT = timedelta(days=1)  # for readers of an older manifest, and for writers at work elsewhere
_ADDRESS = re.compile(r"(?P<scheme>[a-z0-9]+)://(?P<path>[A-Za-z0-9][A-Za-z0-9_.-]*(/[^?#@]+)+)")
PREFIX = "_parts-"
BLOCK = 2**22  # bytes copied at a time


@dataclass(frozen=True)
class Address:
    """A folder or file of an object store.

    Attributes
    ----------
    scheme
        Of `SCHEMES`.
    path
        The bucket and the key, without a slash at the end.
    """

    scheme: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"


Place = Path | Address


def place(text: str) -> Place:
    """A path of this machine, also as file://, or an address in an object store.

    Raises
    ------
    ValueError
        If the address is of another scheme, names no folder in a bucket, or carries credentials;
        the message does not repeat these.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        return Path(text)
    if scheme == "file" and rest.startswith("/"):
        return Path(rest)
    if scheme not in SCHEMES:
        raise ValueError(
            f"{scheme}:// is not supported; give a path, file:///..., "
            + " or ".join(f"{known}://BUCKET/..." for known in SCHEMES)
        )
    match = _ADDRESS.fullmatch(text.rstrip("/"))
    if match is None or {".", ".."} & {*match["path"].split("/")}:
        raise ValueError(
            f"an address of {scheme}:// must be {scheme}://BUCKET/FOLDER, without '?', '#' and "
            "'@'; credentials come from the environment"
        )
    return Address(scheme, match["path"])


def waiting(address: Address) -> Path:
    """The local path beside which a job keeps its lock and its parts until they are published."""
    return Path("data") / f"for-{hashlib.sha256(str(address).encode()).hexdigest()[:12]}"


@contextmanager
def replace_folder(target: Place, prefix: str | None = None) -> Iterator[NewFolder]:
    """`atomic.replace_folder`, also for a folder of a store; readers see the old or the new one.

    Parameters
    ----------
    prefix
        Of a store, in which the files `written` of the new folder lie already; None for a new one.

    Raises
    ------
    StoreError
        If the store refuses, or other files lie there; what stood there stays.
    """
    if isinstance(target, Path):
        with atomic.replace_folder(target) as new:
            yield new
        return
    check_replaceable(target)
    beside = waiting(target)
    new = NewFolder(_empty(beside))
    try:
        yield new
        atomic.write_manifest(new.path, new.extra)
        _publish(new, target, prefix or f"{PREFIX}{uuid.uuid4().hex}")
    finally:
        shutil.rmtree(new.path, ignore_errors=True)


def check_replaceable(address: Address) -> None:
    """See that a store answers, and that what lies at an address was published by `replace_folder`.

    Raises
    ------
    StoreError
        If not.
    """
    if read_manifest(address) is not None:
        return
    from pyarrow.fs import FileType

    bucket = address.path.partition("/")[0]
    with told(address) as files:
        if files.get_file_info(bucket).type == FileType.NotFound:
            raise StoreError(f"{address}: there is no bucket {bucket}")
        names = [PurePosixPath(info.path).name for info in _listed(files, address.path)]
    if any(not name.startswith(PREFIX) for name in names):
        raise StoreError(f"{address}: is there already and has no {MANIFEST}; name another folder")


def read_manifest(address: Address) -> dict[str, Any] | None:
    """What stands at an address, None where nothing was published.

    Raises
    ------
    StoreError
        If the store refuses, or the manifest was changed or damaged.
    """
    with told(address) as files:
        try:
            with files.open_input_stream(f"{address.path}/{MANIFEST}") as stream:
                text = bytes(stream.read())
        except FileNotFoundError:
            return None
    return atomic.parse_manifest(text, f"{address}/{MANIFEST}")


def published_file(address: Address) -> tuple[Address, dict[str, Any]] | None:
    """Where a file of a published folder lies and what its manifest says of it.

    None where no manifest beside it names it.
    """
    parent, _, name = address.path.rpartition("/")
    manifest = read_manifest(Address(address.scheme, parent)) if "/" in parent else None
    for stored, facts in (manifest or {"files": {}})["files"].items():
        prefix, _, inner = stored.partition("/")
        if inner == name and prefix.startswith(PREFIX):
            return Address(address.scheme, f"{parent}/{stored}"), facts
    return None


@contextmanager
def local_copy(source: Place | None, name: str) -> Iterator[Path | None]:
    """What lies at a place as a path of this machine, for the length of the block.

    Of a folder with a manifest the files that it lists are copied, each compared with it; of
    another folder its files, without those that begin with an underscore; a file is found by its
    name beside the manifest too. Files keep the moment at which they were written.

    Parameters
    ----------
    source
        None is given back.
    name
        Tells copies of the same process apart.

    Raises
    ------
    StoreError
        If there is nothing, the store refuses, or a file is not what the manifest says.
    """
    if not isinstance(source, Address):
        yield source
        return
    folder = _empty(Path("data") / f"copy-of-{name}")
    try:
        yield _fetch(source, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(new: NewFolder, address: Address, prefix: str) -> None:
    """Upload a folder with a manifest, name its files in that of the store, remove what is old."""
    folder = new.path
    inner = atomic.verify(folder)
    names = [*inner["files"], MANIFEST]
    if new.written:
        inner["files"] |= new.written
        atomic.replace_file(folder / MANIFEST, atomic.manifest_text(inner))
    own = {MANIFEST: {"sha256": atomic.file_hash(folder / MANIFEST)}}
    listed = {f"{prefix}/{name}": facts for name, facts in {**inner["files"], **own}.items()}
    with told(address) as files:
        for name in names:
            target = f"{address.path}/{prefix}/{name}"
            with (folder / name).open("rb") as read, files.open_output_stream(target) as write:
                shutil.copyfileobj(read, write, BLOCK)
            if files.get_file_info(target).size != (folder / name).stat().st_size:
                raise StoreError(f"{address}/{prefix}/{name}: was not stored whole; start again")
        with files.open_output_stream(f"{address.path}/{MANIFEST}") as write:
            write.write(atomic.manifest_text({**inner, "files": listed}))
        _remove_old(files, address, prefix)


def _remove_old(files: Any, address: Address, current: str) -> None:
    """Remove prefixes whose last file was written `KEPT` before the manifest that stands now."""
    from pyarrow.fs import FileSelector

    now = files.get_file_info(f"{address.path}/{MANIFEST}").mtime
    for info in _listed(files, address.path):
        name = PurePosixPath(info.path).name
        if not name.startswith(PREFIX) or name == current:
            continue
        inside = files.get_file_info(FileSelector(info.path, recursive=True))
        written = [file.mtime for file in inside if file.is_file and file.mtime]
        if written and now - max(written) > KEPT:
            files.delete_dir(info.path)


def _fetch(address: Address, folder: Path) -> Path:
    manifest = read_manifest(address)
    with told(address) as files:
        if manifest is not None:
            names = [*manifest["files"]]
            published = all(name.startswith(PREFIX) for name in names)
            for name in names if published else [*names, MANIFEST]:  # or a folder copied there
                inner = PurePosixPath(name).parts[1:] if published else (name,)
                _download(files, f"{address.path}/{name}", folder.joinpath(*inner))
            atomic.verify(folder)
            return folder
        if files.get_file_info(address.path).is_file:
            target = folder / PurePosixPath(address.path).name
            _download(files, address.path, target)
            return target
        found = [info for info in _listed(files, address.path) if info.is_file]
        if not found and (stored := published_file(address)):
            place_there, facts = stored
            target = folder / PurePosixPath(address.path).name
            _download(files, place_there.path, target)
            if atomic.file_hash(target) != facts["sha256"]:
                raise StoreError(f"{address}: is not what its manifest says; publish it again")
            return target
        if not found:
            raise StoreError(f"{address}: not found, or no files in it")
        for info in found:
            if not PurePosixPath(info.path).name.startswith("_"):
                _download(files, info.path, folder / PurePosixPath(info.path).name)
    return folder


def _download(files: Any, path: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.open_input_stream(path) as read, target.open("wb") as write:
        shutil.copyfileobj(read, write, BLOCK)
    written = files.get_file_info(path).mtime
    if written is not None:
        os.utime(target, (written.timestamp(), written.timestamp()))


def _listed(files: Any, path: str) -> list[Any]:
    from pyarrow.fs import FileSelector

    infos = files.get_file_info(FileSelector(path, allow_not_found=True))
    return sorted(infos, key=lambda info: info.path)


def _empty(path: Path) -> Path:
    """A new hidden folder beside a path, which a later writer removes if this process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    clean_leftovers(path)
    folder = path.with_name(f".{path.name}.new-{os.getpid()}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


@contextmanager
def told(address: Address) -> Iterator[Any]:
    """The file system of an address; what it says in errors as one of ours.

    Raises
    ------
    StoreError
        In the place of what the store's client raises.
    """
    try:
        yield file_system(address.scheme)
    except StoreError:
        raise
    except OSError as error:
        if error.filename is not None:  # of this machine, such as a full disk
            raise
        raise StoreError(f"{address}: {str(error).splitlines()[0]}") from error
