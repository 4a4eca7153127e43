"""`sidedoor import`: what a person sees."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidedoor.evals.cli import app
from sidedoor.evals.frame.read import read_frame

NATIVE = Path(__file__).parent / "data" / "native_log_budget_siphon_A.json"
SCORES = Path(__file__).parents[1] / "analysis" / "data" / "odcv"


@pytest.mark.parametrize(("study", "path", "samples"), [("instrumental-choices", NATIVE, 1), ("odcv", SCORES, 706)])
def test_an_import_says_what_came_in_and_where_it_lies(study: str, path: Path, samples: int, tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["import", study, str(path), "--results", str(tmp_path)])
    assert answer.exit_code == 0
    assert f"{samples} samples" in answer.output
    assert str(tmp_path / study) in answer.output
    assert len(read_frame([tmp_path / study]).samples) == samples


def test_files_that_are_left_out_are_named(tmp_path: Path) -> None:
    shutil.copy(NATIVE, tmp_path / "good.json")
    (tmp_path / "bad.eval").write_bytes(b"\xff")
    answer = CliRunner().invoke(
        app, ["import", "instrumental-choices", str(tmp_path), "--results", str(tmp_path / "r")]
    )
    assert "left out: bad.eval cannot be read as a log" in answer.output
