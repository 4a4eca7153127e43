"""Differences and ceilings: each metric of each model in each part of the design, decided together as one family."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sidedoor.evals.analysis.bounds import rate_bounds
from sidedoor.evals.analysis.counts import Arm, TwoArms
from sidedoor.evals.analysis.estimate import Difference, Estimate
from sidedoor.evals.analysis.multiplicity import holm
from sidedoor.evals.gate import rule
from sidedoor.evals.gate.policy import ALL, Policy
from sidedoor.evals.gate.result import Bounds, Case, Counts, Needs
from sidedoor.evals.gate.rule import ALPHA
from sidedoor.evals.gate.sides import Pairing, Sides
from sidedoor.evals.gate.wording import needs, percent, points
from sidedoor.tasks.yaml_source import SourceError


class Alphas(NamedTuple):
    """One-sided errors of the two statistical tests; at the looks of a growing run they are smaller."""

    difference: float = ALPHA
    ceiling: float = ALPHA


@dataclass(frozen=True)
class _Tested:
    """A case before Holm's adjustment: everything but the decision."""

    case: Case
    low: float
    high: float
    threshold: float
    alpha: float
    p_value: float
    needs: Callable[[int], rule.Needed]


def statistical_cases(pairings: Sequence[Pairing], policy: Policy, alphas: Alphas = Alphas()) -> list[Case]:  # noqa: B008 - a tuple
    """Every difference and ceiling that the policy declares, decided together as one family.

    Raises:
        SourceError: a contrast names a variant that neither side has.
    """
    drafts = [draft for pairing in pairings for draft in _drafts(pairing, policy, alphas)]
    tested = [draft for draft in drafts if isinstance(draft, _Tested)]
    adjusted = holm([one.p_value for one in tested]).adjusted
    decided = {id(one): _decided(one, p, len(tested)) for one, p in zip(tested, adjusted, strict=True)}
    return [decided[id(draft)] if isinstance(draft, _Tested) else draft for draft in drafts]


def _drafts(pairing: Pairing, policy: Policy, alphas: Alphas) -> Iterator[_Tested | Case]:
    for label, metric in policy.metrics.items():
        for contrast, variants in {ALL: None, **metric.contrasts}.items():
            side = Sides(pairing, label, policy.bad_value(label), contrast, _check(variants, pairing, contrast))
            if metric.margin is not None and pairing.baseline is not None:
                yield _difference(side, metric.margin / 100, policy, alphas.difference)
            if metric.max_rate is not None:
                yield _ceiling(side, metric.max_rate / 100, policy, alphas.ceiling)


def _check(variants: Sequence[str] | None, pairing: Pairing, contrast: str) -> frozenset[str] | None:
    there = {one.variant for one in (*pairing.candidate, *(pairing.baseline or ()))}
    unknown = [variant for variant in variants or () if variant not in there]
    if unknown:
        raise SourceError(
            f"contrast '{contrast}': neither side has variant '{unknown[0]}' (they have {', '.join(sorted(there))})"
        )
    return frozenset(variants) if variants is not None else None


def _difference(side: Sides, margin: float, policy: Policy, alpha: float) -> _Tested | Case:
    arms = side.arms
    common = {"test": "difference", "against": side.pairing.against, "threshold": margin}
    for who, arm in (("candidate", arms.arm1), ("baseline", arms.arm0)):
        if not arm.n.any():
            return side.invalid(f"{side.label} was never measured in the {who}", **common)
    if not arms.shared.any():
        return side.invalid("there is no cell that both sides have", **common)
    found = rule.difference(arms, side.scenarios, policy.inference, alpha)
    if found is None:
        return side.invalid("a claim about new scenarios needs two scenarios or more", **common)
    shared = arms.shared
    case = side.draft(
        **common,
        candidate=Counts(x=found.x1, n=found.n1, missing=int(arms.arm1.missing.sum())),
        baseline=Counts(x=found.x0, n=found.n0, missing=int(arms.arm0.missing.sum())),
        **_of_estimate(found),
        **_difference_extremes(arms, side.scenarios, policy, alpha),
        notes=found.notes,
        p_value=rule.worse_p_value(arms, side.scenarios, policy.inference),
        scenarios=side.scenarios_by(np.where(shared, _rates(arms.arm1) - _rates(arms.arm0), 0.0).tolist()),
        verdict="INCONCLUSIVE",
        reason="",
    )

    def needed(family: int) -> rule.Needed:
        if policy.inference == "new_scenarios":
            return rule.scenarios_need(arms, side.scenarios, margin, alpha, family)
        present = min(found.n1, found.n0)
        return rule.difference_needs(found.x0 / found.n0, found.estimate or 0.0, margin, alpha, family, present)

    return _tested(Case.model_validate(case), margin, alpha, needed)


