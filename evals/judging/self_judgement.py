"""`sidedoor self-judge`: each model judges its own transcripts, not told that they are its own, and told so.

RUN/judging/self/untold, RUN/judging/self/told    studies like any other, in which a model's only judge is itself
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from sidedoor.evals.analysis.differences import newcombe
from sidedoor.evals.analysis.estimate import Estimate
from sidedoor.evals.analysis.proportions import wilson
from sidedoor.evals.judging.study import DECLARATION, Judged, Study, StudyError, StudyFolder, as_view
from sidedoor.scorers.judge.judgement import Judging, View
from sidedoor.scorers.judge.panel import Panel
from sidedoor.scorers.judge.self_judgement import Recognition, own_ruling, recognition
from sidedoor.scorers.labels import Truth

if TYPE_CHECKING:  # reports read self-judgements, and print none
    from rich.console import Console

Telling: TypeAlias = Literal["untold", "told"]
TELLINGS: Final[tuple[Telling, ...]] = ("untold", "told")
SCRIPTED: Final = "reference/"


class SelfJudgement(BaseModel):
    """What one model says of its own runs.

    Attributes:
        model: the model.
        telling: whether it was told that they are its own.
        counts: its rulings beside state.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    telling: Telling
    counts: Recognition

    @property
    def recognised(self) -> Estimate:
        """Share of its violations that it recognises; those without a ruling are missing."""
        counts = self.counts
        return wilson(counts.recognised, counts.violations, missing=counts.unruled_violations)

    @property
    def false_alarms(self) -> Estimate:
        """Share of its clean runs that it calls violations; those without a ruling are missing."""
        counts = self.counts
        return wilson(counts.accused, counts.clean, missing=counts.unruled_clean)

    @property
    def youden(self) -> Estimate | None:
        """Youden's J with Newcombe's interval; None without violations or without clean runs."""
        counts = self.counts
        if counts.youden is None:
            return None
        return newcombe(counts.recognised, counts.violations, counts.accused, counts.clean)


def self_judge(
    run: Path, view: View, evidence: bool, rubric: str, at_once: int, console: "Console"
) -> list[SelfJudgement]:
    """Let each model of a run judge its own transcripts, both ways, and compare with state.

    Args:
        run: the run's folder.
        view: what of a transcript is shown.
        evidence: whether the host's journal is shown beside it.
        rubric: version of the rubric.
        at_once: samples judged at the same time.
        console: for progress.

    Raises:
        StudyError: no model there can judge, one cannot be used, or a study was declared differently before.
        CaseError: no such rubric.
    """
    from sidedoor.evals.judging.run import (
        judge_run,
    )  # takes Inspect with it, which a report of what was said does not need
    from sidedoor.scorers.judge.rubric import load_rubric

    models = [model for model in _models(run) if not model.startswith(SCRIPTED)]
    if not models:
        raise StudyError(f"{run}: no model there can judge itself; reference models follow scripts")
    words, found = load_rubric(rubric), []
    for telling in TELLINGS:
        study = Study(
            panel=Panel(judges=tuple(models), exclude_self=False),
            judging=Judging(view=view, evidence=evidence, ownership=telling),
            rubric=words.id,
            rubric_sha256=words.digest,
        )
        console.print(f"{telling} that it is its own:", highlight=False)
        judge_run(run, _name(telling), study, at_once, console, judges_of=_itself)
        found += list(_of_study(run, telling, models))
    return sorted(found, key=lambda one: one.model)


def self_judgements(run: Path) -> list[SelfJudgement]:
    """What the models of a run said of their own runs, if they were asked, by model.

    Raises:
        StudyError: what they said cannot be read.
    """
    found: list[SelfJudgement] = []
    for telling in TELLINGS:
        folder = StudyFolder(run, _name(telling))
        if (folder.path / DECLARATION).exists():
            found += _of_study(run, telling, folder.read().panel.judges)
    return sorted(found, key=lambda one: one.model)


def self_judge_command(console: "Console", run: Path, view: str, evidence: bool, rubric: str, at_once: int) -> None:
    """Let the models of a run judge themselves and say what came of it (errors as in `self_judge`)."""
    for line in lines(self_judge(run.resolve(), as_view(view), evidence, rubric, at_once, console)):
        console.print(line, highlight=False, soft_wrap=True)


def lines(found: Sequence[SelfJudgement]) -> Iterator[str]:
    """What came of it, with 95 % intervals."""
    for one in found:
        yield f"{one.model}, {one.telling} that it is its own"
        yield f"  recognised its violations  {_percent(one.recognised)}"
        yield f"  accused its clean runs     {_percent(one.false_alarms)}"
        yield f"  Youden's J                 {_youden(one)}"
        if one.counts.unknown:
            yield f"  not counted: {one.counts.unknown} runs of which state does not know"


def _itself(model: str) -> tuple[str, ...]:
    return () if model.startswith(SCRIPTED) else (model,)


def _name(telling: Telling) -> str:
    return f"self/{telling}"


def _models(run: Path) -> list[str]:
    from inspect_ai.log import read_eval_log

    from sidedoor.evals.run import log_files

    return sorted({read_eval_log(str(log), header_only=True).eval.model for log in log_files(run)})


def _of_study(run: Path, telling: Telling, models: Sequence[str]) -> Iterator[SelfJudgement]:
    from sidedoor.evals.judging.cases import run_samples

    judged = StudyFolder(run, _name(telling)).judged()
    rulings = _rulings(judged)
    runs: dict[str, list[tuple[Truth, Truth]]] = defaultdict(list)
    for sample in run_samples(run, judged):
        row = sample.row
        runs[row.model].append((row.constraint_violated, rulings.get((row.model, sample.case_sha256 or ""))))
    for model in models:
        yield SelfJudgement(model=model, telling=telling, counts=recognition(runs[model]))


def _rulings(judged: Sequence[Judged]) -> Mapping[tuple[str, str], Truth]:
    return {(one.judgement.judge, one.judgement.case_sha256): own_ruling(one.judgement) for one in judged}


def _percent(rate: Estimate) -> str:
    if rate.estimate is None:
        told = "none to judge"
    else:
        interval = f"{100 * rate.low:.1f}-{100 * rate.high:.1f}"
        told = f"{rate.x}/{rate.n} ({100 * rate.estimate:.1f} %, {interval})"
    return told + (f", {rate.missing} without a ruling" if rate.missing else "")


def _youden(one: SelfJudgement) -> str:
    if (j := one.youden) is not None and j.estimate is not None:
        return f"{j.estimate:+.2f} ({j.low:+.2f} to {j.high:+.2f})"
    return f"undefined: no {'clean runs' if one.counts.violations else 'violations'}"
