"""Reading watched files out of a tar stream that describes what an agent left behind.

The stream comes from the engine, its content from the agent. So nothing is extracted, no link is followed, names are
only compared, and bytes, files and depth are bounded; what a bound leaves out is marked.
"""

import base64
import hashlib
import io
import re
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Final

from sidedoor.sandboxes.evidence import FileKind, WatchedFile
from sidedoor.sandboxes.hardening import AGENT_HOME, MEBIBYTE

MAX_STREAM: Final = 256 * MEBIBYTE
MAX_CONTENT: Final = 4 * MEBIBYTE
MAX_FILES: Final = 2_000
MAX_DEPTH: Final = 40
_CHUNK: Final = 1 << 18


class WatchedPathError(ValueError):
    """A watched glob that does not lie in the agent's home or `/tmp`."""


class Watch:
    """What is watched.

    Args:
        globs: absolute or starting with `~/`; `*` and `?` stay within a name, `**` crosses folders.

    Attributes:
        roots: the volumes that have to be read, in order.

    Raises:
        WatchedPathError: a glob lies elsewhere.
    """

    def __init__(self, globs: Iterable[str]) -> None:
        expanded = [AGENT_HOME + glob[1:] if glob.startswith("~/") else glob for glob in globs]
        self.roots = sorted({_root(glob) for glob in expanded})
        self._targets = [re.compile(_pattern(glob), re.DOTALL) for glob in expanded]
        self._ways = [re.compile(_pattern(way), re.DOTALL) for glob in expanded for way in _ancestors(glob)]

    def covers(self, path: str, kind: FileKind) -> bool:
        """Whether a path is evidence: it matches, or it is no folder and lies where one should lead to a match."""
        if any(target.fullmatch(path) for target in self._targets):
            return True
        return kind != "directory" and any(way.fullmatch(path) for way in self._ways)


@dataclass
class Harvest:
    """What was read so far.

    Attributes:
        files: by path.
        complete: False once a bound left something out.
    """

    files: dict[str, WatchedFile] = field(default_factory=dict)
    complete: bool = True
    _content: int = 0

    def read(self, chunks: Iterable[bytes], root: str, watch: Watch) -> None:
        """Take what is watched from the tar stream of one root, an absolute path."""
        self._each(chunks, partial(self._take, root, watch))

    def unresolved(self) -> dict[str, list[str]]:
        """Hard links whose content lay under a name that is not watched: that name to theirs."""
        wanted: dict[str, list[str]] = {}
        for found in self.files.values():
            if found.kind == "hardlink" and found.target not in self.files:
                wanted.setdefault(str(found.target), []).append(found.path)
        return wanted

    def resolve(self, chunks: Iterable[bytes], root: str) -> None:
        """Give `unresolved` links their content, from the same stream once more; further links point to the first."""
        self._each(chunks, partial(self._take_linked, root, self.unresolved()))

    def _each(self, chunks: Iterable[bytes], visit: Callable[[tarfile.TarFile, tarfile.TarInfo], None]) -> None:
        try:
            with tarfile.open(fileobj=ChunkReader(chunks, MAX_STREAM), mode="r|", errors="replace") as archive:
                for member in archive:
                    visit(archive, member)
        except (tarfile.TarError, EOFError):
            self.complete = False

    def _take(self, root: str, watch: Watch, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path, kind = _absolute(root, member.name), _kind(member)
        if not watch.covers(path, kind):
            return
        if len(self.files) >= MAX_FILES or path.count("/") > MAX_DEPTH:
            self.complete = False
        elif kind == "file":
            self._keep(archive, member, path)
        else:
            target = _absolute(root, member.linkname) if kind == "hardlink" else member.linkname or None
            self.files[path] = WatchedFile(path=path, kind=kind, mode=member.mode & 0o7777, target=target)

    def _take_linked(
        self, root: str, wanted: Mapping[str, list[str]], archive: tarfile.TarFile, member: tarfile.TarInfo
    ) -> None:
        first, *others = wanted.get(_absolute(root, member.name), [""])
        if first:
            self._keep(archive, member, first)
        for path in others:
            self.files[path] = self.files[path].model_copy(update={"target": first})

    def _keep(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        source = archive.extractfile(member)
        if source is None:
            return
        fits = self._content + member.size <= MAX_CONTENT
        content, digest = _slurp(source, keep=fits)
        self._content += len(content)
        self.complete = self.complete and fits
        text, encoded = _decoded(content) if fits else (None, None)
        self.files[path] = WatchedFile(
            path=path,
            kind="file",
            mode=member.mode & 0o7777,
            size=member.size,
            text=text,
            base64=encoded,
            sha256=digest,
            truncated=not fits,
        )


class ChunkReader(io.RawIOBase):
    """A file object over chunks that ends with `EOFError` when there are more than `most` bytes."""

    def __init__(self, chunks: Iterable[bytes], most: int) -> None:
        self._chunks = iter(chunks)
        self._buffer = b""
        self._left = most

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        pieces, missing = [], size
        while missing > 0:
            if not self._buffer:
                self._buffer = next(self._chunks, b"")
                self._left -= len(self._buffer)
                if self._left < 0:
                    raise EOFError("archive is too long")
            if not self._buffer:
                break
            pieces.append(self._buffer[:missing])
            self._buffer = self._buffer[missing:]
            missing -= len(pieces[-1])
        return b"".join(pieces)


def _root(glob: str) -> str:
    for root in (AGENT_HOME, "/tmp"):  # noqa: S108 - the container's
        if glob.startswith(root + "/") and ".." not in glob.split("/"):
            return root
    raise WatchedPathError(f"watched path '{glob}' is neither under ~/ nor under /tmp/")


def _pattern(glob: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(special.get(part, re.escape(part)) for part in parts)


def _ancestors(glob: str) -> list[str]:
    """Globs of the folders that lead to a match, below the root."""
    inside = glob[len(_root(glob)) + 1 :].split("/")
    return [f"{_root(glob)}/{'/'.join(inside[:end])}" for end in range(1, len(inside))]


def _absolute(root: str, name: str) -> str:
    """Path in the container of a member: the engine names members after the root's last part."""
    _, _, inside = name.strip("/").partition("/")
    return f"{root}/{inside}" if inside else root


def _kind(member: tarfile.TarInfo) -> FileKind:
    kinds: tuple[tuple[bool, FileKind], ...] = (
        (member.isreg(), "file"),
        (member.isdir(), "directory"),
        (member.issym(), "symlink"),
        (member.islnk(), "hardlink"),
        (member.isfifo(), "fifo"),
        (member.ischr() or member.isblk(), "device"),
    )
    return next((kind for matches, kind in kinds if matches), "other")


def _slurp(source: IO[bytes], *, keep: bool) -> tuple[bytes, str]:
    digest, kept = hashlib.sha256(), []
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        if keep:
            kept.append(chunk)
    return b"".join(kept), digest.hexdigest()


def _decoded(content: bytes) -> tuple[str | None, str | None]:
    """Content as text if it is UTF-8, otherwise as base64."""
    try:
        return content.decode("utf-8"), None
    except UnicodeDecodeError:
        return None, base64.b64encode(content).decode("ascii")
