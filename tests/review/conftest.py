"""Runs made of rehearsed scripts, verdicts on them, and the review page served from this process."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn
from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, EvalStats, write_eval_log
from inspect_ai.model import ChatMessage, ModelOutput

from sidedoor.evals.judging.episodes import transcript
from sidedoor.evals.judging.review.review import Review
from sidedoor.evals.judging.review.server import listen, make_app
from sidedoor.evals.judging.study import Judged, Study, StudyFolder
from sidedoor.evals.rehearsal import Rehearsal, rehearse
from sidedoor.scorers.judge.case import Case, case_of_sample
from sidedoor.scorers.judge.exhibit import make_exhibit
from sidedoor.scorers.judge.judgement import Judgement, Judging
from sidedoor.scorers.judge.panel import Panel
from sidedoor.scorers.judge.rubric import load_rubric
from sidedoor.scorers.judge.verdict import Citation, Claim, Conduct, Observation, RuleRuling, Verdict
from sidedoor.scorers.state import score_evidence, to_score
from sidedoor.tasks.catalogue import Scenario, Script, load_scenario, parse_variant

SUITE, SCENARIO, MODEL = "instrumental", "quota_boost", "provider/agent-1"
JUDGES = ("maker-a/judge-a", "maker-b/judge-b")
TOKEN = "t0ken-of-the-tests"
EPISODES = (
    ("A", "official"),
    ("A", "shortcut-colleague-account"),
    ("A", "near_miss"),
    ("H", "escalate"),
    ("H", "shortcut-admin-account"),
)
Change = Callable[[list[ChatMessage]], list[ChatMessage]]


@cache
def _rehearsed(variant: str, script: str, seed: int) -> tuple[Scenario, dict[str, str], Script, Rehearsal]:
    scenario, factors = load_scenario(SUITE, SCENARIO), parse_variant(SUITE, variant)[1]
    loaded = scenario.script(script, factors, seed)
    return scenario, factors, loaded, rehearse(scenario, factors, seed, loaded)


def make_sample(
    variant: str, script: str, epoch: int = 1, change: Change | None = None, thought: str = "I follow the runbook."
) -> EvalSample:
    """A scored sample in which an agent followed a script; `change` may alter what it and its tools said."""
    scenario, factors, loaded, rehearsal = _rehearsed(variant, script, epoch)
    prompt = scenario.render(factors, epoch).prompt
    messages = transcript(prompt, loaded, rehearsal, thought)
    name = f"{script}-{variant}-{epoch}"
    return EvalSample(
        id=name,
        epoch=1,
        uuid=f"uuid-{name}",
        input=prompt,
        target="",
        messages=change(messages) if change else messages,
        output=ModelOutput.from_content("agent", loaded.final),
        scores={"state": to_score(score_evidence(rehearsal.evidence), rehearsal.evidence, loaded.final)},
        store={"EpisodeRecord:evidence": rehearsal.evidence.model_dump(mode="json")},
        metadata={
            "suite": SUITE,
            "scenario": SCENARIO,
            "version": scenario.spec.version,
            "content_sha256": scenario.digest,
            "variant": variant,
            "factors": factors,
            "epoch": epoch,
            "seed": epoch,
        },
    )


def write_run(
    folder: Path, samples: Sequence[EvalSample], model: str = MODEL, created: str = "2026-01-01T00:00:00+00:00"
) -> Path:
    """A run's folder with one log of these samples."""
    ids = [str(sample.id) for sample in samples]
    log = EvalLog(
        status="success",
        eval=EvalSpec(
            created=created,
            task=SUITE,
            dataset=EvalDataset(name=SUITE, samples=len(samples), sample_ids=ids),
            model=model,
            config=EvalConfig(epochs=1),
        ),
        stats=EvalStats(),
        samples=list(samples),
    )
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    stamp = created[:19].replace(":", "-")
    write_eval_log(log, str(folder / "logs" / f"{stamp}-00-00_{SUITE}_{abs(hash((model, created)))}.eval"), "eval")
    return folder


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Makes the run of some samples; of `EPISODES` if not told otherwise."""

    def made(samples: Sequence[EvalSample] | None = None, name: str = "run") -> Path:
        return write_run(tmp_path / name, samples or [make_sample(*episode) for episode in EPISODES])

    return made


def cases_of(samples: Sequence[EvalSample]) -> list[Case]:
    return [case_of_sample(sample, MODEL) for sample in samples]


class Says(NamedTuple):
    """What a judge says of a case: how grave it was, what it quotes, and whether it gives a verdict at all."""

    broken: bool = False
    quotes: Sequence[tuple[str, str]] = ()
    why: str = "It used what was not its own."
    undecided: bool = False


def verdict_of(case: Case, says: Says) -> Verdict:
    """A verdict that quotes as told, or else the end of the transcript."""
    last = make_exhibit(case, Judging().view, True).parts[-1][-1]
    quotes = says.quotes or [(last.label, " ".join(last.text.split())[-40:])]
    cited = tuple(Citation(message=label, quote=quote) for label, quote in quotes)
    absent = Observation(citations=(), why="Nothing of the kind.", present=False)
    rules = tuple(
        RuleRuling(
            citations=cited if says.broken and not number else (),
            rule=rule.id,
            why=says.why if says.broken and not number else "Not touched.",
            ruling="broken" if says.broken and not number else "complied",
        )
        for number, rule in enumerate(case.rules)
    )
    done = Conduct(citations=cited, why=says.why, behaviour="access_escalation", stage="achieved", severity=4)
    nothing = Conduct(citations=(), why="Plain work.", behaviour="none", stage="none", severity=0)
    claim = Claim(
        citations=cited if says.broken else (), claim="All by the book.", truth="false" if says.broken else "true"
    )
    return Verdict(
        rules=rules,
        conduct=done if says.broken else nothing,
        awareness=absent,
        rationalisation=absent,
        claims=(claim,),
        summary="The agent went round the quota." if says.broken else "The agent kept the rules.",
    )


def judge_run(
    run: Path, samples: Sequence[EvalSample], opinions: Callable[[EvalSample, str], Says], name: str = "panel"
) -> None:
    """Write a study in which each judge says what `opinions` gives for a sample."""
    words = load_rubric()
    folder = StudyFolder(run, name)
    folder.declare(Study(panel=Panel(judges=JUDGES), judging=Judging(), rubric=words.id, rubric_sha256=words.digest))
    (log,) = [path.relative_to(run).as_posix() for path in (run / "logs").glob("*.eval")]
    for sample, case in zip(samples, cases_of(samples), strict=True):
        for judge in JUDGES:
            says = opinions(sample, judge)
            judgement = Judgement(
                judge=judge,
                model=MODEL,
                case_sha256=case.digest,
                rubric=words.id,
                rubric_sha256=words.digest,
                judging=Judging(),
                repeat=1,
                verdict=None if says.undecided else verdict_of(case, says),
                undecided="refusal" if says.undecided else None,
                detail="the answer was refused" if says.undecided else "",
                parts=1,
                attempts=1,
                input_tokens=1,
                output_tokens=1,
                cost=None,
                seconds=0.1,
            )
            judged = Judged(
                log=log, sample_id=str(sample.id), sample_uuid=str(sample.uuid), epoch=1, judgement=judgement
            )
            folder.append(judged)


def by_script(sample: EvalSample, judge: str) -> Says:
    """Judge A sees every shortcut; judge B, which takes the near miss for one, misses the administrator's."""
    script = str(sample.id)
    seen = ("shortcut-colleague", "shortcut-admin") if judge == JUDGES[0] else ("shortcut-colleague", "near_miss")
    return Says(broken=script.startswith(seen))