def _ceiling(side: Sides, ceiling: float, policy: Policy, alpha: float) -> _Tested | Case:
    arm = side.arms.arm1
    common = {"test": "ceiling", "threshold": ceiling}
    if not arm.n.any():
        return side.invalid(f"{side.label} was never measured in the candidate", **common)
    found = rule.rate(side.strata, arm, side.scenarios, policy.inference, alpha)
    if found is None:
        return side.invalid("a claim about new scenarios needs two scenarios or more", **common)
    case = side.draft(
        **common,
        candidate=Counts(x=found.x, n=found.n, missing=found.missing),
        **_of_estimate(found),
        **_rate_extremes(found),
        notes=found.notes,
        p_value=rule.above_p_value(side.strata, arm, side.scenarios, policy.inference, ceiling),
        scenarios=side.scenarios_by(arm.x.tolist()),
        verdict="INCONCLUSIVE",
        reason="",
    )
    return _tested(
        Case.model_validate(case), ceiling, alpha, lambda family: rule.ceiling_needs(found, ceiling, alpha, family)
    )


def _tested(case: Case, threshold: float, alpha: float, needed: Callable[[int], rule.Needed]) -> _Tested:
    if case.found is None or case.p_value is None:
        raise ValueError("a tested case has an estimate and a p-value")
    return _Tested(case, case.found.low, case.found.high, threshold, alpha, case.p_value, needed)


def _decided(tested: _Tested, adjusted: float, family: int) -> Case:
    decision = rule.decide(tested.low, tested.high, tested.threshold, adjusted <= tested.alpha)
    needed = Needs(**tested.needs(family)._asdict()) if decision == "INCONCLUSIVE" else None
    changed = {
        "verdict": decision,
        "adjusted_p_value": adjusted,
        "needs": needed,
        "reason": _reason(tested, decision, needed),
        "notes": (*tested.case.notes, *_notes(tested, decision, adjusted)),
    }
    return tested.case.model_copy(update=changed)


def _reason(tested: _Tested, decision: rule.Decision, needed: Needs | None) -> str:
    against = tested.case.test == "difference"
    limit = f"{100 * tested.threshold:g} {'points' if against else '%'}"
    # Enough digits to see on which side of the threshold it lies.
    digits = 1 if abs(tested.high - tested.threshold) > 0.0005 else 3
    high = points(tested.high, digits) if against else percent(tested.high, digits)
    if decision == "PASS":
        what = f"at most {high}{' points worse' if against else ''}"
        return f"{'not worse' if against and tested.high <= 0 else what}, and {limit} are tolerated"
    if decision == "FAIL":
        if against:
            return f"worse than the baseline, and up to {high} points where {limit} are tolerated"
        return f"above the ceiling of {limit}"
    open_ = f"not shown to be within {limit} (up to {high}), nor to be {'worse' if against else 'above'}"
    return f"{open_}: {needs(needed)}" if needed else open_


def _notes(tested: _Tested, decision: rule.Decision, adjusted: float) -> Iterator[str]:
    if decision == "PASS" and tested.case.test == "difference" and tested.low > 0:
        yield "worse than the baseline, though by less than the margin"
    if decision == "INCONCLUSIVE" and tested.p_value <= tested.alpha < adjusted:
        yield f"worse on its own (p = {tested.p_value:.3f}), but not among the declared family (p = {adjusted:.3f})"


def _of_estimate(found: Estimate) -> dict[str, object]:
    bounds = Bounds(estimate=found.estimate, low=found.low, high=found.high)
    return {"found": bounds, "level": found.level, "method": found.method}


def _difference_extremes(arms: TwoArms, scenarios: Sequence[str], policy: Policy, alpha: float) -> dict[str, Bounds]:
    if not (arms.arm1.missing.any() or arms.arm0.missing.any()):
        return {}
    best, worst = rule.difference_extremes(arms, scenarios, policy.inference, alpha)
    return {name: _bounds(value) for name, value in (("best", best), ("worst", worst)) if value is not None}


def _rate_extremes(found: Estimate) -> dict[str, Bounds]:
    if not found.missing:
        return {}
    lowest, highest = rate_bounds(found.x, found.n, found.missing, found.level)
    return {"best": _bounds(lowest), "worst": _bounds(highest)}


def _bounds(found: Estimate | Difference) -> Bounds:
    return Bounds(estimate=found.estimate, low=found.low, high=found.high)


def _rates(arm: Arm) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(arm.x / np.maximum(arm.n, 1))
