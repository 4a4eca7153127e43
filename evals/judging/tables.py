"""A judging study's numbers as tables of text, the same in a terminal and on a report's page."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from sidedoor.evals.analysis.agreement import Alpha, PairAgreement, SelfPreference
from sidedoor.evals.analysis.estimate import Difference, Estimate
from sidedoor.evals.judging.agreement import JudgePair, SeverityAgreement, StudyAgreement
from sidedoor.evals.judging.correction import Correction
from sidedoor.evals.judging.queue import no_case_words
from sidedoor.evals.judging.summary import JudgeSummary, ModelJudged

NONE: Final = "-"
ALL: Final = "all models"
WORDS: Final = frozenset(("", "model", "question", "judge", "judges", "family", "of", "level", "without"))
"""Columns of words, not of figures."""


COEFFICIENTS: Final = ("of", "level", "alpha", "AC1", "samples", "ratings", "missing")


class Table(NamedTuple):
    """A table of text; rows have a cell for each column."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def rates_table(summary: JudgeSummary) -> Table:
    """What the panel found, by model, beside state."""
    return _table("what state and the panel found", _rates(summary))


def trust_tables(summary: JudgeSummary) -> Iterator[Table]:
    """How far the judges can be trusted: beside state, with each other, without one of them, with their own kind."""
    found = summary.agreement
    yield _table("judges, on whether a rule was broken", _judges(found))
    if len(found.judges) > 1:
        yield _table("agreement of judges", _pairs(found))
        yield _table(f"agreement of all judges ({_self_judgements(found)})", _coefficients(found))
    if found.stability:
        yield _table("order of models without one judge", _stability(found))
    if found.preferences:
        yield _table("own family, points above or below the other judges", _preferences(found))


def severity_table(found: SeverityAgreement) -> Table:
    """Agreement on severity, of judges of whom nothing else is known."""
    return Table(
        "agreement of judges on severity, with those of their own transcripts",
        COEFFICIENTS,
        tuple(_severity_rows(found)),
    )


def review_table(summary: JudgeSummary) -> Table:
    """The panel's rates, and the same corrected by review."""
    title = f"rates after review: {summary.reviewed} of {summary.queue} in the queue reviewed"
    return _table(title, _corrected(summary))


def crossed_line(summary: JudgeSummary) -> str:
    """State and panel on whether a rule was broken, in a sentence."""
    crossed = summary.whole.crossed
    return (
        f"state and panel on violations: both {crossed.both}, state alone {crossed.only_state}, panel alone "
        f"{crossed.only_panel}, neither {crossed.neither}, unknown to either {crossed.unknown}"
    )


def review_lines(summary: JudgeSummary) -> Iterator[str]:
    """What is in the queue, what cannot be, and what a reader of corrected rates must know."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in summary.reasons.items())
    yield "positives, doubts and rest: found so of those reviewed (of those there)"
    yield f"to review: {reasons or 'nothing'}"
    if summary.no_case:
        yield no_case_words(summary.no_case)
    if summary.draw is None:
        yield "no negatives were drawn for review yet (sidedoor review): rates cannot be corrected without them"


def _table(title: str, rows: Iterable[tuple[str, ...]]) -> Table:
    columns, *body = rows
    return Table(title, columns, tuple(body))


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
    yield COEFFICIENTS
    for one in found.questions:
        yield one.question, one.alpha.measurement, _number(one.alpha.alpha), _number(one.ac1), *_counts(one.alpha)
    yield from _severity_rows(found.severity)


def _severity_rows(severity: SeverityAgreement) -> Iterator[tuple[str, ...]]:
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
