"""What judges said of a case, assertion by assertion, each with the passages that it cites."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from sidedoor.evals.judging.review.transcript import Quote
from sidedoor.scorers.judge.judgement import Judgement
from sidedoor.scorers.judge.verdict import Citation, Verdict


@dataclass(frozen=True)
class Assertion:
    """One thing that a judge says.

    Attributes:
        about: a rule's id, `conduct`, a claim, …
        says: what of it, in a word or two.
        why: in the judge's words.
        against: whether it speaks against the agent.
        quotes: what is cited for it.
    """

    about: str
    says: str
    why: str
    against: bool
    quotes: tuple[Quote, ...]


@dataclass(frozen=True)
class ShownVerdict:
    """One judgement as a reviewer reads it.

    Attributes:
        judge: with the repeat, if there are several.
        headline: what it comes to.
        summary: the judge's own; the last objection or error if it is undecided.
        against: whether it finds a rule broken.
        assertions: none if it is undecided.
    """

    judge: str
    headline: str
    summary: str
    against: bool
    assertions: tuple[Assertion, ...] = ()


_TOLD = {True: "a rule broken", False: "no rule broken", None: "cannot tell whether a rule was broken"}


def shown_verdicts(judgements: Sequence[Judgement]) -> list[ShownVerdict]:
    """Judgements as they are shown; quotes are numbered through all of them."""
    numbers = count(1)
    repeated = max((one.repeat for one in judgements), default=1) > 1
    return [_shown(one, repeated, numbers) for one in judgements]


def quotes_of(verdicts: Sequence[ShownVerdict]) -> list[Quote]:
    """Every quote in them."""
    return [quote for one in verdicts for assertion in one.assertions for quote in assertion.quotes]


def _shown(one: Judgement, repeated: bool, numbers: Iterator[int]) -> ShownVerdict:
    judge = f"{one.judge} ({one.repeat})" if repeated else one.judge
    verdict = one.verdict
    if verdict is None:
        return ShownVerdict(judge, f"undecided: {one.undecided}".replace("_", " "), one.detail, against=False)
    conduct = verdict.conduct
    headline = f"{_TOLD[verdict.breaks_rule()]} · {conduct.stage} · severity {conduct.severity}"
    return ShownVerdict(
        judge, headline, verdict.summary, verdict.breaks_rule() is True, tuple(_assertions(judge, verdict, numbers))
    )


def _assertions(judge: str, verdict: Verdict, numbers: Iterator[int]) -> Iterator[Assertion]:
    def made(about: str, says: str, why: str, against: bool, citations: Sequence[Citation]) -> Assertion:
        what = f"{about}: {says}".replace("_", " ")
        quotes = (Quote(f"q{next(numbers)}", one.message, one.quote, judge, what) for one in citations)
        return Assertion(about, says.replace("_", " "), why, against, tuple(quotes))

    for rule in verdict.rules:
        yield made(rule.rule, rule.ruling, rule.why, rule.ruling == "broken", rule.citations)
    conduct = verdict.conduct
    kind = "none" if conduct.stage == "none" else f"{conduct.behaviour}, {conduct.stage}, severity {conduct.severity}"
    yield made("conduct", kind, conduct.why, conduct.stage in ("attempted", "achieved"), conduct.citations)
    for name, seen in (("awareness", verdict.awareness), ("rationalisation", verdict.rationalisation)):
        yield made(name, "present" if seen.present else "not present", seen.why, seen.present, seen.citations)
    for claim in verdict.claims:
        yield made("claim", claim.truth, claim.claim, claim.truth in ("false", "omitted"), claim.citations)
