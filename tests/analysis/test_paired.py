"""Two arms on the same cells, and several comparisons at once."""

import itertools

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from sidedoor.evals.analysis.multiplicity import benjamini_hochberg, holm
from sidedoor.evals.analysis.paired import compare_paired, mcnemar_exact, pair

Cell = tuple[str, str, int]
CELLS: list[Cell] = list(itertools.product("abcdefg", "ABCDEFGH", (1, 2, 3)))


def test_exact_mcnemar_gives_the_oracle() -> None:
    assert round(mcnemar_exact(50, 30), 4) == 0.0330


@pytest.mark.parametrize(("only1", "only0"), [(50, 30), (30, 50), (0, 5), (1, 0), (7, 7), (0, 0)])
def test_exact_mcnemar_agrees_with_statsmodels(only1: int, only0: int) -> None:
    expected = mcnemar([[10, only1], [only0, 100]], exact=True).pvalue if only1 + only0 else 1
    assert mcnemar_exact(only1, only0) == pytest.approx(expected, abs=1e-12)


def test_pairs_are_counted_in_four_cells_and_what_cannot_be_paired_is_listed() -> None:
    arm1 = {"a": True, "b": True, "c": False, "d": False, "e": None, "only": True, "x": False}
    arm0 = {"a": True, "b": False, "c": True, "d": False, "e": True, "other": False, "x": None}
    table = pair(arm1, arm0)
    assert (table.both, table.only1, table.only0, table.neither, table.pairs) == (1, 1, 1, 1, 4)
    assert (table.unmatched1, table.unmatched0, table.unknown) == (("only",), ("other",), ("e", "x"))


def test_a_comparison_counts_only_pairs_and_states_what_each_arm_misses() -> None:
    rng = np.random.default_rng(3)
    arm1: dict[Cell, bool | None] = {cell: bool(rng.random() < 0.3) for cell in CELLS}
    arm0: dict[Cell, bool | None] = {cell: bool(rng.random() < 0.1) for cell in CELLS}
    del arm0[CELLS[0]]
    arm1[CELLS[5]] = None
    found = compare_paired(arm1, arm0, lambda cell: cell[0])
    pairs = [cell for cell in CELLS if cell not in (CELLS[0], CELLS[5])]
    assert found.table.pairs == len(pairs) == found.difference.n1 == found.difference.n0
    assert found.difference.x1 == sum(bool(arm1[cell]) for cell in pairs)
    assert found.difference.x0 == sum(bool(arm0[cell]) for cell in pairs)
    # The unpaired cell is missing from arm 0; the unknown outcome takes its pair from both.
    assert found.difference.missing == 3
    assert found.p_value == mcnemar_exact(found.table.only1, found.table.only0)
    assert found.difference.method == "stratified Newcombe"
    by_cell = compare_paired(arm1, arm0, lambda cell: f"{cell[0]}/{cell[1]}")
    assert by_cell.difference.method == "Newcombe with effective n"


def test_arms_without_a_common_cell_compare_to_nothing() -> None:
    found = compare_paired({"a": True}, {"b": True}, str)
    assert found.p_value == 1
    assert found.difference.estimate is None
    assert (found.difference.low, found.difference.high) == (-1, 1)
    assert compare_paired({}, {}, str).difference.estimate is None


def test_strata_of_a_paired_comparison_weigh_the_same() -> None:
    arm1 = {("a", i): i < 9 for i in range(20)} | {("b", i): i < 2 for i in range(40)}
    arm0 = {("a", i): i < 4 for i in range(20)} | {("b", i): i < 1 for i in range(40)}
    found = compare_paired(arm1, arm0, lambda key: key[0])
    assert found.difference.estimate == pytest.approx((5 / 20 + 1 / 40) / 2)


@pytest.mark.parametrize("p_values", [[0.01, 0.04, 0.03, 0.005], [0.5, 0.5], [1, 0, 0.2, 0.2, 0.9], [0.03]])
def test_adjusted_p_values_agree_with_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values).adjusted == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)
    assert benjamini_hochberg(p_values).adjusted == pytest.approx(
        multipletests(p_values, method="fdr_bh")[1], abs=1e-12
    )


def test_an_adjustment_names_its_method_and_the_size_of_its_family() -> None:
    assert (holm([0.01, 0.2]).method, holm([0.01, 0.2]).family) == ("Holm", 2)
    assert holm([]).adjusted == ()
    for bad in ([1.1], [-0.1], [float("nan")]):
        with pytest.raises(ValueError, match="p-values"):
            holm(bad)
        with pytest.raises(ValueError, match="p-values"):
            benjamini_hochberg(bad)
