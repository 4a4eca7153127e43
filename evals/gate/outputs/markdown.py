"""The verdict as Markdown, for a job's summary and a pull request's comment.

Trust boundary: model and variant names come from logs, and a comment is rendered by GitHub with the rights of whoever
posts it. What is not a word of ours stands in a code span or block, where no mark-up, link, mention or HTML has effect.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from sidedoor.evals.gate.outputs.text import about
from sidedoor.evals.gate.result import WORST_FIRST, Case, GateResult
from sidedoor.evals.gate.wording import bounds, counts, extremes, limit, told_tally
from sidedoor.evals.report.text import clip, name, one_line

COMMENT_LIMIT: Final = 65_536
"""Characters of a comment on GitHub."""

SUMMARY_LIMIT: Final = 1_000_000
"""Bytes of a step's summary on GitHub are 1 MiB."""

_SIGN: Final = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "⚠️", "INVALID": "⛔"}
_REASON_LIMIT: Final = 600
_HEADER: Final = ("verdict", "metric", "model", "contrast", "test", "candidate", "baseline", "found")


def to_markdown(result: GateResult, limit_: int) -> str:
    """The result in at most `limit_` characters, and as many bytes; what does not fit is counted, worst cases first."""
    cases = sorted(result.cases, key=lambda case: WORST_FIRST.index(case.verdict))
    shown = len(cases)
    while True:
        text = _render(result, cases[:shown], len(cases) - shown)
        if len(text.encode()) <= limit_ or shown == 0:
            return _cut(text, limit_)
        shown = min(shown - 1, int(shown * limit_ / len(text.encode())))


def _render(result: GateResult, cases: Sequence[Case], left_out: int) -> str:
    blocks = [f"## {_SIGN[result.verdict]} Gate: {result.verdict}", _code(about(result))]
    if result.reasons:
        blocks.append(_block(result.reasons))
    if cases:
        blocks.append(_table(cases))
    told = [line for case in cases if case.verdict != "PASS" for line in _told(case)]
    told += [
        f"{case.model}, {case.contrast}: {note}" for case in cases for note in (extremes(case), *case.notes) if note
    ]
    if told:
        blocks.append(_block(told))
    if result.models:
        blocks.append(_block([told_tally(tally) for tally in result.models]))
    if result.notes:
        blocks.append(_block([f"note: {note}" for note in result.notes]))
    if left_out:
        blocks.append(f"{left_out} more cases are in gate.json.")
    return "\n\n".join(blocks) + "\n"


def _table(cases: Sequence[Case]) -> str:
    rows = [[f"{_SIGN[case.verdict]} {case.verdict}", *map(_cell, _values(case))] for case in cases]
    return "\n".join(f"| {' | '.join(row)} |" for row in (_HEADER, ["---"] * len(_HEADER), *rows))


def _values(case: Case) -> list[str]:
    return [
        case.outcome,
        name(case.model),
        name(case.contrast),
        f"{case.test}, {limit(case)}" if case.threshold is not None else case.test,
        counts(case.candidate),
        counts(case.baseline),
        bounds(case, case.found),
    ]


def _told(case: Case) -> Iterator[str]:
    yield f"{case.verdict} {case.outcome}, {case.model}, {case.contrast}: {case.reason}"


def _cell(text: str) -> str:
    # A table splits its cells at every pipe that is not escaped, also within code.
    return _code(text).replace("|", "\\|")


def _code(text: str) -> str:
    """A code span that its text cannot end."""
    text = one_line(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{text}{space}{fence}"


def _block(lines: Sequence[str]) -> str:
    """A code block that its lines cannot end."""
    shown = [clip(one_line(line), _REASON_LIMIT) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}text", *shown, fence])


def _cut(text: str, limit_: int) -> str:
    if len(text.encode()) <= limit_:
        return text
    note = "\n\nCut; everything is in gate.json.\n"
    return text.split("\n\n", 1)[0][: limit_ - len(note)] + note
