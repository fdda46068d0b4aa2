"""Single files of any place, as processes of other machines read and write them.

A path of this machine is meant to lead to the same disk everywhere; an object store does anyway.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .atomic import MANIFEST, StoreError, parse_manifest, replace_file, verify
from .places import BLOCK, PREFIX, Address, Place, published_file, read_manifest, told


@dataclass(frozen=True)
class Listing:
    """The Parquet files of a folder by their names in it.

    Attributes
    ----------
    files
        Where each lies.
    manifest
        What was published there, None where nobody says.
    """

    files: dict[str, Place]
    manifest: dict[str, Any] | None = None


def below(folder: Place, name: str) -> Place:
    """A file or folder in a folder."""
    if isinstance(folder, Path):
        return folder / name
    return Address(folder.scheme, f"{folder.path}/{name}")


def listing(place: Place, *, nested: bool = True) -> Listing:
    """The Parquet files at a place: of its manifest, else all that are not hidden, or itself.

    Without a manifest, those of folders inside are left out if not `nested`.

    Raises
    ------
    StoreError
        If there are none, or the manifest is damaged.
    """
    manifest: dict[str, Any] | None
    if isinstance(place, Path):
        place = place.resolve()
        file = place / MANIFEST
        manifest = parse_manifest(file.read_bytes(), file) if file.is_file() else None
        inside = [path for path in sorted(place.rglob("*.parquet")) if path.is_file()]
        found = [path.relative_to(place).as_posix() for path in inside]
        alone = place.is_file()
    else:
        manifest = read_manifest(place)
        with told(place) as store:
            from pyarrow.fs import FileSelector

            chosen = FileSelector(place.path, recursive=True, allow_not_found=True)
            infos = [] if manifest else store.get_file_info(chosen)
            paths = [info.path for info in infos if info.is_file]
            found = sorted(path.removeprefix(f"{place.path}/") for path in paths)
            alone = not manifest and not found and store.get_file_info(place.path).is_file
    if alone:
        return Listing({PurePosixPath(str(place)).name: place})
    if isinstance(place, Address) and not found and (stored := published_file(place)):
        return Listing({PurePosixPath(place.path).name: stored[0]})
    if manifest is not None:
        return Listing(_of_manifest(place, manifest), manifest)
    seen = [name for name in found if name.endswith(".parquet") and not _hidden(name)]
    seen = [name for name in seen if nested or "/" not in name]
    if not seen:
        raise StoreError(f"{place}: there are no Parquet files; correct it, or write them first")
    return Listing({name: below(place, name) for name in seen})


def stands(place: Place) -> dict[str, Any]:
    """The manifest of what is published; in a store its files are not read again.

    Raises
    ------
    StoreError
        If nothing is, or it was changed or damaged.
    """
    if isinstance(place, Path):
        return verify(place)
    manifest = read_manifest(place)
    if manifest is None:
        raise StoreError(f"{place}: nothing is published there")
    return manifest


def published_folders(place: Place) -> dict[str, dict[str, Any]]:
    """The manifests of the folders in a folder that were published whole, by name, in order.

    Raises
    ------
    StoreError
        If a manifest is damaged, or a store refuses.
    """
    if isinstance(place, Path):
        found = sorted(place.glob(f"[!.]*/{MANIFEST}"))
        return {file.parent.name: parse_manifest(file.read_bytes(), file) for file in found}
    with told(place) as store:
        from pyarrow.fs import FileSelector

        infos = store.get_file_info(FileSelector(place.path, allow_not_found=True))
    names = sorted(PurePosixPath(info.path).name for info in infos if not info.is_file)
    manifests = {
        name: read_manifest(Address(place.scheme, f"{place.path}/{name}")) for name in names
    }
    return {name: manifest for name, manifest in manifests.items() if manifest is not None}


@contextmanager
def opened(file: Place) -> Iterator[Any]:
    """A file to read and to seek in."""
    if isinstance(file, Path):
        with file.open("rb") as handle:
            yield handle
        return
    with told(file) as store, store.open_input_file(file.path) as handle:
        yield handle


def read(file: Place) -> bytes | None:
    """What a file holds; None where there is none."""
    try:
        with opened(file) as handle:
            return bytes(handle.read())
    except FileNotFoundError:
        return None
    except StoreError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def write(target: Place, content: bytes | Path) -> dict[str, Any]:
    """Write bytes, or copy a file of this machine, so that the target appears whole.

    Returns
    -------
    dict
        Its bytes and sha256, as a manifest says them.
    """
    if isinstance(content, Path):
        facts = {"bytes": content.stat().st_size, "sha256": sha256(content)}
    else:
        facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def copy(stream: Any) -> None:
        if isinstance(content, bytes):
            stream.write(content)
            return
        with content.open("rb") as handle:
            shutil.copyfileobj(handle, stream, BLOCK)

    if isinstance(target, Path):
        replace_file(target, copy)
    else:
        with told(target) as store:
            with store.open_output_stream(target.path) as stream:
                copy(stream)
            if store.get_file_info(target.path).size != facts["bytes"]:
                raise StoreError(f"{target}: was not stored whole; start again")
    return facts


def is_intact(file: Place, digest: str) -> bool:
    """Whether a file is there and has this SHA-256."""
    try:
        return sha256(file) == digest
    except (FileNotFoundError, StoreError):
        return False


def remove(folder: Place) -> None:
    """Remove a folder and all that is in it, if it is there."""
    if isinstance(folder, Path):
        shutil.rmtree(folder, ignore_errors=True)
        return
    with told(folder) as store:
        from pyarrow.fs import FileSelector

        if store.get_file_info(FileSelector(folder.path, allow_not_found=True)):
            store.delete_dir(folder.path)


def sha256(file: Place) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with opened(file) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def stamp(file: Place) -> tuple[int, int, int]:
    """Size, moment and number of a file: some change when it is written to or replaced."""
    if isinstance(file, Path):
        status = file.stat()
        return status.st_size, status.st_mtime_ns, status.st_ino
    with told(file) as store:
        info = store.get_file_info(file.path)
        return info.size or 0, info.mtime_ns or 0, 0


def stamps(place: Place, *, nested: bool = True) -> dict[str, tuple[int, int, int]]:
    """The stamp of each file of `listing`, by its name."""
    return {name: stamp(file) for name, file in listing(place, nested=nested).files.items()}


def _of_manifest(place: Place, manifest: dict[str, Any]) -> dict[str, Place]:
    named = {}
    for name in manifest["files"]:
        parts = PurePosixPath(name).parts
        inner = "/".join(parts[1:] if parts[0].startswith(PREFIX) else parts)
        if inner.endswith(".parquet"):
            named[inner] = below(place, name)
    return named


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in PurePosixPath(name).parts)
