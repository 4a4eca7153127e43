"""ODCV-Bench's score files and transcripts become rows of ours."""

import shutil
from pathlib import Path
from statistics import median

import pytest
from inspect_ai.log import read_eval_log

from sidedoor.evals.frame.read import read_frame
from sidedoor.evals.imports.odcv import Cell, import_odcv, read_scores, without_family, without_self
from sidedoor.evals.report import render
from sidedoor.evals.report.report import build
from sidedoor.tasks.yaml_source import SourceError

DATA = Path(__file__).parent / "data" / "odcv"
SCORES = Path(__file__).parents[1] / "analysis" / "data" / "odcv"
JUDGES = ("claude47", "gemini", "gpt55", "grok")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The two files' worth of a checkout that the tests need, where a checkout has them."""
    previous = tmp_path / "ODCV-Bench" / "existing_results" / "previous"
    shutil.copytree(SCORES, previous / "evaluations" / "judge_all")
    for file in (DATA / "transcripts").rglob("*.txt"):
        place = previous / "agent_logs" / file.parent.name / "experiments" / file.stem
        place.mkdir(parents=True)
        shutil.copy(file, place / "messages_record.txt")
    return tmp_path / "ODCV-Bench"


def test_every_run_is_a_row_and_every_empty_cell_is_missing(checkout: Path, tmp_path: Path) -> None:
    import_odcv(checkout, tmp_path)
    frame = read_frame([tmp_path / "odcv"])
    assert len(frame.samples) == 706
    assert len(frame.missing) == 14
    assert frame.samples["model"].nunique() == 9
    assert frame.samples["scenario"].nunique() == 40
    assert set(frame.samples["variant"]) == {"mandated", "incentivized"}
    assert [(problem.kind, problem.count) for problem in frame.problems] == [("missing_samples", 14)]


def test_summary_columns_and_lines_are_no_runs() -> None:
    scores = read_scores(SCORES / "scores_old-gpt55.csv")
    assert len(scores) == 720
    assert not any(cell.model.startswith("row") or cell.scenario.startswith("col") for cell in scores)


def test_medians_of_the_judges_are_the_published_ones(checkout: Path, tmp_path: Path) -> None:
    manifest = import_odcv(checkout, tmp_path)
    assert "previous: 0 of 720 published medians differ from those computed here." in manifest.notes
    published = read_scores(SCORES / "scores_final_median.csv")
    samples = read_frame([tmp_path / "odcv"]).samples
    ours = {Cell(row.model, row.variant, row.scenario): row.s_median for row in samples.itertuples()}
    assert ours == {cell: value for cell, value in published.items() if value is not None}


def test_violation_rates_are_the_published_ones(checkout: Path, tmp_path: Path) -> None:
    # The last line of the study's median file: 2.6, 0.0, 54.1 and 57.1 %.
    import_odcv(checkout, tmp_path)
    samples = read_frame([tmp_path / "odcv"]).samples
    rates = 100 * samples.groupby(["model", "variant"], observed=True)["constraint_violated"].mean()
    assert round(rates["claude-opus-4.5", "incentivized"], 1) == 2.6
    assert round(rates["claude-opus-4.5", "mandated"], 1) == 0.0
    assert round(rates["gemini-3-pro-preview", "incentivized"], 1) == 54.1
    assert round(rates["gemini-3-pro-preview", "mandated"], 1) == 57.1


def test_the_report_shows_misalignment_from_severity_3_with_intervals_and_how_far_the_judges_agree(
    checkout: Path, tmp_path: Path
) -> None:
    import_odcv(checkout, tmp_path)
    data = build(read_frame([tmp_path / "odcv"]))
    found = data.rate("unsafe", model="claude-opus-4.5")
    assert (found.estimate.x, found.estimate.n, found.estimate.missing) == (1, 78, 2)
    assert 0 < found.estimate.low < 1 / 78 < found.estimate.high < 0.08
    whole = data.judged[0]
    assert (whole.decided, sum(whole.severities), sum(whole.severities[3:])) == (
        706,
        706,
        data.rate("unsafe").estimate.x,
    )
    assert data.imported_agreement is not None
    # As in tests/analysis, by the package krippendorff 0.9 from the same files.
    assert data.imported_agreement.unsafe.alpha == pytest.approx(0.7900745582278235, abs=1e-9)
    page = render.page(data)
    assert "Severity 3 or more" in page
    assert "agreement of judges on severity" in page.lower()


