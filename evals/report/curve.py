"""The curve of first events as SVG paths, in a box of 100 by 100 that a page stretches to any size."""

from dataclasses import dataclass
from typing import Final

from sidedoor.evals.analysis.onset import Onset, OnsetRow
from sidedoor.evals.report.scale import Scale

LEAST_AT_RISK: Final = 0.1
"""Share of the samples that must be left: further on, a curve says more of the few that are left than of the event.
Pocock, Clayton and Altman, Lancet 359 (2002), 1686-1689."""


@dataclass(frozen=True)
class Curve:
    """Path data of the curve and of the band of its pointwise intervals."""

    line: str
    band: str


def drawn(onset: Onset) -> tuple[OnsetRow, ...]:
    """The rows that are drawn: as long as a tenth of the samples has neither had the event nor ended."""
    return tuple(row for row in onset.rows if row.at_risk >= LEAST_AT_RISK * onset.n)


def curve(onset: Onset, calls: Scale, incidence: Scale) -> Curve:
    """The paths of a curve; what holds at a call holds until the next, so that the last is level for one call.

    Args:
        onset: at least one sample.
        calls: the horizontal scale.
        incidence: the vertical scale, upwards.
    """
    rows = drawn(onset)
    ends = [*(row.call for row in rows[1:]), rows[-1].call + 1]
    spans = list(zip(rows, ends, strict=True))

    def x(call: int) -> str:
        return f"{calls.across(call):.2f}"

    def y(value: float) -> str:
        return f"{100 * (1 - incidence.share(value)):.2f}"

    line = [f"M{x(0)} {y(0)}", *(f"H{x(row.call)}V{y(row.incidence)}H{x(end)}" for row, end in spans)]
    above = [f"M{x(rows[0].call)} {y(rows[0].low)}", *(f"V{y(row.high)}H{x(end)}" for row, end in spans)]
    below = [f"V{y(row.low)}H{x(row.call)}" for row in reversed(rows)]
    return Curve(line="".join(line), band="".join([*above, *below, "Z"]))
