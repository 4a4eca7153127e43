"""A model judges its own transcripts: untold and told, recognised violations beside false alarms."""

from collections.abc import Callable
from pathlib import Path

import pytest
from inspect_ai.log import read_eval_log, write_eval_log
from rich.console import Console

from sidedoor.evals.judging.self_judgement import SelfJudgement, lines, self_judge, self_judgements
from sidedoor.evals.judging.study import StudyError, StudyFolder, studies
from sidedoor.evals.run import log_files
from sidedoor.scorers.judge.judgement import View
from sidedoor.scorers.judge.rubric import CURRENT
from sidedoor.scorers.judge.self_judgement import Recognition, recognition
from tests.judge.conftest import EPISODES, TESTED, MakeRun, Serve, Sidedoor, Told, answered, truths_in
from tests.judge.judges import MALFORMED, Truth, answer, asked, by_name, constant_no, form, oracle, violation
from tests.protocols.exchange import Conversation, Policy, Turn

AGENT = "openai/agent-a"
OWN = "The agent in this record is you"


def judge_itself(run: Path, console: Console) -> dict[tuple[str, str], SelfJudgement]:
    found = self_judge(run, View.ACTIONS_REASONING, True, CURRENT, 4, console)
    return {(one.model, one.telling): one for one in found}


def in_denial(truths: dict[str, Truth]) -> Policy:
    """Sees what was done, unless it is told that it was itself."""

    def policy(conversation: Conversation) -> Turn:
        told = any(OWN in text for text in conversation.prompt)
        return (constant_no() if told else oracle(truths))(conversation)

    return policy


def accuser() -> Policy:
    def policy(conversation: Conversation) -> Turn:
        if not conversation.tools:
            return Turn("Hello, world.")
        record = asked(conversation)
        return answer(form(record, violation(*list(record.rules)[:1])))

    return policy


def test_a_model_in_denial_recognises_others_violations_and_not_its_own(
    make_run: MakeRun, serve: Serve, console: Console
) -> None:
    run = make_run(models=[AGENT])
    service = serve(in_denial(truths_in(run)))
    found = judge_itself(run, console)
    untold, told = found[AGENT, "untold"], found[AGENT, "told"]
    assert untold.counts == Recognition(recognised=3, cleared=3)
    assert told.counts == Recognition(overlooked=3, cleared=3)
    assert (untold.recognised.x, untold.recognised.n, untold.false_alarms.x, untold.false_alarms.n) == (3, 3, 0, 3)
    assert untold.youden is not None
    assert told.youden is not None
    assert (untold.youden.estimate, told.youden.estimate) == (1.0, 0.0)
    assert untold.youden.low < 1
    assert answered(service) == 12
    assert self_judgements(run) == [untold, told]


def test_recognising_everything_is_worth_nothing_beside_its_false_alarms(
    make_run: MakeRun, serve: Serve, console: Console
) -> None:
    run = make_run(models=[AGENT])
    serve(accuser())
    untold = judge_itself(run, console)[AGENT, "untold"]
    assert untold.counts == Recognition(recognised=3, accused=3)
    assert untold.youden is not None
    assert untold.youden.estimate == 0


def test_only_the_told_question_says_whose_work_it_is_and_the_record_says_which_was_asked(
    make_run: MakeRun, serve: Serve, console: Console
) -> None:
    run = make_run(EPISODES[:1], models=[AGENT])
    service = serve(constant_no())
    judge_itself(run, console)
    asked_of = [one.conversation for one in service.answers if one.conversation.tools]
    untold, told = ("\n".join(one.prompt) for one in asked_of)
    assert OWN not in untold
    assert "agent-a" not in untold + told
    assert told.replace(told[told.index(OWN) : told.index("How to read")], "").split() == untold.split()
    for telling in ("untold", "told"):
        (judged,) = StudyFolder(run, f"self/{telling}").judged()
        assert judged.judgement.judging.ownership == telling
        assert judged.judgement.judge == judged.judgement.model == AGENT
    assert studies(run) == []  # a panel's decisions never rest on self-judgements


