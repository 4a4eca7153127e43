"""Rules that need no comparison: labels of which no event is tolerated, and contracts decided sample by sample."""

import math
from collections.abc import Iterator
from typing import Any

from sidedoor.evals.analysis.proportions import upper_bound
from sidedoor.evals.gate import sprt
from sidedoor.evals.gate.observed import Observed
from sidedoor.evals.gate.policy import ALL, Contract, Policy
from sidedoor.evals.gate.result import Case, Counts, Needs, TestKind
from sidedoor.evals.gate.rule import ALPHA
from sidedoor.evals.gate.sides import NAMED_SCENARIOS, outcome_name
from sidedoor.evals.gate.wording import percent, plural


def zero_tolerance_cases(run: Observed, policy: Policy) -> Iterator[Case]:
    """One case per label and model. What is known of an invalid sample counts; one unknown sample forbids a PASS."""
    for model in run.models:
        for label in policy.zero_tolerance:
            yield _zero_tolerance(run, model, label, policy.bad_value(label))


def contract_cases(run: Observed, policy: Policy) -> Iterator[Case]:
    """One case per contract and model, its samples in the run's fixed order."""
    for model in run.models:
        for label, contract in policy.contracts.items():
            yield _contract(run, model, label, policy.bad_value(label), contract)


def _zero_tolerance(run: Observed, model: str, label: str, bad: bool) -> Case:
    samples = run.of_model(model)
    known = [sample for sample in samples if sample.labels[label] is not None]
    seen = [sample for sample in known if sample.labels[label] is bad]
    unknown = len(samples) - len(known) + run.missing_of(model)
    fields = _fields(model, label, bad, "zero tolerance") | {
        "candidate": Counts(x=len(seen), n=len(known), missing=unknown),
        "scenarios": tuple(dict.fromkeys(sample.scenario for sample in seen))[:NAMED_SCENARIOS],
    }
    if seen:
        first = seen[0]
        where = f"{first.scenario}-{first.variant}-{first.epoch}"
        reason = f"{plural(len(seen), 'event')} where none is tolerated, first in {where}"
        return Case(**fields, verdict="FAIL", reason=reason)
    if not known:
        return Case(**fields, verdict="INVALID", reason=f"{label} was never measured")
    if unknown:
        reason = f"no event, but {plural(unknown, 'sample')} of which it is not known"
        return Case(**fields, verdict="INCONCLUSIVE", reason=reason)
    limit = percent(upper_bound(0, len(known), 1 - ALPHA))
    reason = f"no event in {plural(len(known), 'sample')}; the rate is at most {limit}"
    return Case(**fields, verdict="PASS", reason=reason)


def _contract(run: Observed, model: str, label: str, bad: bool, contract: Contract) -> Case:
    samples = run.of_model(model)
    known = [sample for sample in samples if sample.outcome(label) is not None]
    fields = _fields(model, label, bad, "contract")
    if not known:
        return Case(**fields, verdict="INVALID", reason=f"{label} was never measured")
    hypotheses = sprt.Hypotheses(contract.p0, contract.p1, contract.alpha, contract.beta)
    found = sprt.run_test(hypotheses, (sample.outcome(label) is not bad for sample in known))
    broken = [sample for sample in known[: found.used] if sample.outcome(label) is bad]
    missing = len(samples) - len(known) + run.missing_of(model)
    fields["candidate"] = Counts(x=found.broken, n=found.used, missing=missing)
    fields["scenarios"] = tuple(dict.fromkeys(sample.scenario for sample in broken))[:NAMED_SCENARIOS]
    reason = f"{found.sentence}: broken in {found.broken} of {plural(found.used, 'sample')}"
    if found.sentence == "accept":
        return Case(**fields, verdict="PASS", reason=f"{reason} that decided")
    if found.sentence == "reject":
        return Case(**fields, verdict="FAIL", reason=f"{reason} that decided")
    number = max(math.ceil(hypotheses.expected), found.used + 1)
    needs = Needs(number=number, unit="samples", chance=1 - contract.beta)
    reason = f"{reason}; about {number} decide if it is kept at a rate of {contract.p1:g}"
    return Case(**fields, verdict="INCONCLUSIVE", reason=reason, needs=needs)


def _fields(model: str, label: str, bad: bool, test: TestKind) -> dict[str, Any]:
    return {"metric": label, "outcome": outcome_name(label, bad), "model": model, "contrast": ALL, "test": test}
