"""How episodes went: along the official way, up to a shortcut, and until a rule was first broken."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from sidedoor.evals.analysis.bounds import rates_bounds
from sidedoor.evals.analysis.counts import Counts
from sidedoor.evals.analysis.estimate import Estimate
from sidedoor.evals.analysis.funnel import FunnelStep, funnel
from sidedoor.evals.analysis.ladder import STAGES, Ladder, ladder
from sidedoor.evals.analysis.onset import Onset, onset
from sidedoor.evals.report.cube import OUTSIDE, YES, Codes, Samples, among, coded, tally
from sidedoor.evals.report.data import Episodes, Rate
from sidedoor.evals.report.measures import ENGAGED, FUNNEL, VIOLATED, at_least, given, given_not

_TRUTH: Final = np.array([0.0, 1.0, np.nan])
"""What the outcomes NO, YES and UNKNOWN are to an estimator."""


def episodes(samples: Samples, level: float) -> Iterator[Episodes]:
    """The episodes of all models together, then of each."""
    names = samples.names("model")
    ways = tally((len(names), *[3] * len(FUNNEL)), samples.models, *(samples.outcomes[label] for label in FUNNEL))
    stages = tally((len(names), len(STAGES) + 1, 2), samples.models, *_stages(samples))
    calls, entered = _calls(samples)
    absent = tally((len(names),), samples.absent["model"].cat.codes.to_numpy())
    for model, part in [(None, slice(None)), *((name, slice(i, i + 1)) for i, name in enumerate(names))]:
        lost = int(absent[part].sum())
        yield Episodes(
            model=model,
            funnel=_funnel(ways[part].sum(axis=0), lost, level),
            ladder=_ladder(stages[part].sum(axis=0), lost, level),
            onset=_onset(calls, entered[part].sum(axis=0), lost, level),
        )


def rates_of_episodes(found: Sequence[Episodes], level: float) -> Iterator[Rate]:
    """The rates that are in no cube: steps of the official way by the step before, and shares at least at a stage."""
    shares = [(measure, one.model, share) for one in found for measure, share in _shares(one)]
    x, n, missing = ([getattr(share, count) for *_, share in shares] for count in ("x", "n", "missing"))
    for (measure, model, share), bounds in zip(shares, rates_bounds(x, n, missing, level), strict=True):
        yield Rate(
            measure=measure,
            model=model,
            estimate=share,
            lowest=bounds.lowest if share.missing else None,
            highest=bounds.highest if share.missing else None,
        )


def _shares(one: Episodes) -> Iterator[tuple[str, Estimate]]:
    for step in one.funnel:
        if step.before is not None and step.after is not None and step.without is not None:
            yield given(step.name, step.before), step.after
            yield given_not(step.name, step.before), step.without
    for stage in STAGES[1:]:
        share: Estimate | None = getattr(one.ladder, stage)
        if share is not None:
            yield at_least(stage), share


def _funnel(ways: Counts, absent: int, level: float) -> tuple[FunnelStep, ...]:
    """From counts by the outcomes of all steps."""
    steps = _TRUTH[np.indices(ways.shape).reshape(len(FUNNEL), -1)]
    return funnel(dict(zip(FUNNEL, steps, strict=True)), times=ways.ravel(), absent=absent, level=level)


def _stages(samples: Samples) -> tuple[Codes, Codes]:
    """The place of each row's stage among `STAGES`, after them if it is not known, and whether it was judged."""
    judged = _places(samples.rows["judged_stage"])
    seen = judged < len(STAGES)
    known = np.where(samples.valid, _places(samples.rows["stage"]), len(STAGES))
    return np.where(seen, judged, known), seen.astype(np.int8)


def _places(stage: "pd.Series[Any]") -> Codes:
    # An imported study may call its stages anything; what is none of ours is unknown here.
    codes, names = coded(stage)
    places = [STAGES.index(name) if name in STAGES else len(STAGES) for name in names]
    return np.array([*places, len(STAGES)], dtype=np.int8)[codes]  # a missing stage has the code -1


def _ladder(stages: Counts, absent: int, level: float) -> Ladder:
    """From counts by stage and by whether it was judged."""
    names = [stage for stage in (*STAGES, None) for _ in (False, True)]
    return ladder(names, [False, True] * len(stages), times=stages.ravel(), absent=absent, level=level)


def _calls(samples: Samples) -> tuple[Codes, Counts]:
    """The calls at which engaged samples first broke a rule or ended, and how many did by model, call and outcome.

    A sample that may have engaged is missing here: its outcome is not known.
    """
    broke = among(samples.outcomes[ENGAGED.label], samples.outcomes[VIOLATED.label])
    first, last = (samples.rows[name].to_numpy(np.int64, na_value=0) for name in ("first_violation_step", "steps"))
    place, calls = pd.factorize(np.where(broke == YES, first, last))
    entered = tally((samples.shape[0], len(calls), 4), samples.models, place, broke)
    return calls, entered[..., :OUTSIDE]


def _onset(calls: Codes, entered: Counts, absent: int, level: float) -> Onset:
    """From counts by call and outcome."""
    place, outcome = np.nonzero(entered)
    call = calls[place]
    return onset(_TRUTH[outcome], call, call, times=entered[place, outcome], absent=absent, level=level)
