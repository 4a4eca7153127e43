"""The page's size is bounded, whatever models do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sidedoor.evals.frame.read import Frame
from sidedoor.evals.frame.rows import FrameRow
from sidedoor.evals.report import render
from sidedoor.evals.report.report import build

MODELS = [f"provider/model-{number}" for number in range(10)]
CELLS = [(f"scenario_number_{s}", variant, epoch) for s in range(7) for variant in "ABCDEFGH" for epoch in (1, 2, 3)]


@pytest.mark.slow
def test_1680_positives_with_long_hostile_transcripts_make_less_than_a_megabyte(
    tmp_path: Path, log: Callable[..., list[FrameRow]], frame: Callable[..., Frame]
) -> None:
    text = dict.fromkeys(("said", "command", "answer", "closing", "rule"), "<b>\u202e&\x1b" * 5_000)
    logged = log(tmp_path / "all.eval", "", CELLS, **text)  # ten models that did the same
    rows = [row.model_copy(update={"model": model}) for model in MODELS for row in logged]
    page = render.page(build(frame(rows)))
    assert page.count("<details>") == 1_680
    assert len(page.encode()) < 1_000_000
