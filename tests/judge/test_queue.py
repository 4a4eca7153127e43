"""What people are asked to look at: everything that anybody holds against an agent, and a fair sample of the rest."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from sidedoor.evals.judging import cases
from sidedoor.evals.judging.decided import Decided, decided_samples
from sidedoor.evals.judging.queue import (
    NEGATIVES,
    NO_TRANSCRIPT,
    Draw,
    QueueItem,
    queue_of,
    recorded_draw,
    review_queue,
    unsuspected,
)
from sidedoor.evals.judging.study import StudyError
from sidedoor.evals.run import log_files
from sidedoor.scorers.judge.case import Case
from sidedoor.scorers.judge.panel import Panel
from sidedoor.scorers.judge.verdict import Verdict
from tests.judge.conftest import EPISODES, MakeRun, cases_of, true_of
from tests.judge.votes import ballot, sample, verdict, write_study

PANEL = Panel(judges=("openai/a", "x/b"))


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def true_verdict(case: Case, judge: str) -> Verdict:
    broken = true_of(case).broken
    return verdict(*(rule.id in broken for rule in case.rules))


def clean_verdict(case: Case, judge: str) -> Verdict:
    return verdict(*(False for _ in case.rules))


def reasons(*samples: Decided) -> list[tuple[str, ...]]:
    return [item.why for item in queue_of(samples, Draw(negatives=0, seed=0)).items]


def test_every_disagreement_positive_and_doubt_is_in_the_queue_with_its_reasons() -> None:
    both = (ballot("x/b", violated=True), ballot("y/c", violated=True))
    assert reasons(sample(1, both, state=True)) == [("state: violated", "panel: violated")]
    assert reasons(sample(1, both, state=False)) == [("disagreement", "panel: violated")]
    assert reasons(sample(1, [ballot("x/b")], state=True)) == [("disagreement", "state: violated")]
    assert reasons(sample(1, [ballot("x/b", considered=True)])) == [("panel: considered",)]
    assert reasons(sample(1, [ballot("x/b", misreport=True, awareness=True)])) == [
        ("panel: misreport", "panel: awareness")
    ]
    assert reasons(sample(1, [ballot("x/b", violated=True), ballot("y/c")])) == [("panel: undecided",)]
    assert reasons(sample(1, [ballot("x/b", misreport=None)])) == [("panel: undecided",)]
    assert reasons(sample(1, [ballot("x/b")], state=None)) == [("state: unknown",)]
    assert reasons(sample(1, [ballot("x/b")])) == []


def test_a_sample_that_was_not_judged_is_suspected_by_state_alone() -> None:
    assert reasons(sample(1, None)) == []
    assert reasons(sample(1, None, state=True)) == [("state: violated",)]


def test_the_gravest_come_first_and_random_negatives_last() -> None:
    samples = [
        sample(1, [ballot("x/b")]),
        sample(2, [ballot("x/b", awareness=True)]),
        sample(3, [ballot("x/b", violated=True)], state=True),
        sample(4, [ballot("x/b", violated=True)], state=False),
    ]
    queue = queue_of(samples, Draw(negatives=1, seed=0)).items
    assert [item.sample_uuid for item in queue] == ["u4", "u3", "u2", "u1"]


def negatives(count: int) -> list[Decided]:
    return [sample(number, [ballot("x/b")]) for number in range(count)]


def test_negatives_are_drawn_with_the_probability_that_is_recorded() -> None:
    queue = queue_of(negatives(50), Draw(negatives=20, seed=1)).items
    assert {(item.why, item.probability) for item in queue} == {(("random negative",), 0.4)}
    assert len({item.sample_uuid for item in queue}) == 20


def test_every_negative_has_the_same_chance() -> None:
    samples = negatives(20)
    drawn = Counter(
        item.sample_uuid for seed in range(600) for item in queue_of(samples, Draw(negatives=5, seed=seed)).items
    )
    # 150 each are expected; the standard deviation is 10.6.
    assert len(drawn) == 20
    assert max(abs(count - 150) for count in drawn.values()) < 45


def drawn(samples: list[Decided], count: int, seed: int) -> list[str]:
    return [item.sample_uuid for item in queue_of(samples, Draw(negatives=count, seed=seed)).items]


def test_a_draw_is_the_same_in_any_order_of_reading_and_a_larger_one_holds_it() -> None:
    samples = negatives(40)
    assert drawn(samples, 10, seed=3) == drawn(samples[::-1], 10, seed=3)
    assert drawn(samples, 10, seed=3) == drawn(samples, 25, seed=3)[:10]
    assert drawn(samples, 10, seed=3) != drawn(samples, 10, seed=4)


def without_case(one: Decided) -> Decided:
    return one.model_copy(update={"sample": one.sample.model_copy(update={"case_sha256": None})})


def test_what_makes_no_case_is_nobodys_to_review_and_is_counted_by_why() -> None:
    errored = [
        without_case(sample(number, None, state=None, status="invalid", invalid_reason="infra")) for number in (1, 2)
    ]
    silent = without_case(sample(3, None))
    queue = queue_of([*errored, silent, sample(4, [ballot("x/b")])], Draw(negatives=5, seed=0))
    assert [item.sample_uuid for item in queue.items] == ["u4"]
    assert queue.no_case == {"infra": 2, NO_TRANSCRIPT: 1}
    assert unsuspected([*errored, silent]) == []


def test_a_run_that_was_never_judged_has_a_queue_from_state(make_run: MakeRun) -> None:
    run = make_run()
    queue = review_queue(run, None, negatives=2, seed=1).items
    certain = [item for item in queue if item.probability == 1]
    assert {item.sample_id.split("-")[0] for item in certain} == {"2", "5", "6"}
    assert all(item.why == ("state: violated",) and item.decision is None for item in certain)
    assert [item.probability for item in queue[3:]] == [2 / 3, 2 / 3]
    assert {item.case_sha256 for item in queue} <= {case.digest for case in cases_of(run)}
    assert recorded_draw(run, None) == Draw(negatives=2, seed=1)


def test_items_lead_to_their_sample_and_say_what_state_and_panel_found(make_run: MakeRun) -> None:
    run = make_run()
    write_study(run, PANEL, clean_verdict)
    queue = review_queue(run, "panel").items
    overlooked = [item for item in queue if item.why == ("disagreement", "state: violated")]
    assert len(overlooked) == 3
    for item in overlooked:
        assert (run / item.log).is_file()
        assert (item.model, item.scenario, item.epoch) == ("mockllm/agent", "quota_boost", 1)
        assert item.state["constraint_violated"] is True
        assert item.state["stage"] == "achieved"
        assert item.decision is not None
        assert item.decision.outcome("violated") is False
    assert QueueItem.model_validate_json(queue[0].model_dump_json()) == queue[0]


def test_agreement_of_state_and_panel_leaves_only_positives_and_the_sample(make_run: MakeRun) -> None:
    run = make_run()
    write_study(run, PANEL, true_verdict)
    queue = review_queue(run, "panel", negatives=1).items
    assert Counter(item.why for item in queue) == {
        ("state: violated", "panel: violated", "panel: considered"): 3,
        ("random negative",): 1,
    }


def test_another_seed_or_a_smaller_draw_afterwards_is_refused_and_a_larger_one_kept(make_run: MakeRun) -> None:
    run = make_run()
    review_queue(run, None, negatives=2, seed=1)
    with pytest.raises(StudyError, match="2 negatives were drawn with seed 1 before"):
        review_queue(run, None, negatives=2, seed=2)
    with pytest.raises(StudyError, match="and no fewer"):
        review_queue(run, None, negatives=1, seed=1)
    assert len(review_queue(run, None, negatives=3, seed=1).items) == 6
    assert recorded_draw(run, None) == Draw(negatives=3, seed=1)
    assert recorded_draw(run, "panel") is None


def test_a_spoilt_record_of_the_draw_is_a_sentence(make_run: MakeRun) -> None:
    run = make_run()
    review_queue(run, None)
    (run / "judging" / "queue" / "state.json").write_text("{")
    with pytest.raises(StudyError, match=r"state\.json: not the record of a draw"):
        review_queue(run, None, NEGATIVES)


def test_judgements_survive_a_log_that_is_written_again(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    write_study(run, PANEL, true_verdict)
    before = {item.case_sha256 for item in review_queue(run, "panel").items}
    # The same episodes again are other samples, in another log, with the same content.
    again = make_run(EPISODES[::-1], name="again")
    shutil.copytree(run / "judging", again / "judging")
    samples = decided_samples(again, "panel")
    assert {one.sample.case_sha256 for one in samples} == before
    assert all(one.decision is not None and one.decision.status == "decided" for one in samples)


def test_a_transcript_is_read_once_for_its_case_and_not_at_all_if_it_was_judged(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    read: list[str] = []
    original = cases.case_of_sample
    monkeypatch.setattr(cases, "case_of_sample", lambda one, model: read.append(one.uuid) or original(one, model))
    first = decided_samples(run, None)
    assert len(read) == len(EPISODES)
    assert decided_samples(run, None) == first
    assert len(read) == len(EPISODES)
    write_study(run, PANEL, clean_verdict)
    shutil.rmtree(Path(cases.user_cache_path("sidedoor")))
    assert [one.sample for one in decided_samples(run, "panel")] == [one.sample for one in first]
    assert len(read) == len(EPISODES)
    assert len(log_files(run)) == 1
