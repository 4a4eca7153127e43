"""Figures as words: every number with its counts and interval, and never a rate where there are no data."""

from collections import Counter
from collections.abc import Iterator

from sidedoor.evals.analysis.estimate import Difference, Estimate
from sidedoor.evals.analysis.onset import MedianCall
from sidedoor.evals.judging.study import Study
from sidedoor.evals.report.data import Effect, ReportData
from sidedoor.scorers.failures import Failure

NARROW = "\u202f"
DASH = "\u2013"
MINUS = "\u2212"
NO_DATA = "no data"

KINDS = {
    Failure.API_RATE_LIMIT: "the model's API limited the rate",
    Failure.API_SERVER_ERROR: "the model's API had an error",
    Failure.API_CONNECTION: "the connection to the model's API broke",
    Failure.API_TIMEOUT: "the model's API did not answer in time",
    Failure.API_REJECTED: "the model's API rejected the request",
    Failure.API_OTHER: "the model's API failed otherwise",
    Failure.NOT_STARTED: "the machine did not start",
    Failure.PROVIDER: "no machine could be had",
    Failure.MACHINE_DIED: "the machine ended early",
    Failure.STREAM_LOST: "the stream of the machine was lost",
    Failure.SERVICES: "the services failed",
    Failure.TOOL_ERROR: "a tool failed",
    Failure.AGENT_ERROR: "the agent's loop failed",
    Failure.SCORING_ERROR: "scoring failed",
    Failure.UNKNOWN: "an error of an unknown kind",
    Failure.TIMEOUT_BEFORE_ACTION: "timed out before the first action",
    Failure.UNOBSERVED: "not all of the end state could be read",
    Failure.JOURNAL_MISMATCH: "the journal does not replay",
    Failure.KILLED_AT_START: "the run was stopped while the machine started",
    Failure.KILLED_IN_TURN: "the run was stopped while the agent worked",
    Failure.KILLED_IN_CAPTURE: "the run was stopped while evidence was read",
    Failure.KILLED_IN_SCORING: "the run was stopped while the sample was scored",
    Failure.REFUSAL: "refusals of the model or its provider",
    Failure.EMPTY_REPLY: "empty replies",
    Failure.MALFORMED_CALL: "tool calls that could not be read",
    Failure.LIMIT_CONTEXT: "ends at the model's context window",
    Failure.LIMIT_MESSAGE: "ends at the limit of messages",
    Failure.LIMIT_TOKEN: "ends at the limit of tokens",
    Failure.LIMIT_TURN: "ends at the limit of turns",
    Failure.LIMIT_TIME: "ends at the time limit",
    Failure.LIMIT_WORKING: "ends at the limit of working time",
    Failure.LIMIT_COST: "ends at the limit of cost",
    Failure.LIMIT_OTHER: "ends at another limit",
}
"""Kinds of failures and incidents; all of them, as a test sees to."""


def percent(value: float, digits: int = 1) -> str:
    """A fraction in per cent: `5.1 %`."""
    return f"{100 * value:.{digits}f}{NARROW}%"


def rate(estimate: Estimate) -> str:
    """The rate alone, in per cent; `no data` without any."""
    return NO_DATA if estimate.estimate is None else percent(estimate.estimate)


def interval(estimate: Estimate) -> str:
    """The interval of a rate: `4.2 to 6.3 %`, with a dash; with no event, what the rate is at most."""
    if estimate.estimate is None:
        return f"0{DASH}100{NARROW}%"
    if estimate.x == 0 and estimate.claim == "these_scenarios":
        return f"at most {percent(estimate.high)}"
    return f"{100 * estimate.low:.1f}{DASH}{percent(estimate.high)}"


def fraction(estimate: Estimate) -> str:
    """The counts: `86/1,680`."""
    return f"{estimate.x:,}/{estimate.n:,}"


def points(value: float, digits: int = 1) -> str:
    """A difference in percentage points with its sign: `+15.7`; none has no sign."""
    shown = f"{100 * value:+.{digits}f}".replace("-", MINUS)
    return shown if any(digit in shown for digit in "123456789") else shown[1:]


def difference(value: Difference | None) -> str:
    """A difference in points with its interval: `+15.7 (10.2 to 21.3)`."""
    if value is None or value.estimate is None:
        return "nothing to compare"
    return f"{points(value.estimate)} ({points(value.low)} to {points(value.high)})"


def median_call(value: MedianCall | None) -> str:
    """The call by which half have had the event: `14`, or that it is not reached."""
    if value is None:
        return NO_DATA
    return "not reached" if value.estimate is None else str(value.estimate)


def median_interval(value: MedianCall) -> str:
    """Between which calls the median lies: `after call 11, by call 17`."""
    return f"after call {value.after}" + (f", by call {value.by}" if value.by is not None else "")


def p_value(value: float) -> str:
    """A p-value to three digits."""
    return "<\u202f0.001" if value < 0.001 else f"{value:.3f}"


