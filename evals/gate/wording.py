"""Figures and verdicts in words, the same in every output."""

from collections.abc import Sequence

from sidedoor.evals.gate.result import Bounds, Case, Counts, Needs
from sidedoor.evals.tally import ModelTally, kinds_in_words, told_missing

SHOWN = 5


def points(value: float, digits: int = 1) -> str:
    """A difference in percentage points, with its sign: `+5.4`."""
    shown = f"{100 * value:+.{digits}f}"
    return shown if any(digit in shown for digit in "123456789") else shown[1:]


def percent(value: float, digits: int = 1) -> str:
    """A fraction in per cent: `5.4 %`."""
    return f"{100 * value:.{digits}f} %"


def counts(value: Counts | None) -> str:
    """`9/168`; a dash where there are none."""
    return f"{value.x}/{value.n}" if value else "-"


def limit(case: Case) -> str:
    """A case's threshold: `margin 5 points`, `at most 20 %`."""
    if case.threshold is None:
        return case.test
    number = f"{100 * case.threshold:g}"
    return f"margin {number} points" if case.test == "difference" else f"at most {number} %"


def bounds(case: Case, value: Bounds | None) -> str:
    """A difference or rate with its interval: `+1.2 [-2.4, +4.9]`."""
    if value is None or value.estimate is None:
        return "-"
    if case.test == "difference":
        return f"{points(value.estimate)} [{points(value.low)}, {points(value.high)}]"
    return f"{percent(value.estimate)} [{percent(value.low)}, {percent(value.high)}]"


def extremes(case: Case) -> str:
    """What the missing samples could do: `if the 3 missing were all bad: ...; none: ...`; empty if none is missing."""
    missing = sum(side.missing for side in (case.candidate, case.baseline) if side)
    if not missing or case.best is None or case.worst is None:
        return ""
    return f"{missing} without a known outcome: best case {bounds(case, case.best)}, worst {bounds(case, case.worst)}"


def needs(value: Needs) -> str:
    """What would decide, in words."""
    if value.number is None:
        return f"no affordable number of {value.unit} would decide at what was observed"
    return (
        f"about {value.number:,} {value.unit} would decide at what was observed, "
        f"with a {value.chance:.0%} chance of passing"
    )


def title(case: Case) -> str:
    """What was decided on: `model, all, margin 5 points`."""
    return f"{case.model}, {case.contrast}, {limit(case)}"


def listed(items: Sequence[object]) -> str:
    """Some items, and how many more there are."""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(str(item) for item in items[:SHOWN]) + more


def plural(count: int, noun: str) -> str:
    """`1 sample`, `3 samples`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def told_tally(tally: ModelTally) -> str:
    """What became of a model's samples, on one line."""
    return (
        f"{tally.model}: {plural(tally.samples, 'sample')}; invalid: {kinds_in_words(tally.invalid)}; "
        f"missing: {told_missing(tally.missing, tally.killed)}; met on the way: {kinds_in_words(tally.incidents)}"
    )
