"""Everything that can go wrong between a model and its episode: each kind is counted, and none changes a result.

One run per provider, of one cell; each of its epochs, which a prompt tells apart, meets one kind.
"""

import csv
import io
import shutil
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest
from inspect_ai.model import ModelCost
from rich.console import Console

from sidedoor.evals.frame.read import read_frame
from sidedoor.evals.gate.observed import observe
from sidedoor.evals.report.findings import analyse
from sidedoor.evals.run import SAMPLES, Run, read_manifest, resume_run
from sidedoor.evals.samples import SampleRow
from sidedoor.scorers.failures import Failure, read_incidents
from tests.protocols.conftest import Serve, Start
from tests.protocols.exchange import CHARACTERS_PER_TOKEN, Call, Conversation, Fault, Turn
from tests.protocols.scripted import Scripted, cell_script

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("impatient")]

SCENARIO, VARIANT = "quota_boost", "A"
BUSY, BROKEN = Fault(429, {"retry-after": "0.1"}, "Rate limit reached."), Fault(500)
OVERFLOW = Fault(400, message="prompt is too long: 300000 tokens, over the maximum context length")
UNREADABLE = Turn(calls=(Call("bash", {}, '{"command": "l'),))
MESSAGES = 24
TOKENS, DOLLARS = 150_000, 50
PRICES = ModelCost(input=0, output=1_000, input_cache_write=0, input_cache_read=0)
DIALECTS = {
    "openai": ("openai/gpt-4.1", {"responses_api": False, "streaming": True}),
    "anthropic": ("anthropic/claude-sonnet-4-6", {"streaming": True}),
}


class Case(NamedTuple):
    """What a model meets, after what script, and what must become of the sample."""

    meets: Callable[[Conversation, int], Turn | Fault | None]
    failure: Failure | None
    incidents: set[Failure]
    script: str = "official"


def always(fault: Fault, after: int = 0) -> Callable[[Conversation, int], Turn | Fault | None]:
    """The same fault for ever, from a turn on."""
    return lambda conversation, _: fault if len(conversation.exchanges) >= after else None


def at_first(*answers: Turn | Fault) -> Callable[[Conversation, int], Turn | Fault | None]:
    """These answers to the first requests."""
    return lambda _, request: answers[request] if request < len(answers) else None


def endless(conversation: Conversation, _: int) -> Turn:
    """The same harmless command again and again."""
    return Turn(calls=(Call("bash", {"command": "true"}),))


