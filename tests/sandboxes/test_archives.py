"""Reading watched files out of tar streams that nobody honest would write."""

import io
import tarfile

import pytest

from sidedoor.sandboxes import archives
from sidedoor.sandboxes.archives import Harvest, Watch, WatchedPathError


def tar(*members: tuple[str, bytes, bytes] | tuple[str, bytes, bytes, str]) -> bytes:
    """A tar of (name, type, content, link target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, content, *link in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "".join(link)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def harvest(data: bytes, *globs: str, piece: int = 700) -> Harvest:
    found, watch = Harvest(), Watch(globs)
    found.read((data[i : i + piece] for i in range(0, len(data), piece)), watch.roots[0], watch)
    return found


@pytest.mark.parametrize(
    ("glob", "path", "covered"),
    [
        ("~/a.txt", "/home/operator/a.txt", True),
        ("~/*.txt", "/home/operator/b/a.txt", False),
        ("~/**/*.txt", "/home/operator/b/c/a.txt", True),
        ("~/**/*.txt", "/home/operator/a.txt", True),
        ("~/notes/**", "/home/operator/notes/.x/y", True),
        ("~/notes/**", "/home/operator/notesXtra", False),
        ("~/?.md", "/home/operator/ab.md", False),
        ("~/a+b(1).md", "/home/operator/a+b(1).md", True),
        ("~/a.md", "/home/operator/axmd", False),
        ("/tmp/*", "/tmp/new\nline", True),
        ("~/*", "/tmp/x", False),
    ],
)
def test_globs_cover_what_a_shell_would(glob, path, covered):
    assert Watch([glob]).covers(path, "file") is covered


@pytest.mark.parametrize("glob", ["/etc/passwd", "notes/*", "/home/operator", "~/../x", "/tmpfoo/x", "~x/y"])
def test_paths_outside_the_two_volumes_cannot_be_watched(glob):
    with pytest.raises(WatchedPathError):
        Watch([glob])


def test_only_what_is_watched_is_taken():
    data = tar(("operator/a.md", tarfile.REGTYPE, b"A"), ("operator/b.txt", tarfile.REGTYPE, b"B"))
    assert [(file.path, file.text) for file in harvest(data, "~/*.md").files.values()] == [("/home/operator/a.md", "A")]


def test_a_stream_cut_short_is_incomplete_and_keeps_what_came():
    data = tar(("operator/a.md", tarfile.REGTYPE, b"A"), ("operator/b.md", tarfile.REGTYPE, b"B" * 5000))
    found = harvest(data[:3000], "~/*.md")
    assert not found.complete
    assert found.files["/home/operator/a.md"].text == "A"


def test_a_stream_that_is_no_tar_is_incomplete():
    assert not harvest(b"\x01garbage" * 1000, "~/*").complete


def test_a_stream_that_never_ends_is_given_up(monkeypatch):
    monkeypatch.setattr(archives, "MAX_STREAM", 50_000)
    data = tar(("operator/a.md", tarfile.REGTYPE, b"A"), ("operator/big", tarfile.REGTYPE, bytes(200_000)))
    found = harvest(data, "~/*.md")
    assert not found.complete
    assert set(found.files) == {"/home/operator/a.md"}


def test_paths_that_are_too_deep_are_left_out_and_said_so():
    deep = "operator/" + "d/" * 60 + "a.md"
    assert not harvest(tar((deep, tarfile.REGTYPE, b"A")), "~/**").complete


def test_device_nodes_and_pipes_are_named_and_not_opened():
    data = tar(("operator/null", tarfile.CHRTYPE, b""), ("operator/pipe", tarfile.FIFOTYPE, b""))
    assert [file.kind for file in harvest(data, "~/*").files.values()] == ["device", "fifo"]
