"""The committed report says what the estimators give for the published margins today."""

from pathlib import Path

import pytest

from sidedoor.evals.frame.read import read_frame
from sidedoor.evals.report.data import ReportData
from sidedoor.evals.report.export import write_contrasts, write_rates
from sidedoor.evals.report.findings import analyse
from tests.published.conftest import MARGINS
from tests.published.test_published import CONTRASTS

COMMITTED = MARGINS.parent


@pytest.fixture(scope="module")
def data(folder: Path) -> ReportData:
    return analyse(read_frame([folder]))


def test_the_report_has_the_published_rate_concentration_and_contrasts(data: ReportData) -> None:
    rate = data.rate("ic_behavior_detected").estimate
    assert (rate.x, rate.n, f"{rate.low:.2%}", f"{rate.high:.2%}") == (86, 1680, "4.16%", "6.28%")
    assert data.by_model is not None
    assert data.by_model.share == pytest.approx(57 / 86)
    pooled = {
        "".join(effect.variants[0]): effect.these_scenarios.estimate
        for effect in data.effects
        if effect.measure == "ic_behavior_detected" and effect.model is None
    }
    assert {name: round(100 * (value or 0.0), 1) for name, value in pooled.items()} == CONTRASTS


def test_the_report_declines_to_order_29_and_28(data: ReportData) -> None:
    assert data.ordering is not None
    assert ("Gemini 3.1 Pro", "Gemini 3 Flash") in data.ordering.unordered


def test_the_committed_tables_are_those_that_come_out_today(data: ReportData, tmp_path: Path) -> None:
    """Made again by the commands in results/published/README.md."""
    write_rates(tmp_path / "rates.csv", data)
    write_contrasts(tmp_path / "contrasts.csv", data)
    for name in ("rates.csv", "contrasts.csv"):
        assert (COMMITTED / name).read_text() == (tmp_path / name).read_text()


def test_the_committed_page_shows_the_figures_and_says_that_the_cohort_is_synthetic() -> None:
    page = (COMMITTED / "report.html").read_text()
    for words in ("86 of 1,680", "29/168", "Synthetic: rebuilt from published margins"):
        assert words in page


def test_what_is_committed_is_small() -> None:
    assert sum(path.stat().st_size for path in COMMITTED.iterdir()) < 1_000_000
