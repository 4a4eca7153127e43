"""An unpacked copy of the image's programs, for machines that run without a container engine.

Only `/usr` and what its programs need is kept: users, settings and our own programs come with each machine. Agents can
see the folder's path in their table of mounts, so its usual name says nothing of what it is for.
"""

import contextlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

import platformdirs

from sidedoor.sandboxes.archives import ChunkReader
from sidedoor.sandboxes.engine import EngineUnavailableError, connect
from sidedoor.sandboxes.image import ImageError, base_tag, bootstrap, ensure_base
from sidedoor.sandboxes.machine import Progress

VARIABLE: Final = "SIDEDOOR_IMAGE"
EXPORT: Final = "`sidedoor image export`"
MAX_BYTES: Final = 1 << 34
STAMP: Final = "image"
KEPT: Final = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
KEPT_SETTINGS: Final = ("etc/alternatives", "etc/ld.so.cache", "etc/localtime")


class Exported(NamedTuple):
    """A copy: its folder, which holds `usr`, and the tag of the image's base that it was made from."""

    root: Path
    tag: str


def usual_folder() -> Path:
    """Where the copy is looked for: the folder named by `SIDEDOOR_IMAGE`, or one in a cache."""
    if named := os.environ.get(VARIABLE):
        return Path(named).resolve()
    return (Path("/var/cache") if os.geteuid() == 0 else platformdirs.user_cache_path()) / "workplace"


def exported_image() -> Exported | None:
    """The copy that is there and up to date.

    Raises:
        ImageError: `SIDEDOOR_IMAGE` names a folder without one.
    """
    root = usual_folder()
    with contextlib.suppress(OSError):
        if (root / STAMP).read_text(encoding="utf-8") == base_tag():
            return Exported(root, base_tag())
    if os.environ.get(VARIABLE):
        raise ImageError(f"{VARIABLE}={root} holds no copy of the present image: run {EXPORT}, or unset it")
    return None


def export_image(folder: Path, progress: Progress) -> None:
    """Unpack the image's programs into a folder, in place of an earlier copy. Blocks for about a minute.

    Raises:
        ImageError: something else is in the folder, or the image could not be had.
        OSError: it cannot be written.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / STAMP).exists():
        raise ImageError(f"{folder} is not empty and holds no earlier copy: give another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary, _base(progress) as base:
        progress(f"unpacking into {folder}")
        fresh = Path(temporary) / "fresh"
        _unpack(base, fresh)
        (fresh / STAMP).write_text(base_tag(), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)


@contextlib.contextmanager
def _base(progress: Progress) -> Iterator[IO[bytes] | ChunkReader]:
    """The base image's files as a tar stream: from the engine that has it or can make it, or bootstrapped."""
    try:
        engine = connect()
    except EngineUnavailableError:
        with tempfile.TemporaryDirectory() as folder, bootstrap(Path(folder), progress).open("rb") as archive:
            yield archive
        return
    made = engine.client.create_container(ensure_base(engine, progress), ["true"])
    try:
        yield ChunkReader(engine.client.export(made["Id"]), MAX_BYTES)
    finally:
        engine.client.remove_container(made["Id"], force=True)


def _unpack(base: IO[bytes] | ChunkReader, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    with tarfile.open(fileobj=base, mode="r|") as archive:
        archive.extraction_filter = lambda member, _: member  # it has been chosen already
        for member in archive:
            member.name = member.name.removeprefix("./").strip("/")
            if _is_kept(member):
                member.mode &= 0o755
                archive.extract(member, folder, numeric_owner=True)


def _is_kept(member: tarfile.TarInfo) -> bool:
    parts = member.name.split("/")
    wanted = parts[0] in KEPT or "/".join(parts[:2]) in KEPT_SETTINGS
    return wanted and ".." not in parts and (member.isreg() or member.isdir() or member.issym() or member.islnk())
