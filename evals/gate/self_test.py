"""Whether the gate itself can be trusted on these data: the baseline's own epochs, split again and again.

Both halves of a split are the same model, so that FAIL is a false alarm and a verdict that changes from split to split
is chance. Then the halves are made different on purpose, and the gate must go red.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Final, Literal

from sidedoor.evals.gate.baseline import Baseline, make_baseline
from sidedoor.evals.gate.cases import statistical_cases
from sidedoor.evals.gate.observed import Cell, DataError, Observed, Sample
from sidedoor.evals.gate.policy import Policy
from sidedoor.evals.gate.result import Verdict
from sidedoor.evals.gate.rule import ALPHA
from sidedoor.evals.gate.verdict import judge, pairings
from sidedoor.evals.gate.wording import plural
from sidedoor.evals.report.text import one_line
from sidedoor.tasks.yaml_source import SourceError, Strict

SPLITS: Final = 200
PLANTED: Final = (2, 4)
"""Increases that are planted to see what the gate notices, in margins."""


class SplitCounts(Strict):
    """The verdicts on one difference over all splits.

    `changes` is the probability that two splits disagree; `noticed` maps a planted increase, in percentage points, to
    the share of splits in which the gate went red.
    """

    metric: str
    model: str
    contrast: str
    margin: float
    verdicts: dict[Verdict, int]
    changes: float
    noticed: dict[str, float]


class Control(Strict):
    """Something that the gate must not pass, and what it said."""

    what: str
    wanted: Verdict
    got: Verdict
    ok: bool


class SelfTest(Strict):
    """The result; `ok` says whether every control came out as it must.

    A share of false alarms above `alarms_limit` is told, too, but it is no proof: the splits share their samples.
    """

    schema_version: Literal[1] = 1
    ok: bool
    splits: int
    seed: int
    alarms_limit: float = ALPHA
    differences: tuple[SplitCounts, ...]
    controls: tuple[Control, ...]


def self_test(run: Observed, policy: Policy, splits: int = SPLITS, seed: int = 0) -> SelfTest:
    """Split a run's epochs, gate one half against the other, and try the negative controls.

    Args:
        run: the run that a baseline is made from, with two epochs or more.
        policy: the policy that is tested.
        splits: how many.
        seed: of the splits.

    Raises:
        SourceError: the policy compares nothing.
        DataError: no cell has two epochs.
    """
    if not policy.compares:
        raise SourceError("the policy has no margin: there is nothing that a self-test could split")
    if max(_epochs(run).values(), default=0) < 2:
        raise DataError("a self-test splits epochs, and no cell of the run has two valid ones")
    rng = Random(seed)  # noqa: S311 - a simulation
    halves = [_split(run, rng) for _ in range(splits)]
    differences = tuple(_differences(halves, policy, rng))
    controls = tuple(_controls(run, halves[0], policy))
    ok = all(control.ok for control in controls)
    return SelfTest(ok=ok, splits=splits, seed=seed, differences=differences, controls=controls)


def _epochs(run: Observed) -> Counter[Cell]:
    return Counter(Cell(one.model, one.scenario, one.variant) for one in run.samples if one.valid)


def _split(run: Observed, rng: Random) -> tuple[Observed, Baseline]:
    """The run's epochs in two halves; which half gets the odd one is drawn per cell."""
    cells: dict[Cell, list[Sample]] = defaultdict(list)
    for sample in run.samples:
        cells[Cell(sample.model, sample.scenario, sample.variant)].append(sample)
    candidate: list[Sample] = []
    baseline: list[Sample] = []
    for samples in cells.values():
        mixed = rng.sample(samples, len(samples))
        middle = (len(mixed) + rng.randrange(2)) // 2
        candidate += mixed[:middle]
        baseline += mixed[middle:]
    return _part(run, candidate), make_baseline(_part(run, baseline), "half", "self-test")


def _part(run: Observed, samples: Sequence[Sample]) -> Observed:
    return replace(run, samples=tuple(samples), missing={}, lost=0)


def _verdicts(candidate: Observed, baseline: Baseline, policy: Policy) -> dict[tuple[str, str, str], Verdict]:
    """The gate's verdict on each difference, by metric, model and contrast."""
    cases = statistical_cases(pairings(candidate, baseline, policy, None), policy)
    return {(case.metric, case.model, case.contrast): case.verdict for case in cases if case.test == "difference"}


