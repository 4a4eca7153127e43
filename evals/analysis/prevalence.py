"""Prevalence of a label that an imperfect judge gave, corrected by review.

A judge that is right nine times in ten still misreads a rare label: at a true 5 %, sensitivity .90 and specificity .97
read 7.35 %. Reviewing all its positives and a random sample of its negatives gives the true rate without assuming
what the judge's errors are.
"""

import numpy as np

from sidedoor.evals.analysis.counts import whole_numbers
from sidedoor.evals.analysis.estimate import NO_DATA, Estimate, two_sided_z
from sidedoor.evals.analysis.proportions import wilson_bounds


def two_phase(
    positives: int, confirmed: int, negatives: int, reviewed: int, overlooked: int, level: float = 0.95
) -> Estimate:
    """The rate after review of all judged positives and of a random sample of judged negatives.

    π̂ = confirmed/N + (negatives/N)·(overlooked/reviewed), N = positives + negatives: double sampling after Tenenbein,
    J. Am. Stat. Assoc. 65 (1970), 1350-1361. The interval adds the Wilson intervals of the two terms in quadrature
    (MOVER: Zou and Donner, Stat. Med. 27 (2008), 1693-1702).

    Args:
        positives: samples that the judge called positive; all of them were reviewed.
        confirmed: those that review confirmed.
        negatives: samples that the judge called negative.
        reviewed: how many of those were drawn at random and reviewed.
        overlooked: the ones among them that review found positive.
        level: two-sided confidence level.

    Returns:
        The rate; its estimate is None without data, or when there are negatives and none was reviewed. `x` counts the
        positives that review saw, `missing` the negatives that it did not see.

    Raises:
        ValueError: impossible counts or level.
    """
    z = two_sided_z(level)
    _check_part("confirmed", confirmed, positives)
    _check_part("reviewed", reviewed, negatives)
    _check_part("overlooked", overlooked, reviewed)
    n = positives + negatives
    share = negatives / n if n else 1.0
    terms = np.array([confirmed / n if n else 0.0, share * overlooked / reviewed if reviewed else 0.0])
    lows, highs = wilson_bounds([confirmed, overlooked], [n, reviewed], z)
    scale = np.array([1.0, share])
    rate = float(terms.sum())
    unseen = negatives > 0 and reviewed == 0
    return Estimate(
        estimate=rate if n and not unseen else None,
        low=max(0.0, rate - float(np.hypot(*(terms - scale * lows)))),
        high=min(1.0, rate + float(np.hypot(*(scale * highs - terms)))),
        level=level,
        method="two-phase, MOVER-Wilson",
        n=n,
        x=confirmed + overlooked,
        missing=negatives - reviewed,
        notes=_notes(n, unseen),
    )


def _check_part(name: str, part: int, whole: int) -> None:
    if (whole_numbers(name, part) > whole_numbers(f"what {name} is part of", whole)).any():
        raise ValueError(f"{name} is {part} of {whole}")


def _notes(n: int, unseen: bool) -> tuple[str, ...]:
    if not n:
        return (NO_DATA,)
    return ("no judged negative was reviewed",) if unseen else ()
