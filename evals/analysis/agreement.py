"""How far raters agree: judges with each other, and judges with people.

Ratings are a matrix of units (transcripts) by raters; NaN marks a rating that is missing. Coefficients are None where
they are not defined, as when every rating is the same category. No single one is enough at low prevalence: raw
agreement flatters, κ and alpha collapse, AC1 stays high; so they are read together.
"""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from sidedoor.evals.analysis.counts import Floats
from sidedoor.evals.analysis.estimate import Difference, Estimate
from sidedoor.evals.analysis.paired import compare_paired
from sidedoor.evals.analysis.proportions import wilson

Measurement: TypeAlias = Literal["nominal", "ordinal", "interval"]
Unit = TypeVar("Unit", bound=Hashable)

CONTRARY: Final = 5
"""Units that ask for the other answer before a rater that never gives it is unusable: one that guesses gives it once
in so many with probability .97."""


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two raters on a binary label.

    Attributes:
        raw: share of units on which they agree.
        positive: agreement on the positive label, 2a/(2a+b+c); None if neither gives it.
        negative: agreement on the negative label, 2d/(2d+b+c); None if neither gives it.
        kappa: Cohen's κ.
        ac1: Gwet's AC1.
    """

    raw: Estimate
    positive: float | None
    negative: float | None
    kappa: float | None
    ac1: float | None


@dataclass(frozen=True, slots=True)
class Alpha:
    """Krippendorff's alpha with what it needs to be read.

    Attributes:
        alpha: the coefficient; 1 is perfect, 0 is chance; None if undefined.
        measurement: level of measurement of the ratings.
        units: units with two ratings or more.
        ratings: ratings of those units.
        missing: ratings that are missing from the whole matrix.
        self_judgements: whether ratings of a model by itself are among them.
    """

    alpha: float | None
    measurement: Measurement
    units: int
    ratings: int
    missing: int
    self_judgements: bool


@dataclass(frozen=True, slots=True)
class Discernment:
    """Whether a rater's binary label depends on what it rates, as far as a reference knows that.

    Attributes:
        found: of the units that the reference calls positive, those that the rater does.
        false_alarms: of the units that it calls negative, those that the rater calls positive.
        youden: found - false_alarms, Youden's J; None without units of either kind.
        constant: the rater gives one and the same label throughout.
        usable: False for a constant rater where `CONTRARY` units or more ask for the other label, None for one where
            fewer do: then it cannot be told.
    """

    found: Estimate
    false_alarms: Estimate
    youden: float | None
    constant: bool
    usable: bool | None


@dataclass(frozen=True, slots=True)
class SelfPreference:
    """How much kinder a rater is to its own kind than it is to others.

    Attributes:
        own: the rater's positive rate minus the other raters', on units of its own kind.
        others: the same on all other units.
        excess: `own` minus `others`: below 0 it favours its own kind; None if either has no data.
        low: bound of the interval of `excess`; `high` likewise.
    """

    own: Difference
    others: Difference
    excess: float | None
    low: float
    high: float


def pair_agreement(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> PairAgreement:
    """Agreement of two raters on a binary label, over the units that both rated; the others count as missing.

    Positive and negative agreement: Cicchetti and Feinstein, J. Clin. Epidemiol. 43 (1990), 551-558.

    Args:
        first: 0, 1 or NaN per unit.
        second: the same for the second rater.
        level: two-sided confidence level of the raw agreement, Wilson.

    Raises:
        ValueError: lengths differ, or a rating is neither 0, 1 nor NaN.
    """
    ratings = _pair(first, second)
    known = ratings[~np.isnan(ratings).any(axis=1)]
    if not np.isin(known, (0, 1)).all():
        raise ValueError("a binary label is 0, 1 or NaN")
    both, neither = int(known.all(axis=1).sum()), int((known == 0).all(axis=1).sum())
    apart = len(known) - both - neither
    return PairAgreement(
        raw=wilson(both + neither, len(known), level, missing=len(ratings) - len(known)),
        positive=2 * both / (2 * both + apart) if both + apart else None,
        negative=2 * neither / (2 * neither + apart) if neither + apart else None,
        kappa=cohen_kappa(first, second),
        ac1=gwet_ac1(ratings),
    )


def cohen_kappa(first: ArrayLike, second: ArrayLike) -> float | None:
    """Cohen's unweighted κ of two raters, over the units that both rated: (p_o - p_e)/(1 - p_e), p_e = Σ p_k1·p_k2.

    Cohen, Educ. Psychol. Meas. 20 (1960), 37-46.

    Returns:
        None without common units, or when both give one and the same category throughout.

    Raises:
        ValueError: lengths differ.
    """
    ratings = _pair(first, second)
    ratings = ratings[~np.isnan(ratings).any(axis=1)]
    if not len(ratings):
        return None
    observed = float(np.mean(ratings[:, 0] == ratings[:, 1]))
    margins = [(ratings == category).mean(axis=0) for category in np.unique(ratings)]
    expected = float(sum(np.prod(margin) for margin in margins))
    return _beyond_chance(observed, expected) if len(margins) > 1 else None


def gwet_ac1(ratings: ArrayLike) -> float | None:
    """Gwet's AC1 of any number of raters: (p_a - p_e)/(1 - p_e), p_e = Σ π_k(1 - π_k)/(q - 1).

    p_a is the share of agreeing pairs within a unit, averaged over the units with two ratings or more; π_k is the share
    of category k within a unit, averaged over all rated units. Gwet, Br. J. Math. Stat. Psychol. 61 (2008), 29-48.

    Args:
        ratings: units by raters; NaN is missing. The categories are those that occur.

    Returns:
        None without a unit rated twice, or when only one category occurs.

    Raises:
        ValueError: not a matrix.
    """
    counts = _category_counts(_matrix(ratings))
    per_unit = counts.sum(axis=1)
    counts, per_unit = counts[per_unit > 0], per_unit[per_unit > 0]
    twice = per_unit > 1
    categories = counts.shape[1]
    if not twice.any() or categories < 2:
        return None
    pairs = (counts * (counts - 1)).sum(axis=1)[twice] / (per_unit * (per_unit - 1))[twice]
    shares = (counts / per_unit[:, None]).mean(axis=0)
    return _beyond_chance(float(pairs.mean()), float((shares * (1 - shares)).sum() / (categories - 1)))


def krippendorff_alpha(ratings: ArrayLike, measurement: Measurement, *, self_judgements: bool) -> Alpha:
    """Krippendorff's alpha = 1 - D_o/D_e, for any number of raters with missing ratings.

    From the coincidences o_ck of values within units and their margins n_c, D_o = Σ o_ck·δ²_ck and
    D_e = Σ n_c·n_k·δ²_ck/(n-1). δ² is [c ≠ k] (nominal), (c-k)² (interval), or
    (Σ_{g=c..k} n_g - (n_c+n_k)/2)² (ordinal). Krippendorff, Content Analysis, 2nd ed. (2004), chapter 11.

    Args:
        ratings: units by raters; NaN is missing. Ordinal ratings are ordered by value.
        measurement: level of measurement; it is part of the result, since alpha means nothing without it.
        self_judgements: whether ratings of a model by itself are included; stated with the result.

    Raises:
        ValueError: not a matrix, or an unknown level of measurement.
    """
    matrix = _matrix(ratings)
    missing = int(np.isnan(matrix).sum())
    paired = matrix[(~np.isnan(matrix)).sum(axis=1) > 1]
    counts = _category_counts(paired)
    margins = counts.sum(axis=0)
    distance = _distance(np.unique(paired[~np.isnan(paired)]), margins, measurement)
    within = 1 / np.maximum(counts.sum(axis=1) - 1, 1)
    coincidences = (counts * within[:, None]).T @ counts - np.diag(within @ counts)
    total = int(margins.sum())
    expected = float((np.outer(margins, margins) * distance).sum())
    alpha = 1 - (total - 1) * float((coincidences * distance).sum()) / expected if expected else None
    return Alpha(alpha, measurement, len(paired), total, missing, self_judgements)


def discernment(rater: ArrayLike, reference: ArrayLike, level: float = 0.95) -> Discernment:
    """What a rater makes of the difference between units that a reference calls positive and negative.

    A constant rater agrees with the reference on as many units as the rarer label leaves it, 95 % where the label is at
    5 %, and yet says nothing: Youden, Cancer 3 (1950), 32-35.

    Args:
        rater: 0, 1 or NaN per unit.
        reference: the same by whoever is compared with; it need not be the truth.
        level: two-sided confidence level, Wilson.

    Raises:
        ValueError: lengths differ.
    """
    ratings = _pair(rater, reference)
    given = ratings[~np.isnan(ratings[:, 0]), 0]
    positives, negatives = (_positive_share(ratings[ratings[:, 1] == label, 0], level) for label in (1, 0))
    both = positives.estimate is not None and negatives.estimate is not None
    constant = bool(len(given)) and len(np.unique(given)) == 1
    return Discernment(
        found=positives,
        false_alarms=negatives,
        youden=(positives.estimate or 0.0) - (negatives.estimate or 0.0) if both else None,
        constant=constant,
        usable=_usable(constant, negatives.n if constant and given[0] == 1 else positives.n) if len(given) else None,
    )


def self_preference(
    rater: Mapping[Unit, bool | None], others: Mapping[Unit, bool | None], own: frozenset[Unit], level: float = 0.95
) -> SelfPreference:
    """How a rater's labels differ from other raters' on its own kind, beyond how they differ elsewhere.

    The interval of the excess adds those of the two differences in quadrature (MOVER: Zou and Donner, Stat. Med. 27
    (2008), 1693-1702), because the units are different ones.

    Args:
        rater: label by unit; None is unknown.
        others: what the other raters make of the same units.
        own: the units of the rater's own kind.
        level: two-sided confidence level.
    """
    inside = _excess_rate(rater, others, own, level)
    outside = _excess_rate(rater, others, frozenset(rater) - own, level)
    if inside.estimate is None or outside.estimate is None:
        return SelfPreference(inside, outside, None, -2.0, 2.0)
    excess = inside.estimate - outside.estimate
    below = math.hypot(inside.estimate - inside.low, outside.high - outside.estimate)
    above = math.hypot(inside.high - inside.estimate, outside.estimate - outside.low)
    return SelfPreference(inside, outside, excess, excess - below, excess + above)


def kendall_tau(first: ArrayLike, second: ArrayLike) -> float | None:
    """Kendall's τ-b of two orders of the same things: 1 is the same order, -1 the reverse.

    Kendall, Biometrika 33 (1945), 239-251. NaN drops a thing from both.

    Returns:
        None where either order ties everything, or there are fewer than two things.

    Raises:
        ValueError: lengths differ.
    """
    values = _pair(first, second)
    values = values[~np.isnan(values).any(axis=1)]
    signs = [np.sign(np.subtract.outer(column, column)) for column in values.T]
    scale = math.sqrt(float((signs[0] ** 2).sum() * (signs[1] ** 2).sum()))
    return float((signs[0] * signs[1]).sum()) / scale if scale else None


def panel_median(ratings: ArrayLike, left_out: ArrayLike | None = None) -> Floats:
    """The median rating of each unit over the ratings that are there.

    Args:
        ratings: units by raters; NaN is missing.
        left_out: true for ratings that must not count, such as a judge's of its own model; none by default.

    Returns:
        One median per unit; NaN where no rating is left.

    Raises:
        ValueError: not a matrix, or `left_out` has another shape.
    """
    matrix = _matrix(ratings)
    if left_out is not None:
        mask = np.asarray(left_out, dtype=bool)
        if mask.shape != matrix.shape:
            raise ValueError(f"one entry per rating is needed: {mask.shape} for {matrix.shape}")
        matrix = np.where(mask, np.nan, matrix)
    medians = np.full(len(matrix), np.nan)
    rated = ~np.isnan(matrix).all(axis=1)
    medians[rated] = np.nanmedian(matrix[rated], axis=1)
    return medians


def _positive_share(ratings: Floats, level: float) -> Estimate:
    unknown = int(np.isnan(ratings).sum())
    return wilson(int((ratings == 1).sum()), len(ratings) - unknown, level, missing=unknown)


def _usable(constant: bool, contrary: int) -> bool | None:
    if not constant:
        return True
    return False if contrary >= CONTRARY else None


def _excess_rate(
    rater: Mapping[Unit, bool | None], others: Mapping[Unit, bool | None], units: frozenset[Unit], level: float
) -> Difference:
    arm1, arm0 = ({unit: label for unit, label in one.items() if unit in units} for one in (rater, others))
    return compare_paired(arm1, arm0, lambda _: "all", level).difference


def _distance(values: Floats, margins: Floats, measurement: Measurement) -> Floats:
    if measurement == "nominal":
        return 1.0 - np.eye(len(values))
    if measurement == "interval":
        return np.subtract.outer(values, values) ** 2
    if measurement == "ordinal":
        # The ratings between two values, each of the two counted half: a difference of mid-ranks.
        mid_ranks = np.cumsum(margins) - margins / 2
        return np.subtract.outer(mid_ranks, mid_ranks) ** 2
    raise ValueError(f"the level of measurement is nominal, ordinal or interval; got {measurement!r}")


def _category_counts(matrix: Floats) -> Floats:
    """How often each value that occurs was given, units by values."""
    values = np.unique(matrix[~np.isnan(matrix)])
    return np.asarray((matrix[:, :, None] == values).sum(axis=1), dtype=float)


def _beyond_chance(observed: float, expected: float) -> float:
    return (observed - expected) / (1 - expected)


def _pair(first: ArrayLike, second: ArrayLike) -> Floats:
    columns = [np.asarray(values, dtype=float) for values in (first, second)]
    if columns[0].ndim != 1 or columns[0].shape != columns[1].shape:
        raise ValueError(f"two raters rate the same units: {columns[0].shape} and {columns[1].shape} ratings")
    return np.stack(columns, axis=1)


def _matrix(ratings: ArrayLike) -> Floats:
    matrix = np.asarray(ratings, dtype=float)
    if matrix.ndim != 2:
        raise ValueError(f"ratings are a matrix of units by raters; got {matrix.ndim} dimensions")
    return matrix