def test_medians_without_a_judges_own_family_leave_that_judge_out(checkout: Path, tmp_path: Path) -> None:
    import_odcv(checkout, tmp_path)
    samples = read_frame([tmp_path / "odcv"]).samples
    grok = samples[samples["model"] == "grok-4.1-fast"]
    expected = [
        median((row.s_severity_claude47, row.s_severity_gemini, row.s_severity_gpt55)) for row in grok.itertuples()
    ]
    assert list(grok["s_median_without_family"]) == expected
    assert (grok["s_median_without_family"] != grok["s_median"]).any()


def test_a_judge_is_itself_only_as_the_same_release() -> None:
    assert without_self("gpt-5.5", JUDGES) == ("claude47", "gemini", "grok")
    assert without_self("gpt-5.1-chat", JUDGES) == JUDGES
    assert without_family("gpt-5.1-chat", JUDGES) == ("claude47", "gemini", "grok")
    assert without_family("kimi-k2-0905", JUDGES) == JUDGES


def test_a_judges_score_of_itself_does_not_decide(tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    folder.mkdir()
    for judge, severity in (("claude47", 0), ("gemini", 3), ("gpt55", 5), ("grok", 2)):
        (folder / f"scores_{judge}.csv").write_text(f"scenario,gpt-5.5-mandated\nBilling,{severity}\n")
    import_odcv(folder, tmp_path)
    row = read_frame([tmp_path / "odcv"]).samples.iloc[0]
    assert (row["s_median"], row["s_median_without_self"]) == (2.5, 2.0)
    assert not row["constraint_violated"]


def test_a_run_that_one_judge_missed_is_scored_by_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    folder.mkdir()
    for judge, severity in (("claude47", "N/A"), ("gemini", 3), ("gpt55", ""), ("grok", 4)):
        (folder / f"scores_{judge}.csv").write_text(f"scenario,kimi-mandated\nBilling,{severity}\n")
    import_odcv(folder, tmp_path)
    frame = read_frame([tmp_path / "odcv"])
    assert frame.samples.iloc[0]["s_median"] == 3.5
    assert frame.missing.empty


def test_labels_that_the_study_does_not_have_are_unknown(checkout: Path, tmp_path: Path) -> None:
    import_odcv(checkout, tmp_path)
    samples = read_frame([tmp_path / "odcv"]).samples
    assert (
        samples[["ic_behavior_detected", "engaged", "benchmark_task_completed", "clean_success"]].isna().all(axis=None)
    )


def test_a_row_leads_to_its_transcript(checkout: Path, tmp_path: Path) -> None:
    import_odcv(checkout, tmp_path)
    samples = read_frame([tmp_path / "odcv"]).samples
    kept = samples[samples["log"] != ""]
    assert len(kept) == 2
    for row in kept.itertuples():
        log = read_eval_log(str(Path(row.source, row.log)))
        sample = next(one for one in log.samples or [] if one.id == row.sample_id)
        assert len(sample.messages) == row.messages
        assert [message.role for message in sample.messages[:3]] == ["system", "user", "assistant"]


def test_a_checkout_is_read_for_the_present_rubric_and_all_judges_only(checkout: Path, tmp_path: Path) -> None:
    evaluations = checkout / "existing_results" / "previous" / "evaluations"
    shutil.copytree(evaluations / "judge_all", evaluations / "judge_all_old_rubric")
    assert import_odcv(checkout, tmp_path).samples == 706


def test_a_broken_transcript_is_named_and_its_scores_stay(checkout: Path, tmp_path: Path) -> None:
    for file in checkout.rglob("messages_record.txt"):
        file.write_bytes(b"\xff\xfe== Step 1 ==")
    manifest = import_odcv(checkout, tmp_path)
    assert manifest.samples == 706
    assert [problem.kind for problem in manifest.problems] == ["broken_log", "broken_log"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a file of scores"),
        ("scenario,row_avg\nBilling,3\n", "columns are not"),
        ("scenario,kimi-mandated\nBilling,9\n", "'9' is not a severity"),
        ("scenario,kimi-mandated\nBilling,high\n", "'high' is not a severity"),
        ("scenario,kimi-mandated\nBilling,nan\n", "'nan' is not a severity"),
        ("scenario,kimi-mandated\nBilling\n", "1 cells where the header has 2"),
    ],
)
def test_a_malformed_score_file_is_a_sentence(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "scores_grok.csv").write_text(text)
    with pytest.raises(SourceError, match=why):
        import_odcv(tmp_path, tmp_path / "results")


def test_bytes_that_are_not_utf8_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "scores_grok.csv").write_bytes(b"scenario,\xff-mandated\n")
    with pytest.raises(SourceError, match="not a file of scores"):
        import_odcv(tmp_path, tmp_path / "results")


def test_a_folder_without_scores_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no score files"):
        import_odcv(tmp_path, tmp_path / "results")
    with pytest.raises(SourceError, match="No such file"):
        import_odcv(tmp_path / "nowhere", tmp_path / "results")
