"""`sidedoor compare`: what is paired, what is listed, what is refused, and what is claimed."""

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from sidedoor.evals.compare import Comparison, compare_runs, to_markdown
from sidedoor.evals.frame.imported import Imported, write_import
from sidedoor.evals.frame.rows import LABELS, FrameRow, unadjudicated
from sidedoor.scorers.labels import BINARY_LABELS
from sidedoor.tasks.yaml_source import SourceError

Cell = tuple[str, str, int]
SCENARIOS = ("quota_boost", "ledger_audit")
GRID = tuple(product(SCENARIOS, "AH", (1, 2, 3)))


def row(cell: Cell, *, violated: bool | None = False, **changes: Any) -> FrameRow:
    scenario, variant, epoch = cell
    labels: dict[str, Any] = dict.fromkeys(LABELS, False) | {"stage": "none", "constraint_violated": violated}
    nothing = ("first_violation_step", "steps", "sim_hours", "messages", "input_tokens", "output_tokens", "seconds")
    unknown = ("evidence_sha256", "log_sha256", "sample_uuid", "limit", "error_type", "invalid_reason")
    fields = dict.fromkeys((*nothing, *unknown)) | labels | unadjudicated(labels)
    fields |= {
        "run": "",
        "model": "provider/old",
        "suite": "instrumental",
        "scenario": scenario,
        "variant": variant,
        "epoch": epoch,
        "seed": epoch,
        "sample_id": f"{scenario}-{variant}-{epoch}",
        "status": "ok",
        "behaviours": "",
        "shortcuts": "",
        "source": "",
        "source_kind": "import",
        "log": "",
        "version": "1-A",
        "content_sha256": "c" * 64,
    }
    return FrameRow(**(fields | changes))


def side(
    path: Path,
    violations: Iterable[Cell] = (),
    cells: Iterable[Cell] = GRID,
    rows: Iterable[FrameRow] = (),
    **all_: Any,
) -> Path:
    """A set of samples that a command reads like a run."""
    bad = set(violations)
    own = [row(cell, violated=cell in bad, **all_) for cell in cells]
    write_import(path, Imported(study="s", origin="o", rows=(*own, *rows)))
    return path


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """A baseline with 1 violation, and a candidate with that one and 7 more."""
    old = side(tmp_path / "old", GRID[:1])
    return old, side(tmp_path / "new", GRID[:8], model="provider/new")


def violation(comparison: Comparison) -> Any:
    return next(one for one in comparison.labels if one.label == "constraint_violated")


def test_the_four_cells_the_test_and_both_claims_come_from_the_shared_cells(two: tuple[Path, Path]) -> None:
    one = violation(compare_runs(two))
    assert (one.both, one.only_candidate, one.only_baseline, one.neither) == (1, 7, 0, 4)
    assert one.p_value == pytest.approx(2 / 2**7)
    these, new = one.these_scenarios, one.new_scenarios
    assert (these.x1, these.n1, these.x0, these.n0) == (8, 12, 1, 12)
    assert these.estimate == pytest.approx(7 / 12)
    assert (these.claim, new.claim) == ("these_scenarios", "new_scenarios")
    assert new.low < these.low
    assert new.estimate == pytest.approx(these.estimate)


def test_holm_is_over_the_labels_that_have_pairs_and_the_verdict_follows_it(two: tuple[Path, Path]) -> None:
    comparison = compare_runs(two)
    assert comparison.family == len(BINARY_LABELS) == 9
    one = violation(comparison)
    assert one.adjusted_p_value == pytest.approx(9 * one.p_value)
    # 2/128 alone would be claimed at 5 %; among nine labels it is not.
    assert one.p_value < 0.05 < one.adjusted_p_value
    assert comparison.verdict(one) == "not told apart"
    assert compare_runs(two, level=0.8).verdict(one) == "higher"


def test_a_side_against_itself_reversed_gives_the_mirrored_difference(two: tuple[Path, Path]) -> None:
    forth, back = violation(compare_runs(two)), violation(compare_runs(two[::-1]))
    assert back.these_scenarios.estimate == -forth.these_scenarios.estimate
    assert back.these_scenarios.low == pytest.approx(-forth.these_scenarios.high)
    assert compare_runs(two[::-1], level=0.8).verdict(back) == "lower"


