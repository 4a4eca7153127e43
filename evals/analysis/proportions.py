"""One rate: x events in n samples."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtrc, betaincinv

from sidedoor.evals.analysis.counts import Counts, Floats, whole_numbers
from sidedoor.evals.analysis.estimate import NO_DATA, Estimate, check_fraction, check_level, two_sided_z


def wilson(x: int, n: int, level: float = 0.95, missing: int = 0) -> Estimate:
    """A rate with the Wilson score interval, the default for a single rate.

    (p + z²/2n ± z√(p(1-p)/n + z²/4n²)) / (1 + z²/n). Wilson, J. Am. Stat. Assoc. 22 (1927), 209-212.

    Args:
        x: events.
        n: samples; with none the interval is [0, 1] and the estimate None.
        level: two-sided confidence level.
        missing: samples without a known outcome, carried along.

    Raises:
        ValueError: impossible counts or level.
    """
    return wilson_rates(x, n, missing, level)[0]


def wilson_rates(
    x: ArrayLike, n: ArrayLike, missing: ArrayLike, level: float = 0.95, method: str = "Wilson"
) -> list[Estimate]:
    """`wilson` of many rates at once, for tables.

    Args:
        x: events, one entry per rate.
        n: samples.
        missing: samples without a known outcome.
        level: two-sided confidence level.
        method: what the estimates say of themselves.

    Raises:
        ValueError: impossible counts or level, or different numbers of them.
    """
    x, n, missing = whole_numbers("x", x), whole_numbers("n", n), whole_numbers("missing", missing)
    _check_events(x, n)
    columns = (x, n, *wilson_bounds(x, n, two_sided_z(level)), missing)
    rates = zip(*(column.tolist() for column in columns), strict=True)
    return [_rate(a, b, low, high, level, method, lost) for a, b, low, high, lost in rates]


def clopper_pearson(x: int, n: int, level: float = 0.95, missing: int = 0) -> Estimate:
    """A rate with the exact interval, for claims of "at least 95 %" coverage.

    Quantiles of Beta(x, n-x+1) and Beta(x+1, n-x). Clopper and Pearson, Biometrika 26 (1934), 404-413.

    Args:
        x: events.
        n: samples; with none the interval is [0, 1] and the estimate None.
        level: two-sided confidence level; coverage is never below it.
        missing: samples without a known outcome, carried along.

    Raises:
        ValueError: impossible counts or level.
    """
    high = upper_bound(x, n, (1 + level) / 2)
    low = 1 - upper_bound(n - x, n, (1 + level) / 2)
    return _rate(x, n, low, high, level, "Clopper-Pearson", missing)


def upper_bound(x: int, n: int, level: float = 0.95) -> float:
    """The exact one-sided upper bound of a rate: the quantile `level` of Beta(x+1, n-x); 1 with no data.

    At x = 0 it is 1 - (1-level)^(1/n). Clopper and Pearson (1934).

    Raises:
        ValueError: impossible counts or level.
    """
    _check(x, n)
    check_level(level)
    return 1.0 if x == n else float(betaincinv(x + 1, n - x, level))


def rule_of_three(n: int) -> float:
    """The one-sided 95 % upper bound after no event in n samples, in the head: 3/n, at most 1.

    Hanley and Lippman-Hand, JAMA 249 (1983), 1743-1745. `upper_bound(0, n)` is exact and a little lower.

    Raises:
        ValueError: n is not a positive whole number.
    """
    _check(0, n)
    if n == 0:
        raise ValueError("the rule of three needs at least one sample")
    return min(1.0, 3 / n)


def binomial_p_value(x: int, n: int, null: float) -> float:
    """The exact one-sided p-value of x or more events in n samples when the rate is `null`: P(X ≥ x).

    Raises:
        ValueError: impossible counts, or `null` is not a fraction.
    """
    _check(x, n)
    check_fraction("the null rate", null)
    return 1.0 if x == 0 else float(bdtrc(x - 1, n, null))


def wilson_bounds(x: ArrayLike, n: ArrayLike, z: ArrayLike) -> tuple[Floats, Floats]:
    """Wilson bounds of many rates at once; [0, 1] where n is 0.

    Args:
        x: events, any shape; need not be whole, so that an effective sample size can be used.
        n: samples, broadcast with x.
        z: normal quantile, broadcast with x.
    """
    x, n, z = np.asarray(x, dtype=float), np.asarray(n, dtype=float), np.asarray(z, dtype=float)
    size = np.where(n > 0, n, 1.0)
    p = np.where(n > 0, x / size, 0.0)
    centre = p + z**2 / (2 * size)
    half = z * np.sqrt(p * (1 - p) / size + z**2 / (4 * size**2))
    scale = 1 + z**2 / size
    # Rounding may put a bound on the wrong side of p or of 0 and 1 by one unit in the last place.
    low = within(np.minimum((centre - half) / scale, p), 0.0, 1.0)
    high = within(np.maximum((centre + half) / scale, p), 0.0, 1.0)
    return np.where(n > 0, low, 0.0), np.where(n > 0, high, 1.0)


def within(values: Floats, least: float, most: float) -> Floats:
    """Values cut off at two bounds; `numpy.clip` takes several times as long on the few values of a table."""
    return np.asarray(np.minimum(np.maximum(values, least), most))


def _rate(x: int, n: int, low: float, high: float, level: float, method: str, missing: int) -> Estimate:
    return Estimate(
        estimate=x / n if n else None,
        low=low,
        high=high,
        level=level,
        method=method,
        n=n,
        x=x,
        missing=missing,
        notes=() if n else (NO_DATA,),
    )


def _check(x: int, n: int) -> None:
    _check_events(whole_numbers("x", x), whole_numbers("n", n))


def _check_events(x: Counts, n: Counts) -> None:
    if (x > n).any():
        raise ValueError(f"more events than samples: x={x[x > n][0]}, n={n[x > n][0]}")