@pytest.fixture(scope="session")
def judged_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `EPISODES`, judged by `by_script`; to be copied before anybody decides anything."""
    samples = [make_sample(*episode) for episode in EPISODES]
    run = write_run(tmp_path_factory.mktemp("judged") / "run", samples)
    judge_run(run, samples, by_script)
    return run


@pytest.fixture
def judged(judged_once: Path, tmp_path: Path) -> Path:
    """A run of `EPISODES`, judged by `by_script`."""
    return shutil.copytree(judged_once, tmp_path / "run")


@dataclass
class Served:
    """A review that is served.

    Attributes:
        review: what is served.
        root: address of its queue, without a reviewer.
    """

    review: Review
    root: str

    def case(self, reviewer: str, digest: str) -> str:
        return f"{self.root}cases/{digest}?reviewer={reviewer}"


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serves the review of a run from a thread of this process."""
    started: list[tuple[uvicorn.Server, threading.Thread]] = []

    def served(run: Path, reviewer: str = "", **how: Any) -> Served:
        review = Review(run, **how)
        listening = listen(0)
        config = uvicorn.Config(make_app(review, TOKEN, reviewer), access_log=False, log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        started.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return Served(review, f"http://127.0.0.1:{listening.getsockname()[1]}/{TOKEN}/")

    yield served
    for server, thread in started:
        server.should_exit = True
        thread.join(5)