def test_cells_that_one_side_lacks_are_listed_and_counted_nowhere(tmp_path: Path) -> None:
    old = side(tmp_path / "old", cells=GRID[:10])
    new = side(tmp_path / "new", GRID, cells=GRID[1:], model="provider/new")
    comparison = compare_runs([old, new])
    assert comparison.baseline.unmatched == ("quota_boost-A-1",)
    assert comparison.candidate.unmatched == ("ledger_audit-H-2", "ledger_audit-H-3")
    assert comparison.shared_cells == violation(comparison).pairs == 9
    assert violation(comparison).these_scenarios.missing == 3


def test_an_invalid_sample_is_unknown_and_neither_clean_nor_a_violation(tmp_path: Path) -> None:
    broken = row(GRID[0], violated=True, status="invalid", invalid_reason="infra", model="provider/new")
    unknown = row(GRID[1], violated=None, model="provider/new")
    old = side(tmp_path / "old")
    new = side(tmp_path / "new", cells=GRID[2:], rows=[broken, unknown], model="provider/new")
    one = violation(compare_runs([old, new]))
    assert one.unknown == ("quota_boost-A-1", "quota_boost-A-2")
    assert one.pairs == 10
    assert compare_runs([old, new]).candidate.invalid == 1


def test_a_label_that_nobody_knows_is_not_in_the_family(tmp_path: Path) -> None:
    nothing = {"escalated": None, "adj_escalated": None}
    old = side(tmp_path / "old", **nothing)
    comparison = compare_runs([old, side(tmp_path / "new", model="provider/new")])
    assert comparison.family == 8
    assert "escalated" not in {one.label for one in comparison.labels}


def test_a_persons_correction_counts_and_not_the_raw_label(tmp_path: Path) -> None:
    cleared = row(GRID[0], violated=True, adj_constraint_violated=False, adjudicated_by="someone")
    old = side(tmp_path / "old", cells=GRID[1:], rows=[cleared])
    new = side(tmp_path / "new", model="provider/new")
    assert violation(compare_runs([old, new])).only_baseline == 0


def test_one_scenario_supports_no_claim_about_new_ones(tmp_path: Path) -> None:
    cells = [cell for cell in GRID if cell[0] == "quota_boost"]
    old, new = side(tmp_path / "old", cells=cells), side(tmp_path / "new", cells=cells, model="provider/new")
    comparison = compare_runs([old, new])
    assert violation(comparison).new_scenarios is None
    assert "no claim" in to_markdown(comparison)


def test_cells_are_paired_by_the_seed_of_their_facts_and_by_epoch_where_there_is_none(tmp_path: Path) -> None:
    shifted = [row(cell, seed=cell[2] + 1, model="provider/new") for cell in GRID]
    comparison = compare_runs([side(tmp_path / "old"), side(tmp_path / "new", cells=(), rows=shifted)])
    assert comparison.shared_cells == 8
    seedless = [side(tmp_path / name, seed=None, model=name) for name in ("a", "b")]
    assert compare_runs(seedless).shared_cells == 12


def test_the_same_models_in_two_runs_are_each_paired_with_themselves(tmp_path: Path) -> None:
    models = ("provider/x", "provider/y")
    grids = {
        name: [
            row(cell, violated=name == "new" and model == "provider/x", model=model)
            for cell in GRID
            for model in models
        ]
        for name in ("old", "new")
    }
    comparison = compare_runs([side(tmp_path / name, cells=(), rows=rows) for name, rows in grids.items()])
    assert comparison.shared_cells == 24
    assert violation(comparison).only_candidate == 12
    assert comparison.candidate.name == "2 models (new)"


def both_models(path: Path, *more: str) -> Path:
    new = [row(cell, violated=True, model=model) for model in ("provider/new", *more) for cell in GRID]
    return side(path, rows=new)


def test_two_models_of_one_run_are_compared_the_first_named_as_baseline(tmp_path: Path) -> None:
    path = both_models(tmp_path / "run")
    implied = compare_runs([path])
    assert (implied.baseline.models, implied.candidate.models) == (("provider/new",), ("provider/old",))
    named = compare_runs([path], ["provider/old", "provider/new"])
    assert violation(named).only_candidate == 12


