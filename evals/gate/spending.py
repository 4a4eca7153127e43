"""How much of alpha each look at a growing run may spend, so that all of them together spend no more than alpha.

The O'Brien-Fleming-like function of Lan and DeMets, a(t) = 2 - 2Φ(z(1-alpha/2)/√t), Biometrika 70 (1983), 659-663, t
being the share of the information that is in by then. The bounds follow from the joint normal distribution of the
looks' statistics, whose correlation is √(t_j/t_k), by the recursion of Armitage, McPherson and Rowe, J. R. Stat. Soc. A
132 (1969), 235-244.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from sidedoor.evals.analysis.counts import Floats

_POINTS = 801
_REACH = 8.0
_HALVINGS = 50


class _Going(NamedTuple):
    """What has not stopped yet: density of the score (z·√t) at information t."""

    t: float
    grid: Floats
    density: Floats


def nominal_levels(information: Sequence[float], alpha: float) -> tuple[float, ...]:
    """The one-sided level of each look.

    Args:
        information: how much information is in at each look, in any unit, increasing.
        alpha: what all looks spend together, one-sided.

    Returns:
        One level per look; the last of several is below `alpha`, and with one look it is `alpha`.

    Raises:
        ValueError: no look, or information that does not grow.
    """
    share = np.asarray(information, dtype=float)
    if share.size == 0 or not (np.diff(share, prepend=0.0) > 0).all():
        raise ValueError(f"information must grow from look to look; got {list(information)}")
    share = share / share[-1]
    spent = 2 * ndtr(ndtri(alpha / 2) / np.sqrt(share))
    levels: list[float] = []
    going: _Going | None = None
    for t, increment in zip(share.tolist(), np.diff(spent, prepend=0.0).tolist(), strict=True):
        bound = _bound(going, t, increment)
        levels.append(float(ndtr(-bound)))
        going = _go_on(going, t, bound)
    return tuple(levels)


def _bound(going: _Going | None, t: float, increment: float) -> float:
    """The z-value above which `increment` of the probability lies."""
    low, high = 0.0, _REACH
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _above(going, t, middle) > increment else (low, middle)
    return (low + high) / 2


def _above(going: _Going | None, t: float, z: float) -> float:
    if going is None:
        return float(ndtr(-z))
    above = ndtr((going.grid - z * np.sqrt(t)) / np.sqrt(t - going.t))
    return float(np.trapezoid(going.density * above, going.grid))


def _go_on(going: _Going | None, t: float, z: float) -> _Going:
    """What is left below the bound; the grid ends there, so that nothing is cut within a step of it."""
    grid = np.linspace(-_REACH, z * np.sqrt(t), _POINTS)
    if going is None:
        return _Going(t, grid, _normal(grid, t))
    moved = _normal(grid[:, None] - going.grid[None, :], t - going.t) * going.density[None, :]
    return _Going(t, grid, np.asarray(np.trapezoid(moved, going.grid, axis=1)))


def _normal(x: Floats, variance: float) -> Floats:
    return np.asarray(np.exp(-(x**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance))