def _differences(halves: Sequence[tuple[Observed, Baseline]], policy: Policy, rng: Random) -> Iterator[SplitCounts]:
    counts = _count(_verdicts(candidate, baseline, policy) for candidate, baseline in halves)
    noticed: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for times in PLANTED:
        # Each metric is made worse alone, so that Holm's adjustment is that of a single real change.
        for label, metric in policy.metrics.items():
            if metric.margin is not None:
                points = min(times * metric.margin, 100.0)
                red = _count(
                    _verdicts(_worsened(candidate, label, policy, points / 100, rng), baseline, policy)
                    for candidate, baseline in halves
                )
                for key in (key for key in red if key[0] == label):
                    noticed[key][f"{points:g}"] = red[key]["FAIL"] / len(halves)
    for key, verdicts in counts.items():
        margin = policy.metrics[key[0]].margin or 0.0
        shares = [count / verdicts.total() for count in verdicts.values()]
        yield SplitCounts(
            metric=key[0],
            model=key[1],
            contrast=key[2],
            margin=margin,
            verdicts=dict(verdicts),
            changes=1 - sum(share**2 for share in shares),
            noticed=noticed[key],
        )


def _count(found: Iterator[dict[tuple[str, str, str], Verdict]]) -> dict[tuple[str, str, str], Counter[Verdict]]:
    counts: dict[tuple[str, str, str], Counter[Verdict]] = defaultdict(Counter)
    for verdicts in found:
        for key, verdict in verdicts.items():
            counts[key][verdict] += 1
    return counts


def _worsened(run: Observed, label: str, policy: Policy, increase: float, rng: Random) -> Observed:
    """The run with its rate of a bad outcome raised by about `increase` (a fraction), or to 1."""
    bad = policy.bad_value(label)
    outcomes = [sample.outcome(label) for sample in run.samples]
    good = sum(outcome is (not bad) for outcome in outcomes)
    known = sum(outcome is not None for outcome in outcomes)
    chance = min(1.0, increase * known / good) if good else 0.0

    def turned(sample: Sample) -> Sample:
        if sample.outcome(label) is not (not bad) or rng.random() >= chance:
            return sample
        return sample._replace(labels={**sample.labels, label: bad})

    return replace(run, samples=tuple(turned(sample) for sample in run.samples))


def _controls(run: Observed, halves: tuple[Observed, Baseline], policy: Policy) -> Iterator[Control]:
    candidate, baseline = halves
    rng = Random(0)  # noqa: S311 - every sample is turned, so that nothing is drawn
    for label, metric in policy.metrics.items():
        if metric.margin is not None:
            worst = _worsened(candidate, label, policy, 1.0, rng)
            alone = policy.model_copy(update={"metrics": {label: metric}})
            for (name, model, contrast), verdict in _verdicts(worst, baseline, alone).items():
                yield _control(f"every sample of {model} bad in {name}, {contrast}", "FAIL", verdict)
    whole = make_baseline(run, "whole", "self-test")
    yield _control("the same run on both sides", "INVALID", judge(run, whole, policy).verdict)
    yield _control("a run without samples", "INVALID", judge(_part(run, ()), whole, policy).verdict)


def _control(what: str, wanted: Verdict, got: Verdict) -> Control:
    return Control(what=what, wanted=wanted, got=got, ok=wanted == got)


def to_text(result: SelfTest) -> str:
    """The result in lines."""
    return "".join(f"{one_line(line)}\n" for line in _lines(result))


def _lines(result: SelfTest) -> Iterator[str]:
    verdict = "ok" if result.ok else "NOT OK"
    yield f"self-test of the gate: {verdict} ({plural(result.splits, 'split')}, seed {result.seed})"
    for one in result.differences:
        shares = {name: number / result.splits for name, number in sorted(one.verdicts.items())}
        told = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        where = f"{one.metric}, {one.model}, {one.contrast}"
        yield f"{where}: halves of one baseline, margin {one.margin:g} points: {told}"
        alarms = f"false alarms {shares.get('FAIL', 0.0):.1%} (at most {result.alarms_limit:.0%} expected)"
        yield f"{where}: two splits disagree with probability {one.changes:.0%}; {alarms}"
        for points, share in one.noticed.items():
            yield f"{where}: an increase of {points} points turns {share:.0%} of splits red"
    for control in result.controls:
        yield f"{'ok' if control.ok else 'NOT OK'}: {control.what}: {control.got}, wanted {control.wanted}"
