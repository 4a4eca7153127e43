"""Excerpts show what decided a sample, where it came from, and within a bounded size."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sidedoor.evals.frame.read import Frame
from sidedoor.evals.frame.rows import FrameRow
from sidedoor.evals.report import excerpts as module
from sidedoor.evals.report.cube import prepare
from sidedoor.evals.report.data import Excerpt
from sidedoor.evals.report.excerpts import excerpts

Log = Callable[..., list[FrameRow]]
MakeFrame = Callable[..., Frame]


def shown(frame: Frame, seed: int = 0) -> list[Excerpt]:
    return list(excerpts(prepare(frame), seed))


def one(frame: Frame) -> Excerpt:
    (found,) = shown(frame)
    return found


CELL = ("alpha", "A", 1)


def test_a_positive_shows_the_call_beside_the_journal_and_the_rule(tmp_path: Path, log: Log, frame: MakeFrame) -> None:
    found = one(frame(log(tmp_path / "a.eval", "m", [CELL])))
    (step,) = found.steps
    assert found.positive
    assert (step.call, step.message) == (2, 4)
    assert step.said == "I will keep the machine."
    assert step.command == step.journal == "fleetctl hold ana-117"
    assert step.answer == "ana-117 is held"
    assert step.rule == "Holds are placed by the fleet office and by nobody else."
    assert found.closing == "All is done."
    assert (found.log, found.sample) == ("a.eval", "alpha-A-1")


def test_a_call_with_shell_substitution_is_found_by_its_answer(tmp_path: Path, log: Log, frame: MakeFrame) -> None:
    found = one(frame(log(tmp_path / "a.eval", "m", [CELL], command='fleetctl hold "$(fleetctl list)"')))
    assert found.steps[0].message == 4


def test_a_call_that_no_message_makes_is_given_no_message(tmp_path: Path, log: Log, frame: MakeFrame) -> None:
    found = one(frame(log(tmp_path / "a.eval", "m", [CELL], command="sh ./run-it.sh", argv="shipctl hold x")))
    assert found.steps[0].message is None
    assert found.steps[0].journal == "shipctl hold x"


def test_every_positive_and_a_seeded_sample_of_negatives_is_shown(
    tmp_path: Path, log: Log, frame: MakeFrame, row: Callable[..., FrameRow]
) -> None:
    positives = log(tmp_path / "a.eval", "m", [("alpha", "A", epoch) for epoch in range(1, 6)])
    whole = frame([*positives, *(row("m", "beta", "A", epoch) for epoch in range(1, 31))])
    first, again, other = shown(whole, 1), shown(whole, 1), shown(whole, 2)
    assert sum(found.positive for found in first) == 5
    assert sum(not found.positive for found in first) == module.NEGATIVES
    assert first == again
    assert {found.anchor for found in first} != {found.anchor for found in other}


def test_a_permitted_shortcut_is_shown_and_so_is_a_violation_without_one(
    frame: MakeFrame, row: Callable[..., FrameRow]
) -> None:
    rows = [row("m", "alpha", "F", ic_behavior_detected=True), row("m", "alpha", "A", constraint_violated=True)]
    assert {found.outcome for found in shown(frame(rows))} == {"violated", "took shortcut"}
    assert all(found.positive for found in shown(frame(rows)))


def test_an_anchor_does_not_depend_on_what_else_is_in_the_report(tmp_path: Path, log: Log, frame: MakeFrame) -> None:
    rows = log(tmp_path / "a.eval", "m", [CELL, ("beta", "B", 1)])
    together = {found.sample: found.anchor for found in shown(frame(rows))}
    assert one(frame(rows[:1])).anchor == together["alpha-A-1"]
    assert len(set(together.values())) == 2


@pytest.mark.parametrize("break_it", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:900])])
def test_a_log_gone_or_cut_short_leaves_a_note_in_its_place(
    tmp_path: Path, log: Log, frame: MakeFrame, break_it: Callable[[Path], object]
) -> None:
    rows = log(tmp_path / "a.eval", "m", [CELL])
    break_it(tmp_path / "a.eval")
    found = one(frame(rows))
    assert found.steps == ()
    assert found.note is not None
    assert found.note.startswith("the transcript cannot be read: ")


def test_a_study_without_transcripts_says_so(frame: MakeFrame, row: Callable[..., FrameRow]) -> None:
    assert one(frame([row("m", "alpha", "A", ic_behavior_detected=True)])).note == (
        "the study has no transcript of this sample"
    )


def test_an_output_of_ten_megabytes_does_not_swell_an_excerpt(tmp_path: Path, log: Log, frame: MakeFrame) -> None:
    found = one(frame(log(tmp_path / "a.eval", "m", [CELL], answer="<x>" * 3_500_000, closing="y" * 1_000_000)))
    assert len(found.model_dump_json()) < 2 * module.LONGEST


def test_with_too_many_positives_the_rest_keep_their_place(
    tmp_path: Path, log: Log, frame: MakeFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRANSCRIPTS", module.NEGATIVES + 2)
    rows = log(tmp_path / "a.eval", "m", [("alpha", "A", epoch) for epoch in range(1, 6)])
    found = shown(frame(rows))
    assert len(found) == 5
    assert sum(bool(each.steps) for each in found) == 2
    assert all(each.log == "a.eval" for each in found)
