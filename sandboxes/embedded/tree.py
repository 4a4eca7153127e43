"""A folder that an agent leaves behind, read as a tar stream, as a container engine would give it.

No process that could change it is left when it is read, so what is seen first still holds later. Links are not
followed, and the walk ends at the depth below which nothing counts as evidence.
"""

import os
import stat
import tarfile
from collections.abc import Iterator
from typing import Final

from sidedoor.sandboxes.archives import MAX_DEPTH

_CHUNK: Final = 1 << 18
_KINDS: Final = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}
"""Sockets have no place in a tar, and nobody here can make device nodes."""


def tar_stream(folder: int, root: str) -> Iterator[bytes]:
    """Everything below a folder, ordered by the names' bytes; the first of several names of a file has its content.

    Args:
        folder: a descriptor of it, which stays open.
        root: its absolute path where it came from; members are named after its last part.

    Raises:
        OSError: it cannot be read.
    """
    yield from _below(folder, root, root.rpartition("/")[2], {})
    yield bytes(2 * tarfile.BLOCKSIZE)


def _below(folder: int, path: str, member: str, seen: dict[int, str]) -> Iterator[bytes]:
    for name in sorted(os.listdir(folder), key=os.fsencode):
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
        kind = _KINDS.get(stat.S_IFMT(facts.st_mode))
        if kind is None:
            continue
        info = tarfile.TarInfo(f"{member}/{name}")
        info.type, info.mode = kind, stat.S_IMODE(facts.st_mode)
        if kind == tarfile.SYMTYPE:
            info.linkname = os.readlink(name, dir_fd=folder)
        elif kind != tarfile.DIRTYPE and (first := seen.setdefault(facts.st_ino, info.name)) != info.name:
            info.type, info.linkname = tarfile.LNKTYPE, first
        elif kind == tarfile.REGTYPE:
            info.size = facts.st_size
        yield info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        if info.isreg():
            yield from _content(folder, name, info.size)
        elif info.isdir() and f"{path}/{name}".count("/") <= MAX_DEPTH:
            yield from _inside(folder, name, path, info.name, seen)


def _inside(folder: int, name: str, path: str, member: str, seen: dict[int, str]) -> Iterator[bytes]:
    inner = _open(folder, name, os.O_DIRECTORY)
    try:
        yield from _below(inner, f"{path}/{name}", member, seen)
    finally:
        os.close(inner)


def _content(folder: int, name: str, size: int) -> Iterator[bytes]:
    file = _open(folder, name, 0)
    try:
        left = size
        while left > 0 and (data := os.read(file, min(left, _CHUNK))):
            yield data
            left -= len(data)
    finally:
        os.close(file)
    yield bytes(left + -size % tarfile.BLOCKSIZE)


def _open(folder: int, name: str, flags: int) -> int:
    """Open what the agent may have closed to its own user, whose files these are."""
    flags |= os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(name, flags, dir_fd=folder)
    except PermissionError:
        os.chmod(name, stat.S_IRWXU, dir_fd=folder)
        return os.open(name, flags, dir_fd=folder)
