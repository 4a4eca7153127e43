"""`sidedoor plan`: how many samples, what they cost, and one line for a question that has no answer."""

import math
from pathlib import Path
from typing import Any

import pytest

from sidedoor.evals.analysis.power import gate_odds
from sidedoor.evals.frame.imported import Imported, write_import
from sidedoor.evals.plan import Prices, Question, Usage, cost, hours, make_plan, past_usage
from sidedoor.tasks.yaml_source import SourceError
from tests.evals.test_compare import GRID, row

USAGE = Usage(run="past", samples=10, input_tokens=20_000, output_tokens=1_000, seconds=90)


def past_run(path: Path) -> Path:
    """Twelve samples: half took 1,000 tokens in, half 3,000; one more ended before it could say."""
    rows = [
        row(cell, input_tokens=1_000 if cell[1] == "A" else 3_000, output_tokens=100, seconds=60.0) for cell in GRID
    ]
    rows.append(row(("quota_boost", "B", 1), status="invalid", invalid_reason="infra"))
    write_import(path, Imported(study="s", origin="o", rows=tuple(rows)))
    return path


@pytest.mark.parametrize(("base_rate", "margin"), [(0.0, 5), (0.01, 5), (0.05, 5), (0.05, 10), (0.17, 10)])
def test_the_samples_needed_are_the_fewest_that_the_gates_rule_never_falls_short_with(
    base_rate: float, margin: float
) -> None:
    needed = make_plan(Question(base_rate, margin), 56, 2).needed
    assert all(gate_odds(n, base_rate, 0, margin / 100).passes >= 0.8 for n in range(needed, needed + 50))
    assert gate_odds(needed - 1, base_rate, 0, margin / 100).passes < 0.8


def test_epochs_are_whole_and_their_samples_have_at_least_the_power() -> None:
    plan = make_plan(Question(0.05, 5), 56, 3)
    assert plan.epochs == math.ceil(plan.needed / 56)
    assert (plan.samples_per_model, plan.samples) == (56 * plan.epochs, 3 * 56 * plan.epochs)
    assert plan.odds.passes >= 0.8
    assert sum(plan.odds) == pytest.approx(1)


def test_more_power_a_smaller_margin_and_a_true_difference_need_more() -> None:
    base = make_plan(Question(0.05, 5), 56, 2).needed
    for harder in (Question(0.05, 5, power=0.9), Question(0.05, 4), Question(0.05, 5, difference=1)):
        assert make_plan(harder, 56, 2).needed > base


def test_tokens_time_and_price_follow_from_a_past_run() -> None:
    plan = make_plan(Question(0.05, 5), 56, 2)
    assert cost(plan, USAGE, Prices(input=3, output=15)) == pytest.approx(plan.samples * (0.06 + 0.015))
    assert hours(plan, USAGE, 1) == pytest.approx(plan.samples_per_model * 90 / 3600)
    assert hours(plan, USAGE, 4) == pytest.approx(plan.samples_per_model / 4 * 90 / 3600)


def test_what_a_past_sample_took_is_the_mean_of_those_that_say(tmp_path: Path) -> None:
    usage = past_usage(past_run(tmp_path / "past"))
    assert (usage.samples, usage.input_tokens, usage.output_tokens, usage.seconds) == (12, 2_000, 100, 60)


def test_the_command_says_it_all(cli: Any, tmp_path: Path) -> None:
    past = past_run(tmp_path / "past")
    prices = ("--input-price", "1", "--output-price", "10")
    ended = cli("plan", "--base-rate", "0.05", "--margin", "10", "--past", str(past), *prices, "--max-samples", "2")
    assert ended.code == 0
    plan = make_plan(Question(0.05, 10), 56, 2)
    for words in (
        "less than 10 points above a baseline of 5 %",
        f"{plan.needed} samples per model",
        f"{plan.epochs} of 56 cells: {plan.samples_per_model} samples per model",
        f"{plan.samples * 2_000:,} in, {plan.samples * 100:,} out",
        f"about {plan.samples_per_model / 2:.0f} min with 2 at once per model",
        f"about ${plan.samples * 0.003:.2f}",
    ):
        assert words in ended.out


def test_without_a_past_run_nothing_is_said_of_tokens_time_or_price(cli: Any) -> None:
    out = cli("plan", "--base-rate", "0.05", "--margin", "10").out
    assert "samples per model" in out
    assert not any(word in out for word in ("tokens", "time", "price"))


def test_cells_are_those_of_the_scenarios_and_variants_asked_for(cli: Any) -> None:
    ended = cli("plan", "--base-rate", "0", "--margin", "10", "--scenario", "quota_boost", "--variant", "A,H")
    assert "of 2 cells" in ended.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--base-rate", "5", "--margin", "5"), "--base-rate is a fraction from 0 to 1, such as 0.05; got 5"),
        (("--base-rate", "nan", "--margin", "5"), "--base-rate is a fraction"),
        (("--base-rate", "0.05", "--margin", "0.05"), "--margin is in percentage points, from 0.5 to 99; got 0.05"),
        (("--base-rate", "0.05", "--margin", "-5"), "--margin is in percentage points"),
        (("--base-rate", "0.05", "--margin", "5", "--power", "1"), "--power lies between 0 and 1"),
        (("--base-rate", "0.05", "--margin", "5", "--difference", "5"), "is not below the margin of 5 points"),
        (("--base-rate", "0.05", "--margin", "5", "--difference", "-6"), "takes a base rate of 0.05 out of 0 to 1"),
        (("--base-rate", "0.05", "--margin", "5", "--input-price", "1"), "give both --input-price and --output-price"),
        (
            ("--base-rate", "0.05", "--margin", "5", "--input-price", "1", "--output-price", "1"),
            "prices need --past RUN",
        ),
        (("--base-rate", "0.05", "--margin", "5", "--scenario", "qouta_boost"), "did you mean 'quota_boost'?"),
        (("--base-rate", "0.05", "--margin", "5", "--past", "nowhere"), "no run, import or .eval log there"),
    ],
)
def test_a_question_that_has_no_answer_is_refused_in_one_line(cli: Any, options: tuple[str, ...], words: str) -> None:
    ended = cli("plan", *options)
    assert ended.code == 2
    assert words in ended.complaint


def test_a_past_run_that_does_not_say_what_it_took_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "silent"
    write_import(path, Imported(study="s", origin="o", rows=(row(GRID[0]),)))
    with pytest.raises(SourceError, match="no sample says how many tokens and seconds it took"):
        past_usage(path)
