"""How far raters agree, and prevalence under an imperfect judge."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from sidedoor.evals.analysis.agreement import (
    CONTRARY,
    cohen_kappa,
    discernment,
    gwet_ac1,
    kendall_tau,
    krippendorff_alpha,
    pair_agreement,
    panel_median,
    self_preference,
)
from sidedoor.evals.analysis.prevalence import two_phase
from sidedoor.evals.analysis.proportions import wilson

NAN = float("nan")
# The worked example of Krippendorff, Computing Krippendorff's Alpha-Reliability (2011): 12 units, 4 observers.
EXAMPLE = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T
# Two raters of sensitivity .90 and specificity .97 at a prevalence of 5 %, in counts of 200,000 units.
BOTH, APART, NEITHER = 8271, 6429, 178_871


def two_raters() -> tuple[Any, Any]:
    cells = [(1, 1)] * BOTH + [(1, 0)] * APART + [(0, 1)] * APART + [(0, 0)] * NEITHER
    first, second = zip(*cells, strict=True)
    return first, second


def test_two_good_raters_of_a_rare_label_give_the_oracles() -> None:
    found = pair_agreement(*two_raters())
    assert found.raw.estimate is not None
    assert found.kappa is not None
    assert found.ac1 is not None
    assert (round(found.raw.estimate, 3), round(found.kappa, 2), round(found.ac1, 2)) == (0.936, 0.53, 0.93)
    assert found.positive == pytest.approx(2 * BOTH / (2 * BOTH + 2 * APART))
    assert found.negative == pytest.approx(2 * NEITHER / (2 * NEITHER + 2 * APART))
    assert round(sum(two_raters()[0]) / 200_000, 4) == 0.0735


def test_kappa_agrees_with_statsmodels() -> None:
    rng = np.random.default_rng(6)
    for categories in (2, 3, 6):
        first = rng.integers(0, categories, 80)
        second = np.where(rng.random(80) < 0.7, first, rng.integers(0, categories, 80))
        table = np.zeros((categories, categories))
        np.add.at(table, (first, second), 1)
        assert cohen_kappa(first, second) == pytest.approx(cohens_kappa(table).kappa, abs=1e-9)


def test_coefficients_that_are_not_defined_are_none_and_missing_units_are_counted() -> None:
    found = pair_agreement([0, 0, NAN, 0], [0, 0, 1, NAN])
    assert (found.raw.x, found.raw.n, found.raw.missing) == (2, 2, 2)
    assert found.positive is None
    assert found.negative == 1
    assert found.kappa is None
    empty = pair_agreement([], [])
    assert (empty.raw.estimate, empty.kappa, empty.ac1, empty.positive, empty.negative) == (None,) * 5
    assert krippendorff_alpha([[1, 1], [1, 1]], "nominal", self_judgements=False).alpha is None
    assert krippendorff_alpha([[1, NAN]], "interval", self_judgements=False).alpha is None
    assert gwet_ac1([[1, 1], [1, 1]]) is None


@pytest.mark.parametrize(("measurement", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_gives_krippendorffs_worked_example(measurement: Any, alpha: float) -> None:
    found = krippendorff_alpha(EXAMPLE, measurement, self_judgements=False)
    assert found.alpha is not None
    assert round(found.alpha, 3) == alpha
    assert (found.units, found.ratings, found.missing) == (11, 40, 7)
    assert found.measurement == measurement


def test_ac1_gives_the_published_value_of_the_same_example() -> None:
    # irrCAC's cac.raw4raters, the package of the coefficient's author.
    ac1 = gwet_ac1(EXAMPLE)
    assert ac1 is not None
    assert round(ac1, 5) == 0.77544


@pytest.mark.parametrize(
    # By the package krippendorff 0.9 from the same files.
    ("measurement", "alpha"),
    [("nominal", 0.5985544703137411), ("ordinal", 0.7864309091685318), ("interval", 0.8006559603561898)],
)
def test_alpha_of_four_real_judges_agrees_with_another_implementation(
    judges: dict[str, Any], measurement: Any, alpha: float
) -> None:
    ratings = np.stack([scores.values.ravel() for scores in judges.values()], axis=1)
    found = krippendorff_alpha(ratings, measurement, self_judgements=True)
    assert found.alpha == pytest.approx(alpha, abs=1e-9)
    assert (found.missing, found.self_judgements) == (56, True)


def test_alpha_of_four_real_judges_at_the_threshold_agrees_with_another_implementation(judges: dict[str, Any]) -> None:
    severities = np.stack([scores.values.ravel() for scores in judges.values()], axis=1)
    unsafe = np.where(np.isnan(severities), np.nan, severities >= 3)
    found = krippendorff_alpha(unsafe, "nominal", self_judgements=True)
    # By the package krippendorff 0.9 from the same files.
    assert found.alpha == pytest.approx(0.7900745582278235, abs=1e-9)
    assert (found.units, found.ratings, found.missing) == (706, 2824, 56)


def test_medians_of_four_judges_are_the_published_ones(judges: dict[str, Any], medians: Any) -> None:
    ratings = np.stack([scores.values.ravel() for scores in judges.values()], axis=1)
    np.testing.assert_array_equal(panel_median(ratings), medians.values.ravel())


def test_published_rates_at_severity_3_follow_from_the_medians(medians: Any) -> None:
    for column, printed in medians.rates.items():
        severities = medians.values[:, medians.columns.index(column)]
        known = severities[~np.isnan(severities)]
        rate = wilson(int((known >= 3).sum()), len(known), missing=int(np.isnan(severities).sum()))
        assert rate.estimate is not None
        assert f"{100 * rate.estimate:.1f}%" == printed
        assert rate.n + rate.missing == 40


def test_rates_at_severity_3_have_intervals_and_count_the_cells_that_are_missing(medians: Any) -> None:
    for column in medians.rates:
        severities = medians.values[:, medians.columns.index(column)]
        known = severities[~np.isnan(severities)]
        rate = wilson(int((known >= 3).sum()), len(known), missing=40 - len(known))
        low, high = proportion_confint(rate.x, rate.n, method="wilson")
        assert (rate.low, rate.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9)), column
    whole = medians.values[~np.isnan(medians.values)]
    rate = wilson(int((whole >= 3).sum()), whole.size, missing=int(np.isnan(medians.values).sum()))
    assert (rate.x, rate.n, rate.missing) == (221, 706, 14)
    assert (round(rate.low, 3), round(rate.high, 3)) == (0.280, 0.348)


def test_a_median_without_self_judgements_leaves_those_ratings_out_and_no_others() -> None:
    ratings = [[0, 4, 4], [1, NAN, 3], [2, NAN, NAN]]
    own = [[False, True, False], [False] * 3, [True, False, False]]
    np.testing.assert_array_equal(panel_median(ratings), [4, 2, 2])
    np.testing.assert_array_equal(panel_median(ratings, own), [2, 2, NAN])
    with pytest.raises(ValueError, match="one entry per rating"):
        panel_median(ratings, [True])


def test_ratings_of_the_wrong_shape_or_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="same units"):
        cohen_kappa([1, 0], [1])
    with pytest.raises(ValueError, match="binary"):
        pair_agreement([2, 0], [1, 0])
    with pytest.raises(ValueError, match="matrix"):
        gwet_ac1([1, 0])
    with pytest.raises(ValueError, match="nominal, ordinal or interval"):
        krippendorff_alpha(EXAMPLE, "ratio", self_judgements=False)  # type: ignore[arg-type]


def test_a_rater_that_always_says_no_agrees_on_95_percent_and_discerns_nothing() -> None:
    truth = [1] * 5 + [0] * 95
    agreement, found = pair_agreement([0] * 100, truth), discernment([0] * 100, truth)
    assert (agreement.raw.estimate, agreement.kappa) == (0.95, 0)
    assert (found.youden, found.constant, found.usable) == (0, True, False)
    assert (found.found.x, found.found.n, found.false_alarms.x, found.false_alarms.n) == (0, 5, 0, 95)


def test_discernment_is_sensitivity_less_false_alarms_with_what_is_unknown_counted() -> None:
    found = discernment([1, 1, 0, NAN, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, NAN])
    assert (found.found.x, found.found.n, found.found.missing) == (2, 3, 1)
    assert (found.false_alarms.x, found.false_alarms.n) == (1, 3)
    assert found.youden == pytest.approx(2 / 3 - 1 / 3)
    assert found.usable is True


@pytest.mark.parametrize(("contrary", "usable"), [(CONTRARY - 1, None), (CONTRARY, False)])
@pytest.mark.parametrize("always", [0, 1])
def test_a_constant_rater_is_unusable_where_enough_units_ask_for_the_other_label(
    always: int, contrary: int, usable: bool | None
) -> None:
    reference = [1 - always] * contrary + [always] * 50
    assert discernment([always] * len(reference), reference).usable is usable


def test_without_both_kinds_of_units_there_is_no_youden_and_without_ratings_no_verdict() -> None:
    assert discernment([0, 1], [0, 0]).youden is None
    nothing = discernment([NAN, NAN], [0, 1])
    assert (nothing.youden, nothing.constant, nothing.usable) == (None, False, None)


def test_kendalls_tau_agrees_with_scipy_also_with_ties_and_unknown_rates() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        first, second = rng.integers(0, 4, 9).astype(float), rng.integers(0, 4, 9).astype(float)
        assert kendall_tau(first, second) == pytest.approx(kendalltau(first, second).statistic)
    assert kendall_tau([1, 2, NAN, 3], [1, 3, 2, 5]) == 1
    assert kendall_tau([1, 1, 1], [1, 2, 3]) is None
    assert kendall_tau([1], [1]) is None


def test_self_preference_is_what_a_rater_spares_its_own_beyond_what_it_spares_others() -> None:
    others = {unit: unit % 4 == 0 for unit in range(800)}
    # On its own kind it misses half of the positives, elsewhere one in ten.
    rater = {unit: label and (unit % 8 == 0 if unit < 400 else unit % 40 != 0) for unit, label in others.items()}
    found = self_preference(rater, others, frozenset(range(400)))
    assert (found.own.estimate, found.others.estimate) == (pytest.approx(-0.125), pytest.approx(-0.025))
    assert found.excess == pytest.approx(-0.1)
    assert found.low < -0.1 < found.high < 0
    even = self_preference(others, others, frozenset(range(400)))
    assert even.excess == 0
    assert even.low < 0 < even.high


def test_self_preference_without_units_of_its_own_kind_is_unknown() -> None:
    found = self_preference({1: True}, {1: True}, frozenset())
    assert (found.excess, found.own.estimate, found.others.estimate) == (None, None, 0)


def test_review_in_two_phases_recovers_the_rate_that_the_judge_misreads() -> None:
    # Sensitivity .90 and specificity .97 at 5 % of 20,000: 900 true and 570 false positives read 7.35 %.
    found = two_phase(positives=1470, confirmed=900, negatives=18_530, reviewed=18_530, overlooked=100)
    assert found.estimate == pytest.approx(0.05)
    assert wilson(1470, 20_000).estimate == pytest.approx(0.0735)
    assert found.low < 0.05 < found.high < 0.0735


def test_two_phases_cover_95_percent_at_under_4_points_where_the_judge_reads_735() -> None:
    rng, held, widths = np.random.default_rng(9), [], []
    for _ in range(1000):
        violations = rng.binomial(1680, 0.05)
        true_positives = rng.binomial(violations, 0.9)
        false_positives = rng.binomial(1680 - violations, 0.03)
        negatives = 1680 - true_positives - false_positives
        overlooked = rng.hypergeometric(violations - true_positives, 1680 - violations - false_positives, 200)
        found = two_phase(true_positives + false_positives, true_positives, negatives, 200, int(overlooked))
        held.append(found.low <= 0.05 <= found.high)
        widths.append(found.high - found.low)
    assert np.mean(held) >= 0.94
    assert np.mean(widths) < 0.04


def test_negatives_that_nobody_reviewed_are_never_taken_for_clean() -> None:
    found = two_phase(positives=3, confirmed=2, negatives=97, reviewed=0, overlooked=0)
    assert found.estimate is None
    assert found.high > 0.97
    assert (found.missing, found.notes) == (97, ("no judged negative was reviewed",))
    assert two_phase(0, 0, 0, 0, 0).notes == ("no data",)
    assert two_phase(4, 0, 0, 0, 0).estimate == 0


@pytest.mark.parametrize("counts", [(1, 2, 5, 5, 0), (1, 1, 5, 6, 0), (1, 1, 5, 2, 3), (-1, 0, 5, 5, 0)])
def test_impossible_reviews_are_refused(counts: tuple[int, int, int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        two_phase(*counts)
