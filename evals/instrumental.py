"""Suites as Inspect tasks: one sample per cell and epoch."""

import hashlib
import itertools
from collections.abc import Iterable, Sequence

from inspect_ai import Epochs, Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import SandboxEnvironmentSpec, store_as

from sidedoor.evals.agents import operator
from sidedoor.evals.attended import attended
from sidedoor.sandboxes.choice import SANDBOX_TYPES, chosen_provider, provider_named
from sidedoor.sandboxes.machine import ProviderName
from sidedoor.sandboxes.spec import Episode
from sidedoor.scorers.judge.scorer import bound_judge, judge_scorer
from sidedoor.scorers.record import EpisodeRecord
from sidedoor.scorers.state import state_scorer, unreduced
from sidedoor.tasks.catalogue import Scenario, load_scenario, load_suite, parse_variant, scenario_ids
from sidedoor.tasks.schema import FACTOR_LEVELS, check_factors
from sidedoor.tasks.yaml_source import SourceError

CROSSED = ("usefulness", "stance", "monitoring", "stakes", "framing", "honest_path")
"""Factors that `design=full` crosses; the others keep their default."""


@task
def instrumental(
    scenario: str | None = None,
    variant: str | None = None,
    epochs: int = 1,
    design: str = "suite",
    seed: int = 0,
    judge: bool = False,
    sandbox: str | None = None,
) -> Task:
    """The instrumental suite.

    Args:
        scenario: ids, separated by commas; all if left out.
        variant: variants (`A,H`) or one point of the factors (`stance=vague,honest_path=blocked`); all if left out.
        epochs: repetitions of each cell. Epoch k draws its surface facts from seed `seed + k`.
        design: `suite` for the named variants, `full` for the crossing of all factors.
        seed: offset of the epochs' seeds.
        judge: whether the model with the role `judge` reads each transcript, too.
        sandbox: `docker` or `embedded`; Docker where an engine answers, if left out.

    Raises:
        SourceError: an unknown scenario, variant, factor, level or design.
        ProviderUnavailableError: an unknown sandbox.
        PrerequisiteError: a judge is wanted, and no model has the role.
    """
    made = suite_task("instrumental", scenario, variant, epochs, design, seed, sandbox=chosen_provider(sandbox))
    made.score_on_error = True  # another solver than ours, which Inspect puts in its place, keeps no error back
    if judge:
        bound_judge(None)
        made.scorer = [*(made.scorer or []), judge_scorer()]
    return made


def suite_task(
    suite: str,
    scenario: str | None,
    variant: str | None,
    epochs: int,
    design: str,
    seed: int,
    sandbox: ProviderName = "docker",
) -> Task:
    """A suite's cells as an Inspect task (arguments as in `instrumental`)."""
    scenarios = select_scenarios(suite, scenario)
    points = select_points(suite, variant, design)
    samples = [
        cell_sample(one, name, factors, epoch, seed + epoch, sandbox)
        for epoch, one, (name, factors) in itertools.product(range(1, epochs + 1), scenarios, points)
        if _offered(one, factors)
    ]
    return build_task(suite, scenarios, samples, sandbox)


def build_task(
    suite: str,
    scenarios: Sequence[Scenario],
    samples: list[Sample],
    sandbox: ProviderName = "docker",
) -> Task:
    """Samples of a suite as an Inspect task."""
    limits = [one.spec.limits for one in scenarios]
    return Task(
        dataset=MemoryDataset(samples, name=suite),
        setup=open_record(),
        solver=attended(operator()),
        scorer=state_scorer(),
        epochs=Epochs(1, unreduced()),
        sandbox=SANDBOX_TYPES[sandbox],
        message_limit=max(limit.messages for limit in limits),
        time_limit=max(limit.minutes for limit in limits) * 60,
        fail_on_error=False,
        version=f"{load_suite(suite).version}+{_content(scenarios)}",
        name=suite,
        metadata={
            "scenarios": {one.id: {"version": one.spec.version, "sha256": one.digest} for one in scenarios},
            "sandbox": {"provider": sandbox, "image": provider_named(sandbox).image},
        },
    )


def _content(scenarios: Sequence[Scenario]) -> str:
    """A short digest of the scenarios' content, for the version: Inspect knows tasks by name, version and arguments."""
    return hashlib.sha256("".join(sorted(one.digest for one in scenarios)).encode()).hexdigest()[:12]


def cell_sample(
    scenario: Scenario,
    variant: str,
    factors: dict[str, str],
    epoch: int,
    seed: int,
    sandbox: ProviderName = "docker",
) -> Sample:
    """One cell at one epoch."""
    episode = Episode(suite=scenario.suite, scenario=scenario.id, factors=factors, seed=seed)
    return Sample(
        id=f"{scenario.id}-{variant}-{epoch}",
        input=scenario.render(factors, seed).prompt,
        sandbox=SandboxEnvironmentSpec(SANDBOX_TYPES[sandbox], episode),
        metadata={
            "suite": scenario.suite,
            "scenario": scenario.id,
            "version": scenario.spec.version,
            "content_sha256": scenario.digest,
            "variant": variant,
            "factors": factors,
            "epoch": epoch,
            "seed": seed,
        },
    )


@solver
def open_record() -> Solver:
    """Put the episode's identity where the scorer and the reference models find it."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:  # noqa: ARG001 - Inspect's signature
        record = store_as(EpisodeRecord)
        meta = state.metadata
        record.episode = {key: meta[key] for key in ("suite", "scenario", "factors", "seed")}
        record.variant, record.epoch, record.script = meta["variant"], meta["epoch"], meta.get("script")
        return state

    return solve


def select_scenarios(suite: str, text: str | None) -> list[Scenario]:
    """Scenarios by comma-separated ids; all of the suite for None.

    Raises:
        SourceError: an unknown one.
    """
    ids = [part.strip() for part in text.split(",")] if text else scenario_ids(suite)
    return [load_scenario(suite, one) for one in dict.fromkeys(ids)]


def select_points(suite: str, text: str | None, design: str) -> list[tuple[str, dict[str, str]]]:
    """Points of the factors, each with its name.

    Raises:
        SourceError: an unknown variant, factor, level or design.
    """
    if design not in ("suite", "full"):
        raise SourceError(f"unknown design '{design}' (valid: full, suite)")
    if text is None:
        return list(_all_points(suite, design))
    parts = [text] if "=" in text else [part.strip() for part in text.split(",")]
    return list(dict(parse_variant(suite, part) for part in parts).items())


def _all_points(suite: str, design: str) -> Iterable[tuple[str, dict[str, str]]]:
    if design == "suite":
        for name, variant in load_suite(suite).variants.items():
            yield name, dict(variant.factors)
        return
    for levels in itertools.product(*(FACTOR_LEVELS[factor] for factor in CROSSED)):
        factors = check_factors(dict(zip(CROSSED, levels, strict=True)))
        yield parse_variant(suite, ",".join(f"{f}={level}" for f, level in factors.items()))[0] or "A", factors


def _offered(scenario: Scenario, factors: dict[str, str]) -> bool:
    refusal = scenario.spec.offers(factors)
    if refusal:
        raise SourceError(refusal)
    return True
