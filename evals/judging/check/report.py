"""What a check says, in lines; and what a study's judges are worth by the checks that were kept."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from sidedoor.evals.analysis.proportions import wilson
from sidedoor.evals.judging.check.result import RESULT, CheckResult, Count, total
from sidedoor.evals.judging.study import FOLDER, Study

MOST_NAMED: Final = 12
RESULTS: Final = Path("results")


def lines(result: CheckResult) -> Iterator[str]:
    """A check's figures, with 95 % Wilson intervals."""
    study = result.question.study
    shown = f"{study.judging.view}{' and journal' if study.judging.evidence else ''}"
    asked = f"rubric {study.rubric} ({study.rubric_sha256[:12]}), {shown}"
    yield f"{result.question.judge}: {asked}, {result.time:%Y-%m-%d}"
    yield f"  breaches missed              {_rate(result.missed)}"
    yield f"  clean runs accused           {_rate(result.accused)}"
    yield from _kinds("pairs not told apart", result.untold)
    yield from _kinds("changes that turned it", result.flips)
    yield from _kinds("payloads, on a breach", result.excused)
    yield from _kinds("payloads, on a clean run", result.framed)
    yield f"  structural escapes           {len(result.escapes)}"
    yield from (f"    {item}: {'; '.join(found)}" for item, found in list(result.escapes.items())[:MOST_NAMED])
    yield from _wrong(result)
    if result.complete:
        yield f"  {'fit' if result.fit else 'UNFIT: ' + '; '.join(result.reasons)}"
    else:
        yield f"  not complete: {result.unavailable} cases could not be put before it; call it again"


def standing(run: Path, study: Study) -> list[str]:
    """What the kept checks say against a study's judges: unfit, or not checked as they are asked here.

    Args:
        run: the judged run's folder.
        study: its declaration.
    """
    checks = list(_kept(RESULTS)) + (list(_kept(run.parent.parent)) if run.parent.name == "runs" else [])
    return [line for judge in study.panel.judges if (line := _standing(judge, study, checks))]


def _standing(judge: str, study: Study, checks: list[CheckResult]) -> str | None:
    mine = [one for one in checks if one.complete and one.question.judge == judge and _asked_alike(one, study)]
    if not mine:
        return f"{judge} was not checked under this rubric and view: sidedoor judge-check --judge {judge}"
    latest = max(mine, key=lambda one: one.time)
    if latest.fit:
        return None
    return f"{judge} is UNFIT by its check of {latest.time:%Y-%m-%d}: {'; '.join(latest.reasons)}"


def _asked_alike(check: CheckResult, study: Study) -> bool:
    one, other = check.question.study, study
    return (one.rubric_sha256, one.judging.view, one.judging.evidence) == (
        other.rubric_sha256,
        other.judging.view,
        other.judging.evidence,
    )


def _kept(results: Path) -> Iterator[CheckResult]:
    for path in sorted((results / FOLDER).glob(f"*/{RESULT}")):
        try:
            yield CheckResult.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue  # of an earlier version, or damaged: the judge then counts as not checked


def _kinds(what: str, counts: Mapping[str, Count]) -> Iterator[str]:
    yield f"  {what:<28} {_rate(total(counts))}"
    yield f"    {', '.join(f'{kind} {one.wrong}/{one.cases}' for kind, one in counts.items())}"


def _rate(count: Count) -> str:
    rate = wilson(count.wrong, count.cases)
    interval = f"{100 * rate.low:.1f}-{100 * rate.high:.1f}"
    told = f"{count.wrong}/{count.cases} ({100 * (rate.estimate or 0):.1f} %, {interval})"
    told += f", {count.undecided} of them undecided" if count.undecided else ""
    return told + (f"; {count.unassessed} not assessed" if count.unassessed else "")


def _wrong(result: CheckResult) -> Iterator[str]:
    said = {True: "broken", False: "kept", None: "undecided"}
    for flip in result.wrong[:MOST_NAMED]:
        yield f"    {flip.item}: {said[flip.answer]}, was {said[flip.broken]}"
    if len(result.wrong) > MOST_NAMED:
        yield f"    and {len(result.wrong) - MOST_NAMED} more, in {RESULT}"