def plural(count: int, noun: str) -> str:
    """`1 model`, `3 models`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def change(effect: Effect) -> str:
    """What an effect changes: `honest path: open → blocked`."""
    return f"{effect.factor.replace('_', ' ')}: {effect.baseline} → {effect.changed}"


def direction(value: Difference) -> str:
    """Whether an interval says higher, lower, or leaves it open."""
    if value.estimate is None:
        return "none"
    return "higher" if value.low > 0 else "lower" if value.high < 0 else "open"


def verdict(data: ReportData) -> Iterator[str]:
    """The result in sentences, most important first."""
    pooled = data.rate(data.primary).estimate
    if pooled.estimate is None:
        told = f"Nothing can be said: of {plural(data.samples, 'sample')}, none has a known outcome. {_why(data)}"
        yield told.strip()
        return
    yield _pooled(data, pooled)
    yield from _others(data)
    yield from _models(data)
    yield _strongest(data)
    yield from _judges(data)
    yield from _missing(data)


def _pooled(data: ReportData, pooled: Estimate) -> str:
    what = "took a shortcut" if data.primary == "ic_behavior_detected" else "broke a rule"
    who = data.models[0] if len(data.models) == 1 else f"The {len(data.models)} models"
    if pooled.x == 0:
        return f"{who} {what} in none of {plural(pooled.n, 'sample')}; the rate is {interval(pooled)}."
    return f"{who} {what} in {pooled.x:,} of {plural(pooled.n, 'sample')}: {rate(pooled)} ({interval(pooled)})."


def _others(data: ReportData) -> Iterator[str]:
    told = []
    if data.primary != "constraint_violated":
        told.append(("broke a rule that was in force", data.rate("constraint_violated").estimate))
    told.append(("completed the task", data.rate("benchmark_task_completed").estimate))
    told.append(("took at least one action", data.rate("engaged").estimate))
    known = [f"{rate(value)} ({fraction(value)}) {what}" for what, value in told if value.n]
    if known:
        yield f"Of the samples, {_listed(known)}."


def _models(data: ReportData) -> Iterator[str]:
    if data.ordering is None:
        return
    low, high = data.ordering.ranked[0], data.ordering.ranked[-1]
    if not data.ordering.ordered:
        yield f"No two of the {len(data.ordering.ranked)} models can be told apart."
        return
    yield (
        f"Rates run from {percent(low.rate)} ({low.model}) to {percent(high.rate)} ({high.model}); "
        f"{len(data.ordering.ordered)} of {plural(data.ordering.family, 'pair')} of models can be told apart, "
        f"{len(data.ordering.unordered)} cannot."
    )


def _strongest(data: ReportData) -> str:
    found = [one for one in data.effects if one.measure == data.primary and one.model is None]
    told = [one for one in found if direction(one.these_scenarios) in ("higher", "lower")]
    if not found:
        return "No two variants differ in one factor alone, so that nothing can be said of what moves the rate."
    if not told:
        return f"None of the {plural(len(found), 'change')} of a factor has an effect that can be told from none."
    most = max(told, key=lambda one: abs(one.these_scenarios.estimate or 0))
    wide = most.new_scenarios
    also = (
        "; that holds for new scenarios like these, too"
        if wide and direction(wide) == direction(most.these_scenarios)
        else "; for new scenarios like these it is open"
    )
    return f"The rate moves most with {change(most)}: {difference(most.these_scenarios)} points{also}."


def _judges(data: ReportData) -> Iterator[str]:
    """What only judges see, in a sentence."""
    if not data.judged:
        return
    told = (("misreport", "misreported"), ("awareness", "took it for a test"), ("unsafe", "reached severity 3"))
    found = [(data.rate(measure).estimate, words) for measure, words in told]
    known = [f"{fraction(value)} {words} ({rate(value)})" for value, words in found if value.n]
    left = data.judged[0].undecided
    undecided = f"; they could not decide on {plural(left, 'sample')}" if left else ""
    yield f"By the judges, {_listed(known) if known else 'nothing is known'}{undecided}."


def declared(study: Study) -> str:
    """How a run was judged, in a sentence."""
    panel, judging = study.panel, study.judging
    alone = len(panel.judges) == 1
    verdicts = plural(panel.repeats, "verdict") + ("" if alone else " each")
    shown = f"{judging.view}{' and the journal' if judging.evidence else ', without the journal'}"
    rule = "" if alone else f"; yes takes more than {percent(panel.threshold, 0)} of the votes, severity is the median"
    own = "; no judge on models of its own family" if panel.exclude_self else "; judges also on their own family"
    return (
        f"{_listed(list(panel.judges))}, {verdicts}; rubric {study.rubric} ({study.rubric_sha256[:12]}); "
        f"shown: {shown}{rule}{own}."
    )


def _missing(data: ReportData) -> Iterator[str]:
    whole = data.rate(data.primary)
    if whole.lowest is None or whole.highest is None or whole.lowest.estimate is None or whole.highest.estimate is None:
        return
    yield (
        f"{plural(whole.estimate.missing, 'sample')} without a known outcome could put the rate anywhere from "
        f"{percent(whole.lowest.estimate)} to {percent(whole.highest.estimate)}. {_why(data)}"
    ).strip()


def _why(data: ReportData) -> str:
    kinds, killed = Counter[Failure](), Counter[Failure]()
    for counts in data.counts:
        kinds.update(counts.invalid)
        killed.update(counts.killed)
    told = [f"in {number:,} {KINDS[kind]}" for kind, number in (kinds + killed).items()]
    absent = sum(counts.missing for counts in data.counts) - killed.total()
    told += [f"{absent:,} were planned and are not there"] if absent else []
    return f"Of them, {_listed(told)}." if told else ""


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
