"""The report's figures for other programs."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from sidedoor.evals.analysis.estimate import Difference
from sidedoor.evals.report.data import Effect, Rate, ReportData
from sidedoor.evals.samples import write_table

RATE_COLUMNS: Final = (
    *("measure", "model", "scenario", "variant", "x", "n", "missing", "rate", "low", "high", "level", "method"),
    *("new_scenarios_rate", "new_scenarios_low", "new_scenarios_high", "lowest", "highest"),
)
CONTRAST_COLUMNS: Final = (
    *("measure", "kind", "factor", "baseline", "changed", "model", "claim", "difference", "low", "high", "level"),
    *("method", "x1", "n1", "x0", "n0", "missing", "left_out", "p_value", "p_holm"),
)


def write_summary_json(path: Path, data: ReportData) -> None:
    """Write everything the report says as JSON (schema: `ReportData`), in ASCII so that no byte of it acts on a reader.

    Raises:
        OSError: the file cannot be written.
    """
    path.write_text(json.dumps(data.model_dump(mode="json"), indent=1) + "\n", encoding="ascii")


def write_rates(path: Path, data: ReportData) -> None:
    """Write one line per measure and group; rates are fractions of 1.

    Raises:
        OSError: the file cannot be written.
    """
    write_table(path, RATE_COLUMNS, map(_rate, data.rates))


def write_contrasts(path: Path, data: ReportData) -> None:
    """Write one line per effect and claim, and per pair of models; differences are fractions of 1.

    Raises:
        OSError: the file cannot be written.
    """
    write_table(path, CONTRAST_COLUMNS, [*_effects(data.effects), *_pairs(data)])


def _rate(one: Rate) -> list[object]:
    value, wide = one.estimate, one.new_scenarios
    return [
        *(one.measure, one.model, one.scenario, one.variant, value.x, value.n, value.missing),
        *(value.estimate, value.low, value.high, value.level, value.method),
        *((wide.estimate, wide.low, wide.high) if wide else (None, None, None)),
        *(bound.estimate if bound else None for bound in (one.lowest, one.highest)),
    ]


def _effects(effects: Sequence[Effect]) -> Iterator[list[object]]:
    for one in effects:
        what = [one.measure, "factor", one.factor, one.baseline, one.changed, one.model]
        for value in (one.these_scenarios, one.new_scenarios):
            if value is not None:
                yield [*what, *_difference(value), None, None]


def _pairs(data: ReportData) -> Iterator[list[object]]:
    for one in data.pairs:
        what = [data.primary, "models", "model", one.baseline, one.model, None]
        yield [*what, *_difference(one.difference), one.p_value, one.p_holm]


def _difference(value: Difference) -> list[object]:
    return [
        *(value.claim, value.estimate, value.low, value.high, value.level, value.method),
        *(value.x1, value.n1, value.x0, value.n0, value.missing, len(value.left_out)),
    ]
