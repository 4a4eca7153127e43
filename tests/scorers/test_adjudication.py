"""Decisions of people: none is lost, none is overwritten, and what stands follows from them alone."""

import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sidedoor.scorers.adjudication import (
    FILE,
    Adjudication,
    AdjudicationError,
    Decision,
    in_force,
    independent,
    standing,
)

CASE, OTHER = "a" * 64, "b" * 64


def decision(reviewer: str, violated: bool | str | None = "unanswered", case: str = CASE, **fields: Any) -> Decision:
    labels = fields.pop("labels", {} if violated == "unanswered" else {"violated": violated})
    return Decision(case_sha256=case, reviewer=reviewer, rubric="1-A", labels=labels, **fields)


def taken_back(one: Decision, by: str | None = None) -> Decision:
    return Decision(case_sha256=one.case_sha256, reviewer=by or one.reviewer, rubric="1-A", retracts=one.id)


# ---- what stands ------------------------------------------------------------------------------------------------


def test_the_latest_decision_of_a_reviewer_replaces_the_earlier_one_whole() -> None:
    first, second = decision("anna", True, severity=4, note="clear"), decision("anna", False)
    assert in_force([first, second]) == [second]
    assert standing([first, second])[CASE].labels == {"violated": False}
    assert standing([first, second])[CASE].severity is None


def test_a_decision_that_is_taken_back_lets_the_one_before_it_stand_again() -> None:
    first, second = decision("anna", True), decision("anna", False)
    assert standing([first, second, taken_back(second)])[CASE].labels == {"violated": True}
    assert standing([first, second, taken_back(second), taken_back(first)]) == {}


def test_nobody_takes_back_what_somebody_else_decided() -> None:
    mine = decision("anna", True)
    assert in_force([mine, taken_back(mine, by="ben")]) == [mine]


def test_two_reviewers_who_agree_settle_a_case() -> None:
    held = standing([decision("anna", False), decision("ben", False)])[CASE]
    assert (held.labels, held.disputed, held.reviewers) == ({"violated": False}, (), ("anna", "ben"))


@pytest.mark.parametrize("other", [False, None])
def test_two_reviewers_who_differ_dispute_the_case_and_settle_nothing(other: bool | None) -> None:
    held = standing([decision("anna", True), decision("ben", other)])[CASE]
    assert (held.labels, held.disputed) == ({}, ("violated",))


def test_a_third_reviewer_settles_a_dispute_by_majority() -> None:
    held = standing([decision("anna", True), decision("ben", False), decision("carl", False)])[CASE]
    assert (held.labels, held.disputed) == ({"violated": False}, ())


def test_three_reviewers_with_three_answers_settle_nothing() -> None:
    held = standing([decision("anna", True), decision("ben", False), decision("carl", None)])[CASE]
    assert held.disputed == ("violated",)


def test_a_joint_decision_settles_what_it_answers_and_nothing_else() -> None:
    apart = [
        decision("anna", labels={"violated": True, "misreport": True}),
        decision("ben", labels={"violated": False, "misreport": False}),
    ]
    held = standing([*apart, decision("ben", True, joint=True)])[CASE]
    assert (held.labels, held.disputed, held.joint) == ({"violated": True}, ("misreport",), True)


def test_a_joint_decision_leaves_each_reviewers_own_as_it_was() -> None:
    own, joint = decision("anna", False), decision("anna", True, joint=True)
    assert in_force([own, joint]) == [own, joint]
    assert independent([own, joint]) == {(CASE, "anna"): own}


def test_a_joint_decision_can_be_taken_back_by_who_wrote_it_down() -> None:
    apart = [decision("anna", True), decision("ben", False)]
    joint = decision("ben", True, joint=True)
    assert standing([*apart, joint, taken_back(joint)])[CASE].disputed == ("violated",)


def test_a_question_that_only_one_reviewer_answered_is_not_in_dispute() -> None:
    held = standing([decision("anna", labels={"violated": True, "awareness": True}), decision("ben", True)])[CASE]
    assert (held.labels, held.disputed) == ({"violated": True, "awareness": True}, ())


def test_severity_is_the_reviewers_median_and_the_joint_one_outweighs_it() -> None:
    apart = [decision("anna", True, severity=3), decision("ben", True, severity=4)]
    assert standing(apart)[CASE].severity == 3.5
    assert standing([*apart, decision("ben", True, severity=5, joint=True)])[CASE].severity == 5


def test_cases_do_not_influence_each_other() -> None:
    held = standing([decision("anna", True), decision("ben", False, case=OTHER)])
    assert (held[CASE].labels, held[OTHER].labels) == ({"violated": True}, {"violated": False})


def test_what_a_reviewer_thought_by_themselves_is_the_blind_decision_even_if_a_later_one_stands() -> None:
    blind, after = decision("anna", True, blind=True), decision("anna", False)
    assert independent([blind, after]) == {(CASE, "anna"): blind}
    assert in_force([blind, after]) == [after]
    assert independent([after, decision("ben", True)]).keys() == {(CASE, "anna"), (CASE, "ben")}


