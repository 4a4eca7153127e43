"""A study on disk: declared once, one judgement per line, whole after any kill."""

from pathlib import Path

import pytest

from sidedoor.evals.judging.study import VERDICTS, Judged, StudyError, StudyFolder, studies
from sidedoor.scorers.judge.judge import judge_case
from sidedoor.scorers.judge.judgement import Judging
from sidedoor.scorers.judge.rubric import Rubric
from tests.judge.conftest import CaseOf, study_of
from tests.judge.judges import constant_no, in_process

STUDY = study_of("openai/judge")


async def judged(case_of: CaseOf, rubric: Rubric, script: str = "official", repeat: int = 1) -> Judged:
    judgement = await judge_case(case_of(script), in_process(constant_no()), rubric, Judging(), repeat)
    return Judged(log="logs/a.eval", sample_id="1", sample_uuid="u", epoch=1, judgement=judgement)


def test_a_declaration_is_kept_and_another_under_its_name_refused(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "panel")
    folder.declare(STUDY)
    folder.declare(STUDY)
    assert folder.read() == STUDY
    with pytest.raises(StudyError, match="declared differently before"):
        folder.declare(study_of("openai/judge", repeats=2))
    assert folder.read() == STUDY


async def test_judgements_come_back_as_they_were(tmp_path: Path, case_of: CaseOf, rubric: Rubric) -> None:
    folder = StudyFolder(tmp_path, "panel")
    folder.declare(STUDY)
    lines = [await judged(case_of, rubric, script) for script in ("official", "near_miss")]
    for line in lines:
        folder.append(line)
    assert folder.judged() == lines


async def test_of_several_judgements_for_one_key_the_last_stands(
    tmp_path: Path, case_of: CaseOf, rubric: Rubric
) -> None:
    folder = StudyFolder(tmp_path, "panel")
    folder.declare(STUDY)
    first = await judged(case_of, rubric)
    later = first.model_copy(update={"log": "logs/b.eval"})
    again = await judged(case_of, rubric, repeat=2)
    for line in (first, again, later):
        folder.append(line)
    assert [one.log for one in folder.judged()] == ["logs/b.eval", "logs/a.eval"]


async def test_a_half_written_last_line_is_dropped_and_written_over(
    tmp_path: Path, case_of: CaseOf, rubric: Rubric
) -> None:
    folder = StudyFolder(tmp_path, "panel")
    folder.declare(STUDY)
    whole, cut = await judged(case_of, rubric), await judged(case_of, rubric, "near_miss")
    folder.append(whole)
    with (folder.path / VERDICTS).open("ab") as file:
        file.write(cut.model_dump_json().encode()[:200])
    assert folder.judged() == [whole]
    folder.declare(STUDY)
    folder.append(cut)
    assert folder.judged() == [whole, cut]


async def test_a_last_line_that_lacks_only_its_end_is_judged_again_and_not_lost_in_the_next(
    tmp_path: Path, case_of: CaseOf, rubric: Rubric
) -> None:
    folder = StudyFolder(tmp_path, "panel")
    folder.declare(STUDY)
    whole, cut = await judged(case_of, rubric), await judged(case_of, rubric, "near_miss")
    folder.append(whole)
    with (folder.path / VERDICTS).open("ab") as file:
        file.write(cut.model_dump_json().encode())  # all but the line feed
    folder.declare(STUDY)
    kept = folder.judged()
    assert kept == [whole]
    folder.append(cut)
    assert folder.judged() == [whole, cut]


async def test_a_damaged_line_in_the_middle_is_an_error_with_its_number(
    tmp_path: Path, case_of: CaseOf, rubric: Rubric
) -> None:
    folder = StudyFolder(tmp_path, "panel")
    folder.declare(STUDY)
    (folder.path / VERDICTS).write_text("{}\n" + (await judged(case_of, rubric)).model_dump_json() + "\n")
    with pytest.raises(StudyError, match="line 1: not a judgement"):
        folder.judged()


def test_a_missing_or_malformed_declaration_says_what_to_do(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "panel")
    with pytest.raises(StudyError, match="judge the run first"):
        folder.read()
    folder.declare(STUDY)
    (folder.path / "study.json").write_text("[]")
    with pytest.raises(StudyError, match="not a study's declaration"):
        folder.read()


def test_the_studies_of_a_run_are_found_by_name(tmp_path: Path) -> None:
    for name in ("second", "first"):
        StudyFolder(tmp_path, name).declare(STUDY)
    assert [folder.path.name for folder in studies(tmp_path)] == ["first", "second"]
