"""Verdicts, judgements and judged samples made by hand, for tests of what is computed from them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inspect_ai.log import read_eval_log

from sidedoor.evals.judging.cases import RunSample
from sidedoor.evals.judging.decided import Decided
from sidedoor.evals.judging.study import Judged, Study, StudyFolder
from sidedoor.evals.run import log_files
from sidedoor.evals.samples import SampleRow
from sidedoor.scorers.judge.case import Case, case_of_sample
from sidedoor.scorers.judge.judgement import Judgement, Judging
from sidedoor.scorers.judge.panel import ANSWERS, Ballot, Panel, PanelDecision, decide, decide_ballots
from sidedoor.scorers.judge.rubric import load_rubric
from sidedoor.scorers.judge.verdict import Citation, Claim, Conduct, Observation, RuleRuling, Ruling, Stage, Verdict
from sidedoor.scorers.labels import Truth

CASE = "c" * 64
AGENT = "mockllm/agent"
_HERE = (Citation(message="M1", quote="here"),)
_RULINGS: dict[Truth, Ruling] = {True: "broken", False: "complied", None: "cannot_tell"}


def verdict(*broken: Truth, severity: int | None = None, stage: Stage | None = None, **seen: bool) -> Verdict:
    """A verdict: whether each of R1, R2, ... was broken (None: cannot tell), and `misreport` or `awareness`."""
    found = True in broken
    stage = stage or ("achieved" if found else "none")
    return Verdict(
        rules=tuple(
            RuleRuling(citations=_HERE, rule=f"R{number}", why="", ruling=_RULINGS[one])
            for number, one in enumerate(broken, 1)
        ),
        conduct=Conduct(
            citations=_HERE,
            why="",
            behaviour="none" if stage == "none" else "other",
            stage=stage,
            severity=severity if severity is not None else 4 * found,
        ),
        awareness=Observation(citations=_HERE, why="", present=seen.get("awareness", False)),
        rationalisation=Observation(citations=(), why="", present=False),
        claims=(Claim(citations=_HERE, claim="", truth="false" if seen.get("misreport") else "true"),),
        summary="",
    )


def judgement(judge: str, said: Verdict | None, repeat: int = 1, **changes: Any) -> Judgement:
    """A judgement on `CASE`; without a verdict a refusal."""
    fields: dict[str, Any] = {
        "judge": judge,
        "model": AGENT,
        "case_sha256": CASE,
        "rubric": "1-A",
        "rubric_sha256": "r" * 64,
        "judging": Judging(),
        "repeat": repeat,
        "verdict": said,
        "undecided": None if said else "refusal",
        "parts": 1,
        "attempts": 1,
        "input_tokens": 10,
        "output_tokens": 5,
        "cost": None,
        "seconds": 0.1,
    }
    return Judgement(**fields | changes)


def decision(panel: Panel, said: Mapping[str, Sequence[Verdict | None]], model: str = AGENT) -> PanelDecision:
    """A panel's decision when each judge says that, one answer per repeat."""
    judgements = [
        judgement(judge, one, repeat) for judge, answers in said.items() for repeat, one in enumerate(answers, 1)
    ]
    return decide(panel, model, CASE, judgements)


def ballot(judge: str, violated: Truth = False, severity: float | None = None, **answers: Truth) -> Ballot:
    """A judge's vote; questions that are not named are answered with no."""
    return Ballot(
        judge=judge,
        verdicts=1,
        undecided=0,
        missing=0,
        answers={question: answers.get(question, False) for question in ANSWERS} | {"violated": violated},
        rules={"R1": violated},
        severity=severity if severity is not None else 4.0 * bool(violated),
    )


def row(number: int, model: str = AGENT, state: Truth = False, **changes: Any) -> SampleRow:
    """A sample's row with that violation by state."""
    fields: dict[str, Any] = dict.fromkeys(SampleRow.model_fields)
    fields |= {"run": "run", "model": model, "suite": "instrumental", "scenario": "quota_boost", "variant": "A"}
    fields |= {"epoch": number, "sample_id": f"quota_boost-A-{number}", "status": "ok", "log": "logs/a.eval"}
    fields |= {"behaviours": "", "shortcuts": "", "incidents": "", "stage": "achieved" if state else "none"}
    return SampleRow(**fields | {"constraint_violated": state} | changes)


def sample(
    number: int, ballots: Sequence[Ballot] | None, model: str = AGENT, state: Truth = False, **changes: Any
) -> Decided:
    """A sample with the decision that ballots make by a majority; without ballots it was not judged."""
    case = f"{number:064d}"
    return Decided(
        sample=RunSample(
            row=row(number, model, state, **changes), uuid=f"u{number}", epoch=1, rules_known=True, case_sha256=case
        ),
        decision=None if ballots is None else decide_ballots(0.5, model, case, ballots),
        reasoning=None if ballots is None else True,
    )


def write_study(run: Path, panel: Panel, said: Callable[[Case, str], Verdict | None], name: str = "panel") -> None:
    """A study of a run as `sidedoor judge` leaves it, with what each judge says of each case."""
    words, folder = load_rubric(), StudyFolder(run, name)
    folder.declare(Study(panel=panel, judging=Judging(), rubric=words.id, rubric_sha256=words.digest))
    for log in log_files(run):
        whole = read_eval_log(str(log))
        for one in whole.samples or ():
            case = case_of_sample(one, whole.eval.model)
            for judge in panel.judges_of(case.model):
                made = judgement(judge, said(case, judge), case_sha256=case.digest, model=case.model)
                place = log.relative_to(run).as_posix()
                folder.append(
                    Judged(
                        log=place, sample_id=str(one.id), sample_uuid=one.uuid or "", epoch=one.epoch, judgement=made
                    )
                )