# ---- what a decision may say ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"labels": {"violated": True}, "retracts": "0" * 32},
        {"labels": {"violated": "yes"}},
        {"labels": {"violated": 1}},
        {"labels": {"guilty": True}},
        {"severity": 6},
        {"severity": 2.5},
        {"note": "x" * 10_001},
        {"note": "x", "case_sha256": "a"},
        {"note": "x", "reviewer": "  "},
        {"note": "x", "reviewer": "an\u202ena"},
        {"note": "x", "reviewer": "a" * 61},
        {"note": "x", "time": "2026-01-01T00:00:00"},
    ],
)
def test_a_malformed_decision_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Decision.model_validate({"case_sha256": CASE, "reviewer": "anna", "rubric": "1-A"} | fields)


def test_times_are_kept_in_utc() -> None:
    there = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert decision("anna", True, time=there).time.isoformat() == "2026-01-01T10:00:00+00:00"
    assert decision("anna", True).time.tzinfo is UTC


# ---- on disk ----------------------------------------------------------------------------------------------------


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    made = [decision("anna", True, note="naïve\nline \u2028 end"), decision("ben", None, severity=0)]
    for one in made:
        Adjudication(tmp_path).append(one)
    assert Adjudication(tmp_path).decisions() == made


def test_a_run_without_decisions_has_none(tmp_path: Path) -> None:
    assert Adjudication(tmp_path).decisions() == []


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_half_written_last_line_is_no_decision_and_does_not_spoil_the_next(tmp_path: Path, cut: int) -> None:
    kept, lost, after = decision("anna", True), decision("ben", False), decision("carl", False)
    file = Adjudication(tmp_path)
    file.append(kept)
    with (tmp_path / FILE).open("ab") as stream:
        stream.write(lost.model_dump_json().encode()[:cut])
    assert file.decisions() == [kept]
    file.append(after)
    assert file.decisions() == [kept, after]


def test_a_damaged_line_in_the_middle_is_named_and_nothing_is_dropped_in_silence(tmp_path: Path) -> None:
    file = Adjudication(tmp_path)
    for name in ("anna", "ben"):
        file.append(decision(name, True))
    lines = (tmp_path / FILE).read_bytes().split(b"\n")
    (tmp_path / FILE).write_bytes(b"\n".join([lines[0], b'{"damaged"', lines[1], b""]))
    with pytest.raises(AdjudicationError, match="line 2: not a decision"):
        file.decisions()


def test_appending_never_changes_what_is_there(tmp_path: Path) -> None:
    file = Adjudication(tmp_path)
    file.append(decision("anna", True))
    before = (tmp_path / FILE).read_bytes()
    file.append(taken_back(file.decisions()[0]))
    assert (tmp_path / FILE).read_bytes().startswith(before)


def test_only_ones_own_decision_that_stands_can_be_taken_back(tmp_path: Path) -> None:
    file, mine = Adjudication(tmp_path), decision("anna", True)
    file.append(mine)
    elsewhere = Decision(case_sha256=OTHER, reviewer="anna", rubric="1-A", retracts=mine.id)
    for wrong in (taken_back(mine, by="ben"), elsewhere):
        with pytest.raises(AdjudicationError, match="no such decision to take back"):
            file.append(wrong)
    file.append(taken_back(mine))
    with pytest.raises(AdjudicationError, match="no such decision to take back"):
        file.append(taken_back(mine))
    assert len(file.decisions()) == 2


def test_reviewers_who_decide_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    def review(name: str) -> None:
        for number in range(25):
            Adjudication(tmp_path).append(decision(name, bool(number % 2), note="x" * 5_000))

    threads = [threading.Thread(target=review, args=(f"reviewer {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.id for one in Adjudication(tmp_path).decisions()}) == 100


_KILLED = """
import sys
from pathlib import Path
from sidedoor.scorers.adjudication import Adjudication, Decision
while True:
    one = Decision(case_sha256="a" * 64, reviewer="anna", rubric="1-A", labels={"violated": True}, note="x" * 9000)
    Adjudication(Path(sys.argv[1])).append(one)
    print(one.id, flush=True)
"""


@pytest.mark.slow
def test_a_kill_takes_no_decision_that_was_confirmed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        confirmed = [writer.stdout.readline().strip() for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        confirmed += writer.stdout.read().split()
    kept = [one.id for one in Adjudication(tmp_path).decisions()]
    assert kept[: len(confirmed)] == confirmed
    assert len(kept) <= len(confirmed) + 1


def test_a_folder_that_cannot_be_written_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(AdjudicationError, match="No such file or directory"):
        Adjudication(tmp_path / "nowhere").append(decision("anna", True))
