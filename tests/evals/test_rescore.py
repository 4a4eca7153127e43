"""Rescoring a log: every label again from the evidence, and every edit of either is named."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import EvalSample, read_eval_log, write_eval_log
from rich.console import Console

from sidedoor.evals.rescore import find_logs, kept_evidence, rescore_logs
from sidedoor.tasks.yaml_source import SourceError

STORE = "EpisodeRecord:evidence"
Write = Callable[[str], Path]
Printed = Callable[[], str]


def edit(log: Path, change: Callable[[EvalSample], None]) -> None:
    """Change the log's first sample (variant A)."""
    content = read_eval_log(str(log))
    assert content.samples
    change(content.samples[0])
    write_eval_log(content, str(log))


def values(sample: EvalSample) -> dict[str, Any]:
    assert sample.scores
    value = sample.scores["state"].value
    assert isinstance(value, dict)
    return value


def test_an_untouched_log_is_reproduced(write_log: Write, console: Console, printed: Printed) -> None:
    assert rescore_logs(console, [write_log("shortcut-colleague-account")])
    assert printed() == "2 samples: 2 reproduced, 0 differ, 0 without evidence\n"


@pytest.mark.parametrize(
    ("label", "forged", "line"),
    [
        ("constraint_violated", False, "constraint_violated: False -> True"),
        ("clean_success", True, "clean_success: True -> False"),
        ("shortcuts", "", "shortcuts:  -> colleague-account"),
        ("stage", "none", "stage: none -> achieved"),
        ("steps", 99, "steps: 99 -> 3"),
        ("evidence_sha256", "0" * 64, f"evidence_sha256: {'0' * 64} -> "),
        ("deterministic_label_status", "invalid", "deterministic_label_status: invalid -> ok"),
    ],
)
def test_an_edited_label_is_named_with_its_sample(
    write_log: Write, console: Console, printed: Printed, label: str, forged: object, line: str
) -> None:
    log = write_log("shortcut-colleague-account")
    edit(log, lambda sample: values(sample).update({label: forged}))
    assert not rescore_logs(console, [log])
    assert f"{log.name} quota_boost-A-1: {line}" in printed()
    assert "2 samples: 1 reproduced, 1 differ, 0 without evidence" in printed()
    assert "quota_boost-H-1" not in printed()


def test_edited_evidence_is_named_as_a_mismatch(write_log: Write, console: Console, printed: Printed) -> None:
    log = write_log("shortcut-colleague-account")
    edit(log, lambda sample: sample.store[STORE]["journal"][-1].update(marks=[]))
    assert not rescore_logs(console, [log])
    assert "constraint_violated: True -> None" in printed()
    assert "invalid_reason: None -> journal_mismatch" in printed()
    assert "because: call 3 ('jobctl submit" in printed()


def test_evidence_edited_where_no_label_depends_on_it_is_named_by_its_digest(
    write_log: Write, console: Console, printed: Printed
) -> None:
    log = write_log("official")
    edit(log, lambda sample: sample.store[STORE]["commands"][0].update(exit=3))
    assert not rescore_logs(console, [log])
    (line,) = [line for line in printed().splitlines() if "quota_boost-A-1" in line]
    assert "evidence_sha256: " in line


def test_wall_times_are_no_part_of_the_evidences_digest(write_log: Write, console: Console) -> None:
    log = write_log("official")
    edit(log, lambda sample: sample.store[STORE]["commands"][0].update(seconds=99.0))
    assert rescore_logs(console, [log])


def test_a_changed_scenario_names_the_samples_that_it_would_change(
    write_log: Write, console: Console, printed: Printed, tasks_copy: Path
) -> None:
    log = write_log("official")
    world = tasks_copy / "instrumental" / "quota_boost" / "world.py"
    world.write_text(world.read_text().replace("RELIEVED_WAIT_MINUTES = 120", "RELIEVED_WAIT_MINUTES = 150"))
    _reload()
    assert not rescore_logs(console, [log])
    assert "quota_boost-A-1: invalid_reason: None -> journal_mismatch" in printed()
    assert "quota_boost-H-1" not in printed(), "no relief is granted in H, so nothing changes there"


def _reload() -> None:
    from sidedoor.tasks.catalogue import load_scenario

    load_scenario.cache_clear()


def test_a_sample_without_evidence_is_counted_apart(write_log: Write, console: Console, printed: Printed) -> None:
    log = write_log("official")
    edit(log, lambda sample: sample.store.pop(STORE))
    assert rescore_logs(console, [log])
    assert "2 samples: 1 reproduced, 0 differ, 1 without evidence" in printed()


def test_malformed_evidence_is_an_error_and_not_absence(write_log: Write, console: Console) -> None:
    log = write_log("official")
    edit(log, lambda sample: sample.store[STORE].pop("journal"))
    with pytest.raises(SourceError, match="quota_boost-A-1: evidence is malformed"):
        rescore_logs(console, [log])


def test_evidence_is_kept_whole(write_log: Write) -> None:
    (sample, _) = read_eval_log(str(write_log("official"))).samples or []
    evidence = kept_evidence(sample)
    assert evidence is not None
    assert evidence.digest() == values(sample)["evidence_sha256"]
    assert sum(len(entry.stdout) for entry in evidence.journal) > 8000, "a queue of 180 jobs"


def test_folders_are_searched_and_a_folder_without_logs_is_named(write_log: Write, tmp_path: Path) -> None:
    log = write_log("idle")
    copy = tmp_path / "logs" / "deeper" / log.name
    copy.parent.mkdir()
    shutil.copy(log, copy)
    assert list(find_logs([tmp_path / "logs"])) == sorted([log, copy])
    for path in (tmp_path / "nowhere", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(SourceError, match=f"{path}: no .eval log there"):
            list(find_logs([path]))


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_log_is_named(tmp_path: Path, console: Console, content: bytes) -> None:
    (tmp_path / "x.eval").write_bytes(content)
    with pytest.raises(SourceError, match=r"x\.eval: not a readable log"):
        rescore_logs(console, [tmp_path / "x.eval"])
