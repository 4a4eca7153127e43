"""A run that grows until it decides: at most three looks, declared before the first sample after them is run.

The plan is written into the run's folder with digests of policy and baseline, and each look is added to it. A look that
has decided is final: asked again, the gate answers from the samples that are there and runs nothing. Finished samples
are kept from look to look. The looks together spend the error that a single one would (`sidedoor.evals.gate.spending`).
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

from pydantic import Field, ValidationError

from sidedoor.evals.gate.baseline import Baseline
from sidedoor.evals.gate.cases import Alphas
from sidedoor.evals.gate.observed import Observed
from sidedoor.evals.gate.policy import Policy
from sidedoor.evals.gate.result import GateResult, Look, Verdict
from sidedoor.evals.gate.rule import ALPHA
from sidedoor.evals.gate.spending import nominal_levels
from sidedoor.evals.gate.verdict import judge
from sidedoor.tasks.yaml_source import SourceError, Strict

PLAN: Final = "looks.json"
DECIDED: Final[tuple[Verdict, ...]] = ("PASS", "FAIL")


class Taken(Strict):
    """A look that was taken."""

    epochs: int
    verdict: Verdict


class LooksPlan(Strict):
    """`looks.json`: what was declared, and which looks have been taken.

    Attributes:
        schema_version: of this form.
        budget: most samples per model.
        policy_sha256: digest of the policy.
        baseline_sha256: digest of the baseline; empty if there is none.
        against: the baseline's model that every model is compared with; empty for the one of the same name.
        epochs: epochs that the run has at each look.
        differences: one-sided level of differences at each look.
        ceilings: one-sided level of ceilings at each look.
        taken: verdicts of the looks so far.
    """

    schema_version: Literal[1] = 1
    budget: int
    policy_sha256: str
    baseline_sha256: str
    against: str = ""
    epochs: tuple[int, ...] = Field(min_length=1)
    differences: tuple[float, ...]
    ceilings: tuple[float, ...]
    taken: tuple[Taken, ...] = ()

    @property
    def decided(self) -> bool:
        """Whether nothing is left to do."""
        return len(self.taken) == len(self.epochs) or any(one.verdict in DECIDED for one in self.taken)

    def look(self, index: int) -> Look:
        """The look with this index, from 0, for a result."""
        return Look(number=index + 1, of=len(self.epochs), epochs=self.epochs[index], budget=self.budget)

    def alphas(self, index: int) -> Alphas:
        """The errors that it may spend."""
        return Alphas(self.differences[index], self.ceilings[index])


class Size(NamedTuple):
    """How large a run is now."""

    cells: int
    epochs: int


class Growing(Protocol):
    """A run that can be given more epochs; finished samples are kept."""

    def size(self) -> Size:
        """Cells per epoch and model, and epochs that are planned now."""

    def grow(self, epochs: int) -> None:
        """Have the run finish so many epochs."""

    def observe(self) -> Observed:
        """The run as it is now."""


def decide_in_looks(
    run: Growing,
    folder: Path,
    budget: int,
    baseline: Baseline | None,
    policy: Policy,
    against: str | None,
) -> GateResult:
    """Take the declared looks until one decides, or none is left.

    Args:
        run: what grows.
        folder: where the plan is kept.
        budget: most samples per model.
        baseline: what is compared with.
        policy: what is tolerated.
        against: the baseline's model that every model is compared with.

    Raises:
        SourceError: the budget does not allow one look, or looks were declared with another policy, baseline or budget.
    """
    plan = read_plan(folder)
    if plan is None:
        plan = declare(run.size(), budget, baseline, policy).model_copy(update={"against": against or ""})
        _write(folder, plan)
    _check_same(plan, budget, baseline, policy, against)
    while True:
        index = len(plan.taken) - 1 if plan.decided else len(plan.taken)
        if not plan.decided:
            run.grow(plan.epochs[index])
        alphas, look = plan.alphas(index), plan.look(index)
        result = judge(run.observe(), baseline, policy, against=against, alphas=alphas, look=look)
        # Where data are no basis for a verdict, the look has not been taken: it is repeated when they are complete.
        if plan.decided or result.verdict == "INVALID":
            return result
        plan = plan.model_copy(
            update={"taken": (*plan.taken, Taken(epochs=plan.epochs[index], verdict=result.verdict))}
        )
        _write(folder, plan)
        if plan.decided:
            return result


def declare(size: Size, budget: int, baseline: Baseline | None, policy: Policy) -> LooksPlan:
    """The looks that a budget allows, evenly spread; what the run has already is in the first.

    Raises:
        SourceError: the budget is less than one epoch, or than what the run has.
    """
    most = budget // size.cells
    if most < max(size.epochs, 1):
        raise SourceError(
            f"--budget {budget}: {size.epochs} epochs of {size.cells} cells are {size.epochs * size.cells} samples "
            "per model; a budget holds at least what is planned already"
        )
    looks = policy.sequential.looks
    epochs = sorted({max(size.epochs, math.ceil(most * look / looks)) for look in range(1, looks + 1)})
    samples = [one * size.cells for one in epochs]
    return LooksPlan(
        budget=budget,
        policy_sha256=policy.digest(),
        baseline_sha256=baseline.digest() if baseline else "",
        epochs=tuple(epochs),
        differences=nominal_levels(_information(samples, baseline), ALPHA),
        ceilings=nominal_levels(samples, ALPHA),
    )


def read_plan(folder: Path) -> LooksPlan | None:
    """The looks that were declared for a run; None if there are none.

    Raises:
        SourceError: the plan is damaged.
    """
    path = folder / PLAN
    if not path.exists():
        return None
    try:
        return LooksPlan.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise SourceError(f"{path}: not a plan of looks: {str(error).splitlines()[0]}") from None


def _information(samples: Sequence[int], baseline: Baseline | None) -> list[float]:
    """Information on a difference from a baseline that does not grow, up to a factor: 1/(1/n1 + 1/n0)."""
    if baseline is None:
        return [float(n) for n in samples]
    model = baseline.models[0]
    n0 = sum(one.samples - one.invalid for one in baseline.of_model(model))
    return [1 / (1 / n + 1 / max(n0, 1)) for n in samples]


def _check_same(plan: LooksPlan, budget: int, baseline: Baseline | None, policy: Policy, against: str | None) -> None:
    declared = {
        "policy": plan.policy_sha256 == policy.digest(),
        "baseline": plan.baseline_sha256 == (baseline.digest() if baseline else ""),
        "model to compare with": plan.against == (against or ""),
        f"budget ({plan.budget})": plan.budget == budget,
    }
    changed = [name for name, same in declared.items() if not same]
    if changed:
        raise SourceError(
            f"looks at this run were declared with another {' and '.join(changed)}: "
            "that cannot change once samples are seen; start a new run"
        )


def _write(folder: Path, plan: LooksPlan) -> None:
    temporary = folder / f".{PLAN}"
    try:
        temporary.write_text(plan.model_dump_json(indent=2) + "\n", encoding="utf-8")
        temporary.replace(folder / PLAN)
    except OSError as error:
        raise SourceError(f"{folder / PLAN}: {error.strerror}") from None
