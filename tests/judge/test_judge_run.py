"""A run before a panel: over every wire, once, whatever happens in between."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from inspect_ai.log import read_eval_log, write_eval_log
from rich.console import Console

from sidedoor.evals.judging.run import judge_run
from sidedoor.evals.judging.study import VERDICTS, StudyError, StudyFolder
from sidedoor.evals.run import log_files
from tests.commands import Begun, apart
from tests.judge.conftest import EPISODES, TESTED, MakeRun, Serve, Told, answered, study_of, truths_in
from tests.judge.judges import MALFORMED, by_name, constant_no, oracle
from tests.protocols.exchange import Conversation, Turn
from tests.protocols.server import Fault

JUDGES = {
    "responses": "openai/judge-a",
    "chat": "openai-api/local/judge-a",
    "messages": "anthropic/claude-judge",
}


@pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
def test_over_every_wire_an_oracle_finds_what_the_references_did(
    judge: str, make_run: MakeRun, serve: Serve, console: Console
) -> None:
    run = make_run()
    service = serve(oracle(truths_in(run)))
    done = judge_run(run, "panel", study_of(judge), 4, console)
    assert (done.made, done.kept, done.undecided, done.not_judged) == (6, 0, {}, {})
    assert done.input_tokens > 0
    verdicts = [one.judgement.verdict for one in StudyFolder(run, "panel").judged()]
    assert sorted(one.breaks_rule() for one in verdicts if one) == [False, False, False, True, True, True]
    assert answered(service) == 6


def test_each_judge_is_asked_as_often_as_declared_and_never_again(
    make_run: MakeRun, serve: Serve, console: Console
) -> None:
    run = make_run()
    study = study_of("openai/judge-a", "anthropic/claude-judge", repeats=2)
    judges = {"judge-a": oracle(truths_in(run)), "claude-judge": constant_no()}
    service = serve(by_name(judges))
    assert judge_run(run, "panel", study, 4, console).made == 24
    assert answered(service) == 24
    again = judge_run(run, "panel", study, 4, console)
    assert (again.made, again.kept, again.input_tokens) == (0, 24, 0)
    assert answered(service) == 24


def test_the_same_content_in_another_log_is_not_judged_twice(make_run: MakeRun, serve: Serve, console: Console) -> None:
    run = make_run()
    (log,) = log_files(run)
    copy = read_eval_log(str(log))
    copy.eval.model = "mockllm/renamed"  # a log counts beside another if its model is another
    write_eval_log(copy, str(run / "logs" / "2099-01-01T00-00-00-00-00_copy_x.eval"))
    service = serve(oracle(truths_in(run)))
    assert len(log_files(run)) == 2
    done = judge_run(run, "panel", study_of("openai/judge-a"), 4, console)
    assert (done.made, answered(service)) == (6, 6)


def test_a_rerun_with_the_same_transcripts_keeps_its_verdicts(
    make_run: MakeRun, serve: Serve, console: Console
) -> None:
    run, rerun = make_run(), make_run(name="rerun")
    service = serve(oracle(truths_in(run)))
    judge_run(run, "panel", study_of("openai/judge-a"), 4, console)
    shutil.copytree(run / "judging", rerun / "judging")
    again = judge_run(rerun, "panel", study_of("openai/judge-a"), 4, console)
    assert (again.made, again.kept, answered(service)) == (0, 6, 6)


def test_a_half_written_last_verdict_is_made_again_alone(make_run: MakeRun, serve: Serve, console: Console) -> None:
    run = make_run()
    service = serve(oracle(truths_in(run)))
    judge_run(run, "panel", study_of("openai/judge-a"), 4, console)
    verdicts = run / "judging" / "panel" / VERDICTS
    os.truncate(verdicts, verdicts.stat().st_size - 100)
    again = judge_run(run, "panel", study_of("openai/judge-a"), 4, console)
    assert (again.made, again.kept, answered(service)) == (1, 5, 7)
    assert len(StudyFolder(run, "panel").judged()) == 6


def test_what_was_undecided_is_kept_and_what_was_unavailable_is_asked_again(
    make_run: MakeRun, serve: Serve, console: Console
) -> None:
    run = make_run(EPISODES[:2])
    serve(MALFORMED["no tool call"][1])
    first = judge_run(run, "panel", study_of("openai/judge-a"), 1, console)
    assert (first.made, first.undecided) == (2, {"no_answer": 2})
    service = serve(oracle(truths_in(run)))
    again = judge_run(run, "panel", study_of("openai/judge-a"), 1, console)
    assert (again.made, again.undecided, answered(service)) == (0, {"no_answer": 2}, 0)

    serve(constant_no(), [Fault(400)] * 9)
    down = judge_run(run, "other", study_of("openai/judge-a"), 1, console)
    assert down.undecided == {"unavailable": 2}
    serve(oracle(truths_in(run)))
    up = judge_run(run, "other", study_of("openai/judge-a"), 1, console)
    assert (up.made, up.kept, up.undecided) == (2, 0, {})
    assert len(StudyFolder(run, "other").judged()) == 2


def test_a_judge_that_cannot_be_used_stops_it_before_the_first_call(
    make_run: MakeRun, serve: Serve, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    service = serve(constant_no())
    with pytest.raises(StudyError, match="judge 'nobody/at-all' cannot be used"):
        judge_run(run, "panel", study_of("openai/judge-a", "nobody/at-all"), 4, console)
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(StudyError, match="cannot be used"):
        judge_run(run, "panel", study_of("anthropic/claude-without-a-key"), 4, console)
    assert service.attempts == []
    assert not (run / "judging").exists()


def test_a_judge_does_not_judge_its_own_family(make_run: MakeRun, serve: Serve, console: Console) -> None:
    run = make_run(models=["openai/gpt-agent", "anthropic/claude-agent"])
    service = serve(by_name({"gpt-judge": constant_no(), "claude-judge": constant_no()}))
    done = judge_run(run, "panel", study_of("openai/gpt-judge", "anthropic/claude-judge"), 4, console)
    assert (done.made, done.not_judged) == (12, {})
    for one in StudyFolder(run, "panel").judged():
        assert one.judgement.judge.partition("/")[0] != one.judgement.model.partition("/")[0]
    assert {one.conversation.model for one in service.answers} == {"gpt-judge", "claude-judge"}
    alone = judge_run(run, "alone", study_of("openai/gpt-judge"), 4, console)
    assert (alone.made, alone.not_judged) == (6, {"every judge is of the model's own family": 6})


def test_a_run_without_samples_is_refused(tmp_path: Path, serve: Serve, console: Console) -> None:
    serve(constant_no())
    (tmp_path / "logs").mkdir()
    with pytest.raises(StudyError, match="no finished samples to judge"):
        judge_run(tmp_path, "panel", study_of("openai/judge-a"), 4, console)


def test_progress_and_spending_are_told(
    make_run: MakeRun, serve: Serve, console: Console, printed: Callable[[], str]
) -> None:
    serve(constant_no())
    judge_run(make_run(), "panel", study_of("openai/judge-a"), 4, console)
    assert "6/6 judgements" in printed()
    assert "tokens" in printed()


class _Halting:
    """Answers some, then none until it is released."""

    def __init__(self, answers: int) -> None:
        self._left, self._lock, self.released = answers, threading.Lock(), threading.Event()
        self._judge = constant_no()

    def __call__(self, conversation: Conversation) -> Turn:
        if conversation.tools:
            with self._lock:
                self._left -= 1
                halted = self._left < 0
            if halted:
                self.released.wait(120)
        return self._judge(conversation)


@pytest.mark.slow
def test_after_a_kill_it_goes_on_without_paying_again(make_run: MakeRun, serve: Serve) -> None:
    told = [Told(one.variant, one.script, epoch) for epoch in (1, 2) for one in EPISODES]
    run = make_run(told, models=[TESTED])
    halting = _Halting(answers=9)
    serve(halting)
    command = ("judge", run, "--judge", "openai/judge-a", "--judge", "anthropic/claude-b")
    verdicts = run / "judging" / "panel" / VERDICTS
    with Begun((*command, "--at-once", "4")) as judging:
        while not verdicts.exists() or verdicts.read_bytes().count(b"\n") < 9:
            assert judging.is_running, judging.wait()
            time.sleep(0.1)
    halting.released.set()
    paid = {one.key for one in StudyFolder(run, "panel").judged()}
    assert len(paid) == 9

    service = serve(constant_no())
    ended = apart(*command)
    assert ended.code == 0, ended
    assert answered(service) == 24 - 9
    keys = [one.key for one in StudyFolder(run, "panel").judged()]
    assert len(keys) == len(set(keys)) == 24
    assert verdicts.read_bytes().count(b"\n") == 24
