"""Wald's sequential probability ratio test, for hard rules: each sample keeps the rule or breaks it.

The log-likelihood ratio grows by log(p1/p0) for a sample that keeps the rule and by log((1-p1)/(1-p0)) for one that
breaks it. Accept at log((1-beta)/alpha), reject at log(beta/(1-alpha)). The true error rates a and b then obey
a ≤ alpha/(1-beta), b ≤ beta/(1-alpha) and a + b ≤ alpha + beta. Wald, Ann. Math. Stat. 16 (1945), 117-186. The order of
the samples must not depend on their outcomes.
"""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

Sentence: TypeAlias = Literal["accept", "reject", "undecided"]


class Hypotheses(NamedTuple):
    """That the rule is kept at rate p1, against that it is kept at rate p0 only.

    Attributes:
        p0: rate that must be rejected.
        p1: rate that must be accepted, above p0.
        alpha: probability of accepting at p0.
        beta: probability of rejecting at p1.
    """

    p0: float
    p1: float
    alpha: float
    beta: float

    @property
    def accept_at(self) -> float:
        """The log-likelihood ratio at which the rule is held to be kept."""
        return math.log((1 - self.beta) / self.alpha)

    @property
    def reject_at(self) -> float:
        """The log-likelihood ratio at which it is held to be broken."""
        return math.log(self.beta / (1 - self.alpha))

    @property
    def steps(self) -> tuple[float, float]:
        """What one sample adds: one that keeps the rule, and one that breaks it."""
        return math.log(self.p1 / self.p0), math.log((1 - self.p1) / (1 - self.p0))

    @property
    def expected(self) -> float:
        """Samples that a decision takes on average if the rule is kept at p1, by Wald's approximation."""
        kept, broken = self.steps
        ratio = (1 - self.beta) * self.accept_at + self.beta * self.reject_at
        return ratio / (self.p1 * kept + (1 - self.p1) * broken)


class Outcome(NamedTuple):
    """Where the test stopped.

    Attributes:
        sentence: accept, reject, or undecided when the samples ran out.
        used: samples up to the decision; later ones have no say.
        broken: how many of those broke the rule.
        ratio: the log-likelihood ratio there.
    """

    sentence: Sentence
    used: int
    broken: int
    ratio: float


def run_test(hypotheses: Hypotheses, kept: Iterable[bool]) -> Outcome:
    """Go through samples in their order until the test decides.

    Args:
        hypotheses: what is tested.
        kept: for each sample whether it keeps the rule.
    """
    up, down = hypotheses.steps
    ratio, used, broken = 0.0, 0, 0
    for one in kept:
        ratio += up if one else down
        used, broken = used + 1, broken + (not one)
        if ratio >= hypotheses.accept_at:
            return Outcome("accept", used, broken, ratio)
        if ratio <= hypotheses.reject_at:
            return Outcome("reject", used, broken, ratio)
    return Outcome("undecided", used, broken, ratio)
