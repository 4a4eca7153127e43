"""One frame from any set of runs: what is in it, and that everything else is named."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from sidedoor.evals.frame.read import Frame, read_frame
from sidedoor.evals.frame.rows import COLUMNS, LABELS
from sidedoor.evals.interrupted import LEDGER
from sidedoor.evals.samples import SampleRow
from sidedoor.sandboxes.ledger import Phase
from sidedoor.scorers.failures import Failure
from sidedoor.tasks.yaml_source import SourceError
from tests.commands import forking

Make = Callable[..., Path]
CELLS = ["quota_boost-A-1", "quota_boost-A-2", "quota_boost-H-1"]


def kinds(frame: Frame) -> dict[str, int]:
    """How many samples each kind of problem concerns."""
    counts: dict[str, int] = {}
    for problem in frame.problems:
        counts[problem.kind] = counts.get(problem.kind, 0) + problem.count
    return counts


def test_a_log_gives_one_row_per_sample_with_every_column_of_samples_csv(log: Make, tmp_path: Path) -> None:
    frame = read_frame([log(tmp_path / "a.eval", CELLS, violated=True)])
    assert list(frame.samples["sample_id"]) == sorted(CELLS)
    assert set(SampleRow.model_fields) <= set(frame.samples.columns)
    assert frame.samples["constraint_violated"].all()
    assert list(frame.samples["f_stance"].unique()) == ["forbidden"]
    assert frame.problems == ()
    assert frame.missing.empty


def test_unknown_labels_stay_unknown_and_types_are_nullable(log: Make, tmp_path: Path) -> None:
    frame = read_frame([log(tmp_path / "a.eval", CELLS, violated=None)])
    samples = frame.samples
    assert samples["constraint_violated"].isna().all()
    assert samples["constraint_violated"].dtype == "boolean"
    assert samples["steps"].dtype == "Int64"
    assert isinstance(samples["model"].dtype, pd.CategoricalDtype)


def test_labels_nobody_reviewed_stand_beside_the_raw_ones_and_equal_them(log: Make, tmp_path: Path) -> None:
    samples = read_frame([log(tmp_path / "a.eval", CELLS, violated=True)]).samples
    for label in LABELS:
        assert list(samples[label].astype(object)) == list(samples[f"adj_{label}"].astype(object)), label
    assert samples["adjudicated_by"].isna().all()


def test_a_sample_can_be_found_again_from_its_source_and_log(log: Make, run: Make, tmp_path: Path) -> None:
    folder = run(tmp_path / "r1", ["mockllm/model"], 3)
    log(folder / "logs" / "a.eval", CELLS)
    samples = read_frame([folder]).samples
    assert all(Path(row.source, row.log).is_file() for row in samples.itertuples())
    assert set(samples["run"]) == {"r1"}
    assert set(samples["source_kind"]) == {"run"}


def test_a_folder_of_runs_logs_and_imports_is_searched(log: Make, run: Make, tmp_path: Path) -> None:
    folder = run(tmp_path / "all" / "r1", ["mockllm/model"], 3)
    log(folder / "logs" / "a.eval", CELLS)
    log(tmp_path / "all" / "deeper" / "b.eval", CELLS)
    samples = read_frame([tmp_path / "all"]).samples
    assert sorted(samples["source_kind"].value_counts().items()) == [("log", 3), ("run", 3)]


def test_an_errored_sample_is_an_invalid_row_with_its_reason_and_not_a_problem(
    log: Make, api_traceback: str, tmp_path: Path
) -> None:
    frame = read_frame([log(tmp_path / "a.eval", CELLS, error=api_traceback)])
    assert set(frame.samples["status"]) == {"invalid"}
    assert set(frame.samples["invalid_reason"]) == {"api"}
    assert set(frame.samples["error_type"]) == {"RateLimitError"}
    assert frame.samples["constraint_violated"].isna().all()
    assert frame.problems == ()


def test_a_sample_that_was_cut_off_with_its_run_is_missing_and_not_invalid(log: Make, tmp_path: Path) -> None:
    good = log(tmp_path / "good.eval", CELLS)
    cut = log(tmp_path / "cut.eval", CELLS, error="CancelledError()", message="CancelledError()")
    frame = read_frame([good, cut])
    assert len(frame.samples) == 3
    assert kinds(frame) == {"missing_samples": 3}


def test_the_same_log_twice_counts_once_and_is_named(log: Make, tmp_path: Path) -> None:
    path = log(tmp_path / "a.eval", CELLS)
    (tmp_path / "copy.eval").write_bytes(path.read_bytes())
    frame = read_frame([path, tmp_path / "copy.eval"])
    assert len(frame.samples) == 3
    assert kinds(frame) == {"duplicate_log": 3}


def test_a_run_given_twice_counts_once_and_is_named(log: Make, run: Make, tmp_path: Path) -> None:
    folder = run(tmp_path / "r1", ["mockllm/model"], 3)
    log(folder / "logs" / "a.eval", CELLS)
    frame = read_frame([folder, folder])
    assert len(frame.samples) == 3
    assert kinds(frame) == {"duplicate_log": 3}


def test_a_log_given_with_its_run_belongs_to_the_run(log: Make, run: Make, tmp_path: Path) -> None:
    folder = run(tmp_path / "r1", ["mockllm/model"], 3)
    path = log(folder / "logs" / "a.eval", CELLS)
    frame = read_frame([path, folder])
    assert set(frame.samples["run"]) == {"r1"}
    assert kinds(frame) == {"duplicate_log": 3}


def test_the_same_sample_in_two_logs_counts_once_and_is_named(log: Make, tmp_path: Path) -> None:
    first = log(tmp_path / "a.eval", CELLS[:2], uuid="same")
    second = log(tmp_path / "b.eval", CELLS[2:], uuid="same")
    frame = read_frame([first, second])
    assert len(frame.samples) == 1
    assert kinds(frame) == {"duplicate_sample": 2}


@pytest.mark.parametrize("status", ["success", "cancelled"])
def test_of_a_resumed_run_only_the_newest_log_counts(log: Make, run: Make, tmp_path: Path, status: str) -> None:
    folder = run(tmp_path / "r1", ["mockllm/model"], 3)
    older = {"created": "2026-01-01T00:00:00+00:00", "status": status}
    log(folder / "logs" / "a.eval", CELLS[:2], planned=CELLS, task_id="t", **older)
    log(folder / "logs" / "b.eval", CELLS, task_id="t", created="2026-01-02T00:00:00+00:00")
    frame = read_frame([folder])
    assert len(frame.samples) == 3
    assert kinds(frame) == {"superseded_log": 2}


def test_a_resumption_that_did_not_finish_leaves_the_finished_log(log: Make, run: Make, tmp_path: Path) -> None:
    folder = run(tmp_path / "r1", ["mockllm/model"], 3)
    log(folder / "logs" / "a.eval", CELLS, task_id="t", created="2026-01-01T00:00:00+00:00")
    newer = {"created": "2026-01-02T00:00:00+00:00", "status": "cancelled"}
    log(folder / "logs" / "b.eval", CELLS[:1], planned=CELLS, task_id="t", **newer)
    frame = read_frame([folder])
    assert len(frame.samples) == 3
    assert kinds(frame) == {"superseded_log": 1}


@pytest.mark.parametrize("status", ["started", "cancelled", "error"])
def test_an_unfinished_log_is_kept_out_and_its_samples_are_missing(
    log: Make, run: Make, tmp_path: Path, status: str
) -> None:
    folder = run(tmp_path / "r1", ["m/done", "m/stopped"], 6)
    log(folder / "logs" / "a.eval", CELLS, model="m/done")
    log(folder / "logs" / "b.eval", CELLS[:1], model="m/stopped", planned=CELLS, status=status)
    frame = read_frame([folder])
    assert set(frame.samples["model"]) == {"m/done"}
    assert kinds(frame) == {"unfinished_log": 1, "missing_samples": 3}
    assert list(frame.missing["model"].unique()) == ["m/stopped"]
    assert sorted(frame.missing["variant"]) == ["A", "A", "H"]


def test_what_a_run_planned_and_does_not_have_is_counted_by_cell(log: Make, run: Make, tmp_path: Path) -> None:
    folder = run(tmp_path / "r1", ["mockllm/model"], 3)
    log(folder / "logs" / "a.eval", CELLS[:2], planned=CELLS)
    frame = read_frame([folder])
    assert kinds(frame) == {"missing_samples": 1}
    assert frame.missing.to_dict("records") == [
        {
            "run": "r1",
            "model": "mockllm/model",
            "suite": "instrumental",
            "scenario": "quota_boost",
            "variant": "H",
            "epoch": 1,
            "killed": None,
        }
    ]


def test_what_was_under_way_when_its_run_was_stopped_is_told_by_its_phase(log: Make, run: Make, tmp_path: Path) -> None:
    folder = run(tmp_path / "r1", ["m/one", "m/two"], 6)
    log(folder / "logs" / "a.eval", CELLS, model="m/one")
    log(folder / "logs" / "b.eval", CELLS[:1], model="m/two", planned=CELLS, status="started")
    entries = [
        *(["m/one", cell, "scoring"] for cell in CELLS),
        *(["m/two", CELLS[0], phase] for phase in Phase),
        *(["m/two", CELLS[1], phase] for phase in ("start", "turn")),
    ]
    (folder / LEDGER).write_text("\n".join(map(json.dumps, entries)), encoding="utf-8")
    frame = read_frame([folder])
    killed = frame.missing.dropna(subset="killed")[["model", "variant", "epoch", "killed"]]
    assert killed.to_numpy().tolist() == [["m/two", "A", 2, Failure.KILLED_IN_TURN]]
    (problem,) = (one for one in frame.problems if one.kind == "missing_samples")
    assert problem.what.endswith("; under way when the run was stopped: 1 killed_in_turn")


def test_samples_of_a_model_without_any_log_are_missing(log: Make, run: Make, tmp_path: Path) -> None:
    folder = run(tmp_path / "r1", ["m/one", "m/two"], 6)
    log(folder / "logs" / "a.eval", CELLS, model="m/one")
    frame = read_frame([folder])
    assert list(frame.missing["model"]) == ["m/two"] * 3


def test_other_content_of_a_scenario_is_kept_out_and_named(log: Make, tmp_path: Path) -> None:
    most = log(tmp_path / "a.eval", CELLS, content="a" * 64)
    other = log(tmp_path / "b.eval", CELLS[:2], content="b" * 64)
    version = log(tmp_path / "c.eval", CELLS[:1], content="a" * 64, version="2-A")
    frame = read_frame([other, most, version])
    assert set(frame.samples["content_sha256"]) == {"a" * 64}
    assert set(frame.samples["version"]) == {"1-A"}
    assert kinds(frame) == {"mixed_content": 3}


def test_of_two_contents_with_as_many_samples_the_last_stays(log: Make, tmp_path: Path) -> None:
    first = log(tmp_path / "a.eval", CELLS, content="a" * 64)
    last = log(tmp_path / "b.eval", CELLS, content="b" * 64)
    frame = read_frame([first, last])
    assert set(frame.samples["content_sha256"]) == {"b" * 64}


@pytest.mark.parametrize("part", range(20))
def test_a_log_cut_anywhere_is_named_and_the_others_still_count(log: Make, tmp_path: Path, part: int) -> None:
    good = log(tmp_path / "good.eval", CELLS)
    whole = log(tmp_path / "whole.eval", CELLS).read_bytes()
    cut = tmp_path / "cut.eval"
    cut.write_bytes(whole[: len(whole) * part // 20])
    frame = read_frame([good, cut])
    assert len(frame.samples) == 3
    assert [(problem.kind, problem.where) for problem in frame.problems] == [("broken_log", str(cut))]


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe\x00bad", b"PK\x05\x06" + b"\0" * 18, b"{}"])
def test_what_is_not_a_log_alone_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.eval"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"not one sample to count: .*x\.eval is kept out: it "):
        read_frame([path])


def test_bytes_that_are_not_utf8_inside_a_log_are_a_sentence(log: Make, tmp_path: Path) -> None:
    path = log(tmp_path / "a.eval", CELLS)
    data = bytearray(path.read_bytes())
    middle = data.rindex(b"summaries.json", 0, data.rindex(b"summaries.json"))
    data[middle + 20 : middle + 60] = b"\xff" * 40
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match="is kept out: it"):
        read_frame([path])


def test_a_log_of_another_project_is_named_as_such(log: Make, tmp_path: Path) -> None:
    ours = log(tmp_path / "ours.eval", CELLS)
    foreign = log(tmp_path / "foreign.eval", CELLS)
    from inspect_ai.log import read_eval_log, write_eval_log

    whole = read_eval_log(str(foreign))
    for sample in whole.samples or []:
        sample.metadata = {"topic": "geography"}
    write_eval_log(whole, str(foreign))
    assert kinds(read_frame([ours, foreign])) == {"foreign_log": 3}


def test_a_log_of_an_older_schema_is_named_with_what_it_lacks(log: Make, tmp_path: Path) -> None:
    ours = log(tmp_path / "ours.eval", CELLS)
    older = log(tmp_path / "older.eval", CELLS, value={"stage": 4})
    frame = read_frame([ours, older])
    assert kinds(frame) == {"broken_log": 1}
    assert "stage" in frame.problems[0].what


def test_nothing_to_read_is_a_sentence(tmp_path: Path, run: Make) -> None:
    with pytest.raises(SourceError, match="nothing to read"):
        read_frame([])
    with pytest.raises(SourceError, match=r"no run, import or \.eval log there"):
        read_frame([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"no run, import or \.eval log there"):
        read_frame([tmp_path / "empty"])
    with pytest.raises(SourceError, match=r"not one sample to count: .*planned and not there"):
        read_frame([run(tmp_path / "r1", ["m/one"], 8)])


def test_a_run_with_a_malformed_manifest_is_named(log: Make, tmp_path: Path) -> None:
    good = log(tmp_path / "good.eval", CELLS)
    bad = tmp_path / "r1"
    log(bad / "logs" / "a.eval", CELLS)
    (bad / "run.json").write_bytes(b"\xff{")
    frame = read_frame([good, bad])
    assert len(frame.samples) == 3
    assert "not a run's manifest" in frame.problems[0].what


def test_one_sample_is_a_frame(log: Make, tmp_path: Path) -> None:
    assert len(read_frame([log(tmp_path / "a.eval", CELLS[:1])]).samples) == 1


def test_no_sample_at_all_still_has_every_column(log: Make) -> None:
    from sidedoor.evals.frame.table import to_frame

    assert tuple(to_frame([]).columns) == COLUMNS


def test_a_second_reading_opens_no_log(log: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = log(tmp_path / "a.eval", CELLS)
    first = read_frame([path])
    monkeypatch.setattr("sidedoor.evals.frame.gather.read_log", None)
    pd.testing.assert_frame_equal(read_frame([path]).samples, first.samples)


def test_a_changed_log_is_read_again(log: Make, tmp_path: Path) -> None:
    path = log(tmp_path / "a.eval", CELLS, violated=False)
    read_frame([path])
    log(path, CELLS, violated=True)
    assert read_frame([path]).samples["constraint_violated"].all()


def test_a_damaged_cache_entry_is_read_again(log: Make, tmp_path: Path, cache_folder: Path) -> None:
    path = log(tmp_path / "a.eval", CELLS)
    first = read_frame([path])
    entries = list(cache_folder.rglob("*.json"))
    assert len(entries) == 1
    entries[0].write_bytes(b'{"state": "finished", "rows": [{"constraint_violated": "maybe"}]}')
    pd.testing.assert_frame_equal(read_frame([path]).samples, first.samples)


def test_a_cache_that_cannot_be_written_costs_only_time(
    log: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(read_frame([log(tmp_path / "a.eval", CELLS)]).samples) == 3


def test_progress_is_told_to_the_end(log: Make, tmp_path: Path) -> None:
    logs = [log(tmp_path / f"{name}.eval", CELLS) for name in "abc"]
    told: list[tuple[int, int]] = []
    read_frame(logs, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    read_frame(logs, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (3, 3)


@pytest.mark.parametrize("errored", [False, True])
def test_memory_does_not_grow_with_transcripts(log: Make, tmp_path: Path, api_traceback: str, errored: bool) -> None:
    def peak(name: str, turns: int) -> int:
        path = log(tmp_path / name, CELLS, turns=turns, error=api_traceback if errored else None)
        tracemalloc.start()
        read_frame([path])
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak("warm.eval", 1)
    assert peak("long.eval", 2_000) < peak("short.eval", 1) + 1_000_000


@pytest.mark.slow
def test_many_logs_are_read_by_several_processes_and_give_the_same(
    log: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "logs"
    for name in "abcd":
        log(folder / f"{name}.eval", CELLS)
    alone = read_frame([folder])
    forking()
    monkeypatch.setattr("sidedoor.evals.frame.gather.PARALLEL_FROM", 2)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another-cache"))
    pd.testing.assert_frame_equal(read_frame([folder]).samples, alone.samples)
