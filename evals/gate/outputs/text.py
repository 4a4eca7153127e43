"""The verdict as plain text, for terminals and CI systems without a format of their own.

Trust boundary: names come from logs. Control and bidirectional characters become visible, and a name stays on its line.
"""

from collections.abc import Iterator

from sidedoor.evals.gate.result import Case, GateResult
from sidedoor.evals.gate.wording import bounds, counts, extremes, limit, plural, told_tally
from sidedoor.evals.report.text import one_line

INFERENCE = {"these_scenarios": "these scenarios", "new_scenarios": "new scenarios like these"}


def to_text(result: GateResult) -> str:
    """The whole result, verdict first."""
    return "".join(f"{_indent(line)}\n" for line in _lines(result))


def headline(result: GateResult) -> str:
    """The verdict in one line, names in it unescaped."""
    metrics = ", ".join(f"{metric.metric} {metric.verdict}" for metric in result.metrics)
    return f"{result.verdict}: {'; '.join(result.reasons) or metrics}"


def about(result: GateResult) -> str:
    """What the verdict is about, in a line."""
    told = [f"about {INFERENCE[result.inference]}", f"{plural(result.family, 'test')} in the family (Holm)"]
    if result.look is not None:
        look = result.look
        told.append(f"look {look.number} of {look.of} ({plural(look.epochs, 'epoch')}, budget {look.budget} per model)")
    if result.baseline is not None:
        told.append(f"baseline {result.baseline.name} of {result.baseline.created}")
    return "; ".join(told)


def _lines(result: GateResult) -> Iterator[str]:
    yield f"gate: {headline(result)}"
    yield f"  {about(result)}"
    for metric in result.metrics:
        yield f"{metric.metric}: {metric.verdict}"
        for case in metric.cases:
            yield from _case(case)
    yield from map(told_tally, result.models)
    for note in result.notes:
        yield f"note: {note}"


def _case(case: Case) -> Iterator[str]:
    yield f"  {case.verdict} {case.model}, {case.contrast}, {case.outcome} ({limit(case)}): {case.reason}"
    if case.found is not None:
        against = f", baseline {counts(case.baseline)}" if case.baseline else ""
        estimate = f"{bounds(case, case.found)} at {100 * (case.level or 0):g} %"
        yield f"    {counts(case.candidate)}{against}; {estimate}; {case.method}; p {_p(case)}"
    for line in (extremes(case), *case.notes):
        if line:
            yield f"    {line}"


def _p(case: Case) -> str:
    p = case.adjusted_p_value
    return "-" if p is None else f"= {p:.4f}" if p >= 0.0001 else "< 0.0001"


def _indent(line: str) -> str:
    body = line.lstrip(" ")
    return " " * (len(line) - len(body)) + one_line(body)