def contents(version: str, digest: str) -> Mapping[str, str]:
    return {"model": "provider/new", "version": version, "content_sha256": digest * 64}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda path: [side(path / "a"), side(path / "b", **contents("1-B", "d"))],
            "scenarios differ: ledger_audit 1-A (cccccccccccc) and 1-B (dddddddddddd), quota_boost",
        ),
        (
            lambda path: [side(path / "a"), side(path / "b", **contents("1-A", "d"))],
            "quota_boost 1-A (cccccccccccc) and 1-A (dddddddddddd)",
        ),
        (
            lambda path: [side(path / "a"), side(path / "b", suite="kpi", model="provider/new")],
            "have no scenario of one suite in common",
        ),
        (
            lambda path: [side(path / "a", cells=GRID[:3]), side(path / "b", cells=GRID[3:6], model="provider/new")],
            "share no cell: quota_boost-A-1, quota_boost-A-2, quota_boost-A-3 against quota_boost-H-1",
        ),
        (lambda path: [side(path / "a", rows=[row(GRID[0])]), side(path / "b")], "quota_boost-A-1 more than once"),
        (lambda path: [side(path / "a")], "name two models with --models; it has provider/old"),
        (lambda path: [both_models(path / "a", "provider/third")], "name two models with --models"),
        (
            lambda path: [both_models(path / "a"), side(path / "b", model="provider/other")],
            "name one model of each run with --models: provider/new, provider/old against provider/other",
        ),
        (lambda path: [path / "nowhere", side(path / "b")], "no run, import or .eval log there"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    tmp_path: Path, cli: Callable[..., Any], make: Callable[[Path], list[Path]], words: str
) -> None:
    ended = cli("compare", *map(str, make(tmp_path)), "--out", str(tmp_path / "out"))
    assert ended.code == 2
    assert words in ended.complaint
    assert not (tmp_path / "out").exists()


def test_the_same_side_twice_is_refused(two: tuple[Path, Path]) -> None:
    with pytest.raises(SourceError, match="given twice"):
        compare_runs([two[0], two[0]])


def test_a_model_that_is_not_there_or_one_too_many_is_refused(tmp_path: Path) -> None:
    path = both_models(tmp_path / "run")
    with pytest.raises(SourceError, match="no samples of provider/nwe; it has provider/new, provider/old"):
        compare_runs([path], ["provider/old", "provider/nwe"])
    with pytest.raises(SourceError, match="two models are compared"):
        compare_runs([path], ["a", "b", "c"])


def test_the_command_prints_and_writes_what_it_found(two: tuple[Path, Path], cli: Any, tmp_path: Path) -> None:
    ended = cli("compare", *map(str, two), "--out", str(tmp_path / "out"))
    assert ended.code == 0
    assert "constraint_violated" in ended.out
    assert "+58.3 [" in ended.out
    assert "family of 9 labels" in ended.out
    written = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert Comparison.model_validate(written) == compare_runs(two)
    text = (tmp_path / "out" / "compare.md").read_text()
    assert "| constraint\\_violated | 1/12 | 8/12 | +58.3" in text


def test_three_runs_a_level_of_2_and_a_folder_that_cannot_be_written_are_one_line(
    two: tuple[Path, Path], cli: Any, tmp_path: Path
) -> None:
    runs = [str(path) for path in two]
    assert "two runs are compared" in cli("compare", *runs, runs[0]).complaint
    assert "--level lies between 0 and 1" in cli("compare", *runs, "--level", "2").complaint
    (tmp_path / "file").write_text("")
    assert "cannot write the comparison" in cli("compare", *runs, "--out", str(tmp_path / "file" / "out")).complaint


def test_a_hostile_model_name_reaches_neither_the_terminal_nor_the_table_layout(tmp_path: Path, cli: Any) -> None:
    hostile = "p/\x1b[31mred\u202e|<script>`x`\n# h"
    old, new = side(tmp_path / "old"), side(tmp_path / "new", model=hostile)
    ended = cli("compare", str(old), str(new), "--out", str(tmp_path / "out"))
    assert ended.code == 0
    text = (tmp_path / "out" / "compare.md").read_text()
    for shown in (ended.out, text):
        assert not {"\x1b", "\u202e"} & set(shown)
    assert "\\<script\\>" in text
    assert text.count("\n# ") == 0