def long_winded(tokens: int) -> Callable[[Conversation, int], Turn | None]:
    """From the third turn on so much text with the same harmless command."""
    long = Turn("word " * (tokens * CHARACTERS_PER_TOKEN // 5), calls=(Call("bash", {"command": "true"}),))
    return lambda conversation, _: long if len(conversation.exchanges) >= 2 else None


CASES = {
    "429 twice": Case(at_first(BUSY, BUSY), None, {Failure.API_RATE_LIMIT}),
    "429 for ever": Case(always(BUSY), Failure.API_RATE_LIMIT, {Failure.API_RATE_LIMIT}),
    "500 for ever": Case(always(BROKEN), Failure.API_SERVER_ERROR, {Failure.API_SERVER_ERROR}),
    "reset in mid-stream": Case(always(Fault(how="reset")), Failure.API_CONNECTION, {Failure.API_CONNECTION}),
    "no answer": Case(always(Fault(how="hung")), Failure.API_TIMEOUT, {Failure.API_TIMEOUT}),
    "rejected": Case(always(Fault(400, message="no")), Failure.API_REJECTED, {Failure.API_REJECTED}),
    "empty reply": Case(at_first(Turn()), None, {Failure.EMPTY_REPLY}),
    "malformed call": Case(at_first(UNREADABLE), None, {Failure.MALFORMED_CALL}),
    "context overflow": Case(always(OVERFLOW, after=1), None, {Failure.LIMIT_CONTEXT}),
    "refusal": Case(always(Turn("I cannot help with that.", stop="refusal")), None, {Failure.REFUSAL}),
    "message limit": Case(endless, None, {Failure.LIMIT_MESSAGE}),
    "token limit": Case(long_winded(TOKENS), None, {Failure.LIMIT_TOKEN}),
    "cost limit": Case(long_winded(TOKENS // 2), None, {Failure.LIMIT_COST}),
    "500 after a violation": Case(
        always(BROKEN, after=3), None, {Failure.API_SERVER_ERROR}, "shortcut-colleague-account"
    ),
}
FAULTY = [name for name, case in CASES.items() if any(kind.reason == "api" for kind in case.incidents)]
ATTEMPTS, ATTEMPTS_OF_CLIENT = 2, 3


def epoch_of(name: str) -> int:
    return list(CASES).index(name) + 1


class Model:
    """Follows each epoch's script, but for what its case meets."""

    def __init__(self) -> None:
        scripts = {name: cell_script(SCENARIO, VARIANT, case.script, epoch_of(name)) for name, case in CASES.items()}
        self.names = {prompt: name for name, script in scripts.items() for prompt in script}
        self.scripted = Scripted({prompt: one for script in scripts.values() for prompt, one in script.items()})
        self.requests: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def __call__(self, conversation: Conversation) -> Turn | Fault:
        said = "\n".join(conversation.prompt)
        name = next(name for prompt, name in self.names.items() if prompt in said)
        request = self.requests[name]
        self.requests[name] += 1
        turn = CASES[name].meets(conversation, request) or self.scripted(conversation)
        self.faults[name] += isinstance(turn, Fault)
        return turn


class Failed(NamedTuple):
    """A run of all cases, and the model's own record of it."""

    run: Run
    model: Model


@pytest.fixture(scope="module", params=list(DIALECTS))
def failed(request: pytest.FixtureRequest, serve: Serve, start: Start) -> Failed:
    name, model_args = DIALECTS[request.param]
    model = Model()
    serve(model)
    run = start(
        name,
        scenario=SCENARIO,
        variant=VARIANT,
        epochs=len(CASES),
        model_args=model_args,
        message_limit=MESSAGES,
        token_limit=TOKENS,
        cost_limit=DOLLARS,
        model_costs={name: PRICES},
        max_samples=len(CASES),
        generate={"max_retries": ATTEMPTS - 1, "attempt_timeout": 6, "max_connections": len(CASES)},
    )
    return Failed(run, model)


@pytest.fixture(scope="module")
def rows(failed: Failed) -> dict[str, SampleRow]:
    return by_case(failed.run)


@pytest.fixture(scope="module")
def resumed(failed: Failed, serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> dict[str, SampleRow]:
    """A copy of the run that was continued when the model was well again."""
    folder = shutil.copytree(failed.run.folder, tmp_path_factory.mktemp("resumed") / failed.run.folder.name)
    serve(failed.model.scripted)
    return by_case(resume_run(folder, Console(file=io.StringIO())))


def by_case(run: Run) -> dict[str, SampleRow]:
    return {name: row for name in CASES for row in run.rows if row.epoch == epoch_of(name)}


@pytest.mark.parametrize("name", CASES)
def test_each_kind_is_told_from_every_other(rows: dict[str, SampleRow], name: str) -> None:
    assert rows[name].failure == CASES[name].failure
    assert set(read_incidents(rows[name].incidents)) == CASES[name].incidents


def test_every_failed_request_is_counted_and_their_number_is_bounded(
    failed: Failed, rows: dict[str, SampleRow]
) -> None:
    for name in FAULTY:
        assert read_incidents(rows[name].incidents).total() == failed.model.faults[name]
        assert failed.model.faults[name] <= ATTEMPTS * ATTEMPTS_OF_CLIENT


def test_refusals_and_limits_are_behaviour_and_stay_in_the_rate(rows: dict[str, SampleRow]) -> None:
    for name in ("refusal", "message limit", "token limit", "cost limit", "context overflow", "empty reply"):
        assert (rows[name].status, rows[name].constraint_violated) == ("ok", False)


def test_a_violation_is_not_undone_by_an_error_after_it(rows: dict[str, SampleRow]) -> None:
    row = rows["500 after a violation"]
    assert (row.status, row.constraint_violated, row.stage) == ("ok", True, "achieved")


def test_run_report_and_gate_count_the_same(failed: Failed) -> None:
    folder, (model,) = failed.run.folder, failed.run.manifest.request.models
    (counted,) = read_manifest(folder).counts
    assert counted.invalid == Counter(case.failure for case in CASES.values() if case.failure)
    assert counted.incidents[Failure.REFUSAL] == failed.model.requests["refusal"]
    assert (counted.valid, counted.missing) == (len(CASES) - len(counted.invalid), 0)
    assert observe(folder).tally(model) == counted
    assert analyse(read_frame([folder])).counts == (counted,)
    with (folder / SAMPLES).open(encoding="utf-8", newline="") as stream:
        told = Counter(row["failure"] for row in csv.DictReader(stream) if row["failure"])
    assert told == counted.invalid


def test_resume_runs_again_what_ended_in_an_error_and_nothing_else(
    rows: dict[str, SampleRow], resumed: dict[str, SampleRow]
) -> None:
    for name, case in CASES.items():
        if case.failure is None:
            assert resumed[name].model_copy(update={"log": ""}) == rows[name].model_copy(update={"log": ""})
        else:
            assert (resumed[name].status, resumed[name].clean_success) == ("ok", True)
            assert read_incidents(resumed[name].incidents) == {case.failure: 1}, "what the first attempt ended in"


def test_a_time_limit_after_the_first_action_is_counted_and_stays_in_the_rate(serve: Serve, start: Start) -> None:
    script = Scripted(cell_script(SCENARIO, VARIANT, "official", 1))
    idle = Turn(calls=(Call("bash", {"command": "sleep 60"}),))
    serve(lambda conversation: script(conversation) if len(conversation.exchanges) < 4 else idle)
    name, model_args = DIALECTS["openai"]
    run = start(name, scenario=SCENARIO, variant=VARIANT, model_args=model_args, message_limit=10_000, time_limit=6)
    (row,) = run.rows
    assert (row.status, row.failure, row.constraint_violated) == ("ok", None, False)
    assert set(read_incidents(row.incidents)) == {Failure.LIMIT_TIME}
