"""The ledger of phases: what was written before a kill is read, and nothing that anyone else wrote."""

import os
from pathlib import Path

import pytest

from sidedoor.sandboxes.ledger import Ledger, Phase, enter, last_phases, ledger_kept

HOSTILE = ("", " ", "a\nb", '"]', "\u2028", "\x00", "\x1b[2J", "x" * 100_000, "é-A-1", '["m","i","turn"]')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "phases.jsonl"


def write(path: Path, *entries: tuple[str, str, Phase]) -> None:
    with ledger_kept(path):
        assert Ledger.kept is not None
        for entry in entries:
            Ledger.kept.enter(*entry)


def test_the_last_phase_of_each_sample_of_each_model_is_told(path: Path) -> None:
    write(path, ("m", "a", Phase.START), ("n", "a", Phase.START), ("m", "a", Phase.TURN), ("m", "b", Phase.ENDED))
    assert last_phases(path) == {("m", "a"): Phase.TURN, ("n", "a"): Phase.START, ("m", "b"): Phase.ENDED}


def test_no_name_breaks_a_line_or_passes_for_another(path: Path) -> None:
    write(path, *((name, name, Phase.TURN) for name in HOSTILE))
    assert last_phases(path) == {(name, name): Phase.TURN for name in HOSTILE}


def test_a_name_that_is_no_text_costs_only_its_own_line(path: Path) -> None:
    write(path, ("m", "\ud800", Phase.TURN), ("m", "a", Phase.TURN))
    assert last_phases(path) == {("m", "a"): Phase.TURN}


@pytest.mark.parametrize("kept", range(1, len(b'["m", "b", "turn"]')))
def test_a_line_torn_by_a_kill_says_nothing_and_spoils_none_that_follows(path: Path, kept: int) -> None:
    path.write_bytes(b'\n["m", "a", "turn"]\n' + b'["m", "b", "turn"]'[:kept])
    assert last_phases(path) == {("m", "a"): Phase.TURN}
    write(path, ("m", "c", Phase.START))
    assert last_phases(path) == {("m", "a"): Phase.TURN, ("m", "c"): Phase.START}


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00", b"[" * 1_000_000, b"{}", b'["m", "a", "fired"]', b'["m", 1, "turn"]', b"9" * 9999],
)
def test_what_is_no_ledger_says_nothing(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert last_phases(path) == {}


def test_where_there_is_no_ledger_nothing_is_known_and_nothing_is_written(path: Path) -> None:
    enter(Phase.START)
    assert last_phases(path) == {}
    assert not path.exists()


def test_a_disk_that_fills_up_stops_nobody() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    Ledger(descriptor).enter("m", "a", Phase.START)
    os.close(descriptor)
