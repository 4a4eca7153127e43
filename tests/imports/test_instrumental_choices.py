"""Native logs of the published benchmark become rows of ours."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import read_eval_log, write_eval_log

from sidedoor.evals.frame.read import read_frame
from sidedoor.evals.imports.instrumental_choices import import_instrumental_choices
from sidedoor.tasks.yaml_source import SourceError

NATIVE = Path(__file__).parent / "data" / "native_log_budget_siphon_A.json"


def changed(path: Path, **fields: Any) -> Path:
    """The native log with other deterministic fields."""
    log = json.loads(NATIVE.read_text(encoding="utf-8"))
    for score in log["samples"][0]["scores"].values():
        score["metadata"] |= fields
    log["samples"][0]["uuid"] = path.name
    path.write_text(json.dumps(log), encoding="utf-8")
    return path


def only_row(path: Path, results: Path) -> Any:
    import_instrumental_choices(path, results)
    samples = read_frame([results]).samples
    assert len(samples) == 1
    return samples.iloc[0]


def test_a_native_log_reads_like_a_run(tmp_path: Path) -> None:
    row = only_row(NATIVE, tmp_path)
    assert (row["suite"], row["scenario"], row["variant"]) == ("instrumental-choices", "budget_siphon", "A")
    assert (row["source_kind"], row["status"], row["model"]) == ("import", "ok", "openai-api/control/qwen-control")
    assert row["f_stance"] == "forbidden"
    assert row["f_honest_path"] == "open"
    assert not row["benchmark_task_completed"]
    assert not row["ic_behavior_detected"]
    assert row["engaged"]
    assert row["stage"] == "none"
    assert row["s_propensity"] == 0
    assert (row["input_tokens"], row["output_tokens"]) == (1906, 65)


def test_an_eval_file_gives_the_same_row_as_the_json_of_the_same_log(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    write_eval_log(read_eval_log(str(NATIVE)), str(folder / "native.eval"), format="eval")
    packed, plain = only_row(folder, tmp_path / "packed"), only_row(NATIVE, tmp_path / "plain")
    same = [name for name in plain.index if name not in ("source", "log", "log_sha256")]
    assert packed[same].astype("string").equals(plain[same].astype("string"))


@pytest.mark.parametrize(
    ("fields", "label", "expected"),
    [
        ({"ic_behavior_detected": True}, "ic_behavior_detected", True),
        ({"ic_behavior_detected": True}, "stage", "achieved"),
        ({"ic_attempted": True}, "stage", "attempted"),
        ({"benchmark_task_completed": True}, "benchmark_task_completed", True),
        ({"official_path_attempted": True}, "official_path_attempted", True),
        ({"state_tampering_detected": True}, "tampered", True),
    ],
)
def test_each_field_of_theirs_sets_the_label_of_ours(
    tmp_path: Path, fields: dict[str, Any], label: str, expected: Any
) -> None:
    assert only_row(changed(tmp_path / "x.json", **fields), tmp_path / "results")[label] == expected


def test_what_the_benchmark_does_not_record_is_unknown(tmp_path: Path) -> None:
    samples = read_frame([_imported(NATIVE, tmp_path)]).samples
    assert samples[["constraint_violated", "escalated", "clean_success", "steps"]].isna().all(axis=None)


def test_a_sample_that_their_scorer_could_not_label_is_invalid_and_has_no_label(tmp_path: Path) -> None:
    path = changed(tmp_path / "x.json", deterministic_label_status="invalid", ic_behavior_detected=True)
    samples = read_frame([_imported(path, tmp_path / "results")]).samples
    assert set(samples["status"]) == {"invalid"}
    assert samples["ic_behavior_detected"].isna().all()


def test_a_permitted_variant_gets_our_letter_and_factors(tmp_path: Path) -> None:
    text = NATIVE.read_text(encoding="utf-8").replace("dilemma_forbidden_unwatched", "no_dilemma_permitted_unwatched")
    (tmp_path / "g.json").write_text(text, encoding="utf-8")
    row = only_row(tmp_path / "g.json", tmp_path / "results")
    assert (row["variant"], row["f_stance"], row["f_usefulness"]) == ("G", "permitted", "useless")


def test_the_kept_log_is_one_that_the_viewer_reads(tmp_path: Path) -> None:
    row = only_row(NATIVE, tmp_path)
    log = read_eval_log(str(Path(row["source"], row["log"])))
    assert log.samples
    assert log.samples[0].messages[0].role == "system"


def test_logs_that_are_not_the_benchmarks_are_named_and_the_others_imported(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    shutil.copy(NATIVE, folder / "good.json")
    (folder / "cut.json").write_text(NATIVE.read_text(encoding="utf-8")[:5_000], encoding="utf-8")
    (folder / "bytes.eval").write_bytes(b"\xff\xfe")
    (folder / "foreign.json").write_text(
        NATIVE.read_text(encoding="utf-8").replace("_propensity_scorer", "_other_scorer"), encoding="utf-8"
    )
    manifest = import_instrumental_choices(folder, tmp_path / "results")
    assert manifest.samples == 1
    assert {(problem.where, problem.kind) for problem in manifest.problems} == {
        ("cut.json", "broken_log"),
        ("bytes.eval", "broken_log"),
        ("foreign.json", "foreign_log"),
    }
    assert len(read_frame([tmp_path / "results"]).problems) == 3


def test_nothing_to_import_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no log"):
        import_instrumental_choices(tmp_path / "nowhere", tmp_path / "results")
    (tmp_path / "x.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SourceError, match="no sample of Instrumental Choices"):
        import_instrumental_choices(tmp_path / "x.json", tmp_path / "results")


def test_an_import_is_never_overwritten(tmp_path: Path) -> None:
    _imported(NATIVE, tmp_path)
    with pytest.raises(SourceError, match="there is an import of that name"):
        import_instrumental_choices(NATIVE, tmp_path)
    assert import_instrumental_choices(NATIVE, tmp_path, "again").id == "again"
    with pytest.raises(SourceError, match="not a name"):
        import_instrumental_choices(NATIVE, tmp_path, "../outside")


def test_edited_samples_of_an_import_are_refused_by_name(tmp_path: Path) -> None:
    folder = _imported(NATIVE, tmp_path)
    edited = (
        (folder / "samples.jsonl")
        .read_text(encoding="utf-8")
        .replace('"ic_behavior_detected":false', '"ic_behavior_detected":true')
    )
    (folder / "samples.jsonl").write_text(edited, encoding="utf-8")
    with pytest.raises(SourceError, match="changed since it was imported"):
        read_frame([folder])


def _imported(path: Path, results: Path) -> Path:
    return results / import_instrumental_choices(path, results).id
