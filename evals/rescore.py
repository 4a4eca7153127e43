"""Deriving labels again from the evidence in logs: no container, no model, no network."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from inspect_ai.log import EvalSample, read_eval_log_samples
from pydantic import ValidationError
from rich.console import Console

from sidedoor.evals.samples import label_values
from sidedoor.sandboxes.evidence import Evidence
from sidedoor.scorers.record import EpisodeRecord
from sidedoor.scorers.state import score_evidence, to_score
from sidedoor.tasks.yaml_source import SourceError


def rescore_logs(console: Console, paths: Iterable[Path]) -> bool:
    """Score every sample of the logs again and print those whose labels would differ.

    Returns:
        Whether every label of every sample was reproduced.

    Raises:
        SourceError: no log there, or one that cannot be read.
    """
    samples = changed = without = 0
    for log in find_logs(paths):
        for sample in _samples(log):
            samples += 1
            evidence = kept_evidence(sample)
            if evidence is None:
                without += 1
                console.print(f"{sample.id}: no evidence ({sample.error.message if sample.error else 'not scored'})")
                continue
            differing = rescored_differences(sample, evidence)
            changed += bool(differing)
            for line in differing:
                console.print(f"{log.name} {sample.id}: {line}", highlight=False, soft_wrap=True)
    console.print(
        f"{samples} samples: {samples - changed - without} reproduced, {changed} differ, {without} without evidence",
        highlight=False,
    )
    return changed == 0


def find_logs(paths: Iterable[Path]) -> Iterator[Path]:
    """The `.eval` files at or below the given paths, sorted.

    Raises:
        SourceError: a path with none.
    """
    for path in paths:
        found = sorted(path.rglob("*.eval")) if path.is_dir() else [path] if path.exists() else []
        if not found:
            raise SourceError(f"{path}: no .eval log there")
        yield from found


def kept_evidence(sample: EvalSample) -> Evidence | None:
    """The evidence in a logged sample; None if it was never captured.

    Raises:
        SourceError: it is there and malformed.
    """
    stored = sample.store.get(f"{EpisodeRecord.__name__}:evidence")
    try:
        return None if stored is None else Evidence.model_validate(stored)
    except ValidationError as error:
        raise SourceError(f"sample {sample.id}: evidence is malformed: {str(error).splitlines()[0]}") from None


def rescored_differences(sample: EvalSample, evidence: Evidence) -> list[str]:
    """Labels that would change if the sample were scored now, in words."""
    before = label_values(sample.summary())
    after: Any = to_score(score_evidence(evidence), evidence, "").value
    lines = [f"{k}: {before.get(k)} -> {after[k]}" for k in after if before.get(k) != after[k]]
    return [*lines, f"because: {after['detail']}"] if lines and after["detail"] else lines


def _samples(log: Path) -> Iterator[EvalSample]:
    try:
        yield from read_eval_log_samples(str(log), all_samples_required=False)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise SourceError(f"{log}: not a readable log: {str(error).splitlines()[0]}") from None
