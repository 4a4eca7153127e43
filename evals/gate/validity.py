"""When data are no basis for a verdict: every reason in a sentence. With a single one the gate is INVALID."""

from collections.abc import Iterator, Sequence

from sidedoor.evals.gate.baseline import Baseline
from sidedoor.evals.gate.observed import Cell, Observed
from sidedoor.evals.gate.policy import SET_UP, Policy
from sidedoor.evals.gate.wording import listed, percent, plural
from sidedoor.evals.tally import kinds_in_words


def pair_models(run: Observed, baseline: Baseline, policy: Policy, against: str | None) -> dict[str, str]:
    """Which model of the baseline each model of the run is compared with.

    The same one by name; one that is named for all; or the only one that there is, because a changed model is what a
    gate is for. A model that cannot be paired is not in the result.
    """
    if against is not None:
        return dict.fromkeys(run.models, against) if against in baseline.models else {}
    if not set(run.models) & set(baseline.models) and len(baseline.models) == 1 and not policy.models:
        return dict.fromkeys(run.models, baseline.models[0])
    return {model: model for model in run.models if model in baseline.models}


def reasons_of_run(run: Observed, policy: Policy) -> Iterator[str]:
    """Reasons that lie in the candidate alone."""
    if not run.samples:
        yield "the run has no sample"
    yield from run.mixed
    planned = len(run.samples) + run.lost
    if _share(run.lost, planned) > policy.limits.missing / 100:
        yield _above("the run", run.lost, planned, "missing", policy.limits.missing)
    for model in run.models:
        yield from _reasons_of_model(run, model, policy)


def reasons_of_baseline(baseline: Baseline, policy: Policy) -> Iterator[str]:
    """Reasons that lie in the baseline alone."""
    for model in baseline.models:
        cells = baseline.of_model(model)
        ended, invalid, missing = (
            sum(getattr(one, name) for one in cells) for name in ("samples", "invalid", "missing")
        )
        if _share(invalid, ended) > policy.limits.invalid / 100:
            yield _above(f"the baseline of {model}", invalid, ended, "invalid", policy.limits.invalid)
        if _share(missing, ended + missing) > policy.limits.missing / 100:
            yield _above(f"the baseline of {model}", missing, ended + missing, "missing", policy.limits.missing)


def reasons_of_comparison(run: Observed, baseline: Baseline, policy: Policy, against: str | None) -> Iterator[str]:
    """Reasons why a candidate and a baseline cannot be compared."""
    if run.suite != baseline.suite:
        yield f"the baseline is of the suite '{baseline.suite}', and the run of '{run.suite}'"
        return
    known = baseline.keys
    same = sum(sample.key in known for sample in run.samples)
    if same:
        yield f"the same run on both sides: {same} of its {plural(len(run.samples), 'sample')} are in the baseline"
    yield from _changed_scenarios(run, baseline)
    for part in changed_parts(run, baseline):
        if part in policy.same:
            yield f"the {part} is another than the baseline's, and the policy wants the same: make the baseline again"
    yield from _unpaired(run, baseline, policy, against)
    for model, other in pair_models(run, baseline, policy, against).items():
        yield from _lacking_cells(run, baseline, model, other, policy)


def changed_parts(run: Observed, baseline: Baseline) -> list[str]:
    """What differs besides the scenarios.

    What one side does not record differs from what the other does; but a side that no judge has seen does not differ
    from one that was judged, because the labels here come from state.
    """
    pairs = {part: (getattr(run.digests, part), getattr(baseline.digests, part)) for part in SET_UP}
    if not all(pairs["judges"]):
        del pairs["judges"]
    return [part for part, (one, other) in pairs.items() if one != other]


def _reasons_of_model(run: Observed, model: str, policy: Policy) -> Iterator[str]:
    found = run.tally(model)
    invalid = found.samples - found.valid
    if _share(invalid, found.samples) > policy.limits.invalid / 100:
        above = _above(model, invalid, found.samples, "invalid", policy.limits.invalid)
        yield f"{above} ({kinds_in_words(found.invalid)})"
    if _share(found.missing, found.samples + found.missing) > policy.limits.missing / 100:
        above = _above(model, found.missing, found.samples + found.missing, "missing", policy.limits.missing)
        yield f"{above} ({kinds_in_words(found.killed)})" if found.killed else above
    if found.valid < policy.limits.min_samples:
        yield f"{model}: {plural(found.valid, 'valid sample')}, and the policy wants {policy.limits.min_samples}"


def _changed_scenarios(run: Observed, baseline: Baseline) -> Iterator[str]:
    old, new = baseline.digests.scenarios, run.digests.scenarios
    changed = [
        f"{name} {_brief(old[name])} and now {_brief(new[name])}"
        for name in old
        if new.get(name, old[name]) != old[name]
    ]
    if changed:
        yield f"scenarios changed since the baseline, so that rates are not comparable: {listed(changed)}"


def _unpaired(run: Observed, baseline: Baseline, policy: Policy, against: str | None) -> Iterator[str]:
    there = f"it has {listed(baseline.models)}"
    if against is not None:
        if against not in baseline.models:
            yield f"{against} is not in the baseline; {there}"
        return
    pairs = pair_models(run, baseline, policy, against)
    for model in run.models:
        if model not in pairs:
            yield f"{model} is not in the baseline; {there}; name one of them with --against"
    wanted = policy.models or (baseline.models if set(pairs) == set(pairs.values()) else ())
    absent = [model for model in wanted if model not in run.models]
    if absent and pairs:
        yield f"the run has no sample of {listed(absent)}; a policy can name the models that it must have"


def _lacking_cells(run: Observed, baseline: Baseline, model: str, other: str, policy: Policy) -> Iterator[str]:
    there = {(sample.scenario, sample.variant) for sample in run.of_model(model) if sample.valid}
    wanted = [one.cell for one in baseline.of_model(other) if one.samples > one.invalid]
    lacking = [cell for cell in wanted if (cell.scenario, cell.variant) not in there]
    if _share(len(lacking), len(wanted)) > policy.limits.missing / 100:
        cells = listed([_place(cell) for cell in lacking])
        yield f"{model}: no valid sample in {len(lacking)} of the baseline's {plural(len(wanted), 'cell')} ({cells})"


def _place(cell: Cell) -> str:
    return f"{cell.scenario}-{cell.variant}"


def _brief(content: str) -> str:
    version, _, digest = content.partition(" ")
    return f"{version or 'of unknown version'} ({digest[:12] or 'unknown content'})"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _above(who: str, part: int, whole: int, what: str, limit: float) -> str:
    return f"{who}: {part} of {whole} samples {what} ({percent(part / whole)}), and the limit is {limit:g} %"


def notes_of_comparison(run: Observed, baseline: Baseline, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What a reader must know of a comparison that is made all the same."""
    if "agent" in changed_parts(run, baseline):
        yield "the agent, its limits or its generation settings are other than the baseline's: that is compared"
    for model, other in pairs:
        known = {(one.scenario, one.variant) for one in baseline.of_model(other)}
        extra = {(one.scenario, one.variant) for one in run.of_model(model)} - known
        if extra:
            names = listed(sorted("-".join(place) for place in extra))
            yield f"{model}: {plural(len(extra), 'cell')} that the baseline lacks are not compared ({names})"
