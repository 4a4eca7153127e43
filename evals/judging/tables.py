"""A judging study's numbers as plain text, for the end of `sidedoor judge` and for `sidedoor agreement`."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sidedoor.evals.analysis.agreement import Alpha, PairAgreement, SelfPreference
from sidedoor.evals.analysis.estimate import Difference, Estimate
from sidedoor.evals.judging.agreement import JudgePair, StudyAgreement
from sidedoor.evals.judging.correction import Correction
from sidedoor.evals.judging.summary import JudgeSummary, ModelJudged
from sidedoor.scorers.visible import visible

NONE: Final = "-"
ALL: Final = "all models"
WORDS: Final = frozenset(("", "model", "question", "judge", "judges", "family", "of", "level", "without"))
"""Columns of words, not of figures."""


def print_rates(console: Console, summary: JudgeSummary) -> None:
    """What the panel found, by model, beside state; and what a reader must know beside it."""
    _print(console, "what state and the panel found", _rates(summary))
    for line in [*_state_lines(summary), *summary.notes]:
        console.print(Text(visible(line)), soft_wrap=True)


def print_agreement(console: Console, summary: JudgeSummary) -> None:
    """How far the judges can be trusted, and the rates after review."""
    found = summary.agreement
    _print(console, "judges, on whether a rule was broken", _judges(found))
    _print(console, "agreement of judges", _pairs(found))
    _print(console, f"agreement of all judges ({_self_judgements(found)})", _coefficients(found))
    if found.stability:
        _print(console, "order of models without one judge", _stability(found))
    if found.preferences:
        _print(console, "own family, points above or below the other judges", _preferences(found))
    title = f"rates after review: {summary.reviewed} of {summary.queue} in the queue reviewed"
    _print(console, title, _corrected(summary))
    for line in _review_lines(summary):
        console.print(Text(line), soft_wrap=True)


def _print(console: Console, title: str, rows: Iterable[Sequence[str]]) -> None:
    header, *body = rows
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in header:
        table.add_column(column, justify="left" if column in WORDS else "right")
    for row in body:
        table.add_row(*(Text(visible(cell)) for cell in row))
    console.print(table)


def _rates(summary: JudgeSummary) -> Iterator[tuple[str, ...]]:
    yield "model", "", "x/n", "rate", "missing"
    for one in _models(summary):
        yield one.model or ALL, "state: violated", *_cells(one.state)
        for rates in one.questions:
            yield "", f"panel: {rates.question}", *_cells(rates.panel)
        yield "", "panel: severity >= 3", *_cells(one.unsafe)
        yield "", f"undecided {one.undecided}, not judged {one.not_judged} of {one.samples}", "", "", ""


def _models(summary: JudgeSummary) -> list[ModelJudged]:
    return [*summary.models, summary.whole] if len(summary.models) > 1 else list(summary.models)


def _state_lines(summary: JudgeSummary) -> Iterator[str]:
    crossed = summary.whole.crossed
    yield (
        f"state and panel on violations: both {crossed.both}, state alone {crossed.only_state}, panel alone "
        f"{crossed.only_panel}, neither {crossed.neither}, unknown to either {crossed.unknown}"
    )


def _judges(found: StudyAgreement) -> Iterator[tuple[str, ...]]:
    yield "judge", "votes", "violated", "agrees with state", "kappa", "found", "false alarms", "Youden's J", ""
    for one in found.judges:
        state = one.against_state
        yield (
            one.judge,
            f"{one.voted}/{one.asked}",
            _rate(one.positive),
            _rate(one.state_agreement.raw),
            _number(one.state_agreement.kappa),
            _rate(state.found),
            _rate(state.false_alarms),
            _number(state.youden),
            "UNUSABLE" if one.unusable else "constant" if one.constant else "",
        )


def _pairs(found: StudyAgreement) -> Iterator[tuple[str, ...]]:
    yield "question", "judges", "agree", "positive", "negative", "kappa", "AC1"
    for question in found.questions:
        for pair in question.pairs:
            yield question.question, _names(pair), *_agreement(pair.agreement)


def _names(pair: JudgePair) -> str:
    return f"{pair.first} / {pair.second}"


def _agreement(found: PairAgreement) -> tuple[str, ...]:
    return _rate(found.raw), *map(_number, (found.positive, found.negative, found.kappa, found.ac1))


def _self_judgements(found: StudyAgreement) -> str:
    if not found.self_judgements:
        return "no judge on its own family"
    return f"with {found.self_judgements} votes of judges on their own family"


def _coefficients(found: StudyAgreement) -> Iterator[tuple[str, ...]]:
    yield "of", "level", "alpha", "AC1", "samples", "ratings", "missing"
    for one in found.questions:
        yield one.question, one.alpha.measurement, _number(one.alpha.alpha), _number(one.ac1), *_counts(one.alpha)
    severity = found.severity
    for alpha in (severity.nominal, severity.ordinal, severity.interval):
        yield "severity", alpha.measurement, _number(alpha.alpha), "", *_counts(alpha)
    unsafe = severity.unsafe
    yield "severity >= 3", unsafe.measurement, _number(unsafe.alpha), "", *_counts(unsafe)


def _counts(alpha: Alpha) -> tuple[str, ...]:
    return str(alpha.units), str(alpha.ratings), str(alpha.missing)


def _stability(found: StudyAgreement) -> Iterator[tuple[str, ...]]:
    yield "without", "Kendall's tau", "models that change rank"
    for one in found.stability:
        yield one.judge, _number(one.tau), ", ".join(one.moved) or NONE


def _preferences(found: StudyAgreement) -> Iterator[tuple[str, ...]]:
    yield "judge", "family", "on its own", "on others", "excess"
    for one in found.preferences:
        both = one.preference
        yield one.judge, one.family, _difference(both.own), _difference(both.others), _excess(both)


def _corrected(summary: JudgeSummary) -> Iterator[tuple[str, ...]]:
    yield "model", "question", "panel", "corrected", "positives, doubts", "rest", "not to be told"
    for one in _models(summary):
        for number, rates in enumerate(one.questions):
            told = rates.corrected
            name = "" if number else one.model or ALL
            yield name, rates.question, _interval(rates.panel), _interval(told.estimate), *_review(told)


def _review(found: Correction) -> tuple[str, str, str]:
    certain, drawn = found.certain, found.drawn
    return (
        f"{certain.positive} of {certain.told} (of {certain.items})",
        f"{drawn.positive} of {drawn.told} (of {found.rest})",
        str(certain.untold + drawn.untold),
    )


def _review_lines(summary: JudgeSummary) -> Iterator[str]:
    reasons = ", ".join(f"{reason} {count}" for reason, count in summary.reasons.items())
    yield "positives, doubts and rest: found so of those reviewed (of those there)"
    yield f"to review: {reasons or 'nothing'}"
    if summary.draw is None:
        yield "no negatives were drawn for review yet (sidedoor review): rates cannot be corrected without them"


def _cells(estimate: Estimate) -> tuple[str, str, str]:
    if estimate.estimate is None:
        return NONE, NONE, str(estimate.missing)
    return f"{estimate.x}/{estimate.n}", _interval(estimate), str(estimate.missing)


def _rate(estimate: Estimate) -> str:
    """`3/40 7.5 % (2.6 to 19.9)`, and how many are missing."""
    if estimate.estimate is None:
        return f"no data, {estimate.missing} missing" if estimate.missing else NONE
    missing = f", {estimate.missing} missing" if estimate.missing else ""
    return f"{estimate.x}/{estimate.n} {_interval(estimate)}{missing}"


def _interval(estimate: Estimate) -> str:
    if estimate.estimate is None:
        return NONE
    return f"{100 * estimate.estimate:.1f} % ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def _difference(value: Difference) -> str:
    if value.estimate is None:
        return NONE
    return f"{100 * value.estimate:+.1f} ({100 * value.low:+.1f} to {100 * value.high:+.1f})"


def _excess(value: SelfPreference) -> str:
    if value.excess is None:
        return NONE
    return f"{100 * value.excess:+.1f} ({100 * value.low:+.1f} to {100 * value.high:+.1f})"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"
