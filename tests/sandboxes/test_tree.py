"""Folders read as tar streams: what a container engine would give, and no more."""

import io
import os
import socket
import tarfile
from pathlib import Path

import pytest

from sidedoor.sandboxes.archives import MAX_DEPTH, Harvest, Watch
from sidedoor.sandboxes.embedded.tree import tar_stream


def read(folder: Path) -> tarfile.TarFile:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        data = b"".join(tar_stream(descriptor, "/home/operator"))
    finally:
        os.close(descriptor)
    return tarfile.open(fileobj=io.BytesIO(data), mode="r:")


def test_kinds_modes_contents_and_targets_are_those_of_the_files(tmp_path):
    (tmp_path / "b").mkdir(mode=0o750)
    (tmp_path / "b" / "text").write_bytes(b"x" * 700)
    (tmp_path / "b" / "text").chmod(0o640)
    (tmp_path / "a").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "c", 0o600)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "door"))
    archive = read(tmp_path)
    found = [(m.name, m.type, m.mode, m.size, m.linkname) for m in archive]
    assert found == [
        ("operator/a", tarfile.SYMTYPE, 0o777, 0, "/etc/passwd"),
        ("operator/b", tarfile.DIRTYPE, 0o750, 0, ""),
        ("operator/b/text", tarfile.REGTYPE, 0o640, 700, ""),
        ("operator/c", tarfile.FIFOTYPE, 0o600, 0, ""),
    ]
    assert archive.extractfile("operator/b/text").read() == b"x" * 700


def test_the_first_name_of_a_file_has_its_content_and_the_others_point_to_it(tmp_path):
    (tmp_path / "B").mkdir()
    (tmp_path / "B" / "one").write_text("same")
    os.link(tmp_path / "B" / "one", tmp_path / "a")
    os.link(tmp_path / "a", tmp_path / "é")
    found = {m.name: (m.type, m.linkname) for m in read(tmp_path)}
    assert found["operator/B/one"] == (tarfile.REGTYPE, "")
    assert found["operator/a"] == found["operator/é"] == (tarfile.LNKTYPE, "operator/B/one")


def test_long_names_and_names_that_are_no_text_survive(tmp_path):
    names = ["n" * 200, "line\nbreak", os.fsdecode(b"\xff\xfe")]
    for name in names:
        (tmp_path / name).touch()
    assert {m.name for m in read(tmp_path)} == {f"operator/{name}" for name in names}


def test_the_walk_ends_below_the_depth_that_counts_and_the_harvest_says_so(tmp_path):
    deep = tmp_path
    for _ in range(MAX_DEPTH + 20):
        deep = deep / "d"
        deep.mkdir()
    (tmp_path / "z").write_text("after")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    found, watch = Harvest(), Watch(["~/**"])
    found.read(tar_stream(descriptor, "/home/operator"), "/home/operator", watch)
    os.close(descriptor)
    assert not found.complete
    assert found.files["/home/operator/z"].text == "after"


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 300_000])
def test_members_follow_one_another_whatever_their_size(tmp_path, size):
    (tmp_path / "a").write_bytes(os.urandom(size))
    (tmp_path / "b").write_text("next")
    archive = read(tmp_path)
    assert archive.extractfile("operator/a").read() == (tmp_path / "a").read_bytes()
    assert archive.extractfile("operator/b").read() == b"next"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_what_the_owner_has_closed_is_opened_and_keeps_its_recorded_mode(tmp_path):
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "note").write_text("read me")
    (tmp_path / "closed" / "note").chmod(0)
    (tmp_path / "closed").chmod(0)
    archive = read(tmp_path)
    assert [m.mode for m in archive] == [0, 0]
    assert archive.extractfile("operator/closed/note").read() == b"read me"