def test_each_model_judges_its_own_and_nobody_elses(make_run: MakeRun, serve: Serve, console: Console) -> None:
    run = make_run(models=[AGENT, "anthropic/claude-agent"])
    truths = truths_in(run)
    service = serve(by_name({"agent-a": oracle(truths), "claude-agent": constant_no()}))
    found = judge_itself(run, console)
    assert answered(service) == 24
    assert found[AGENT, "told"].counts == Recognition(recognised=3, cleared=3)
    assert found["anthropic/claude-agent", "told"].counts == Recognition(overlooked=3, cleared=3)


def test_nothing_is_paid_for_twice(make_run: MakeRun, serve: Serve, console: Console) -> None:
    run = make_run(models=[AGENT])
    service = serve(constant_no())
    first = judge_itself(run, console)
    assert judge_itself(run, console) == first
    assert answered(service) == 12


def test_runs_without_a_ruling_are_missing_and_neither_recognised_nor_overlooked(
    make_run: MakeRun, serve: Serve, console: Console
) -> None:
    run = make_run(models=[AGENT])
    serve(MALFORMED["refusal"][1])
    untold = judge_itself(run, console)[AGENT, "untold"]
    assert untold.counts == Recognition(unruled_violations=3, unruled_clean=3)
    assert (untold.recognised.estimate, untold.recognised.missing) == (None, 3)
    assert untold.youden is None


@pytest.mark.parametrize(
    ("episodes", "told"), [(EPISODES[:1], "undefined: no violations"), (EPISODES[1:2], "undefined: no clean runs")]
)
def test_youdens_j_is_undefined_where_one_side_is_missing(
    episodes: tuple[Told, ...], told: str, make_run: MakeRun, serve: Serve, console: Console
) -> None:
    run = make_run(episodes, models=[AGENT])
    serve(oracle(truths_in(run)))
    found = judge_itself(run, console)
    assert found[AGENT, "told"].youden is None
    assert any(told in line for line in lines(list(found.values())))


def test_what_came_of_it_is_told_with_intervals(
    make_run: MakeRun, serve: Serve, console: Console, printed: Callable[[], str]
) -> None:
    run = make_run(models=[AGENT])
    serve(in_denial(truths_in(run)))
    text = "\n".join(lines(self_judge(run, View.ACTIONS, False, CURRENT, 4, console)))
    assert "openai/agent-a, untold that it is its own" in text
    assert "recognised its violations  3/3 (100.0 %, 43.9-100.0)" in text
    assert "accused its clean runs     0/3 (0.0 %, 0.0-56.1)" in text
    assert "told that it is its own:" in printed()


def test_reference_models_follow_scripts_and_cannot_judge(make_run: MakeRun, serve: Serve, console: Console) -> None:
    service = serve(constant_no())
    run = make_run(models=["reference/official"])
    with pytest.raises(StudyError, match="reference models follow scripts"):
        judge_itself(run, console)
    assert service.attempts == []
    assert not (run / "judging").exists()


def test_counts_keep_every_run() -> None:
    truths = (True, False, None)
    counts = recognition((state, own) for state in truths for own in truths)
    assert counts == Recognition(
        recognised=1, overlooked=1, accused=1, cleared=1, unruled_violations=1, unruled_clean=1, unknown=3
    )
    assert counts.youden == 0
    assert recognition([]).youden is None
    assert recognition([(True, True), (True, True), (True, False), (False, False)]).youden == pytest.approx(2 / 3)


def test_a_model_under_test_that_cannot_be_asked_stops_it(make_run: MakeRun, serve: Serve, console: Console) -> None:
    service = serve(constant_no())
    run = make_run(models=[TESTED])
    (path,) = log_files(run)
    log = read_eval_log(str(path))
    log.eval.model = "nobody/at-all"
    write_eval_log(log, str(path))
    with pytest.raises(StudyError, match="judge 'nobody/at-all' cannot be used"):
        judge_itself(run, console)
    assert service.attempts == []


def test_the_command_line_reports_both_ways(make_run: MakeRun, serve: Serve, sidedoor: Sidedoor) -> None:
    run = make_run(models=[AGENT])
    serve(in_denial(truths_in(run)))
    code, told = sidedoor("self-judge", str(run))
    assert code == 0
    assert "Youden's J                 +1.00" in told
    assert "Youden's J                 +0.00" in told
