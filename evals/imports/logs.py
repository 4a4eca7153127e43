"""Writing transcripts that were not made by Inspect as `.eval` logs, for the viewer and for judges."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, EvalStats, write_eval_log
from inspect_ai.model import ChatMessage, ModelOutput

from sidedoor.tasks.yaml_source import SourceError

Place = tuple[str, int, str]
"""Where a transcript was written: file relative to the import's folder, number of messages, SHA-256 of the file."""


@dataclass(frozen=True)
class Transcript:
    """One episode's messages."""

    model: str
    variant: str
    scenario: str
    messages: tuple[ChatMessage, ...]


def write_transcripts(folder: Path, study: str, transcripts: Iterable[Transcript]) -> dict[tuple[str, str, str], Place]:
    """Write one `.eval` log per model and variant, named after them.

    Returns:
        Place of each transcript by model, variant and scenario.

    Raises:
        SourceError: the folder cannot be written.
    """
    logs: dict[tuple[str, str], list[Transcript]] = defaultdict(list)
    for one in transcripts:
        logs[one.model, one.variant].append(one)
    places: dict[tuple[str, str, str], Place] = {}
    for (model, variant), group in logs.items():
        path = folder / f"{_file_name(f'{model}-{variant}')}.eval"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_eval_log(_log(study, model, variant, group), str(path), format="eval")
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise SourceError(f"cannot write transcripts to {folder}: {error.strerror}") from None
        name = path.relative_to(folder.parent).as_posix()
        places |= {(model, variant, one.scenario): (name, len(one.messages), digest) for one in group}
    return places


def _log(study: str, model: str, variant: str, transcripts: list[Transcript]) -> EvalLog:
    samples = [_sample(study, one) for one in transcripts]
    return EvalLog(
        status="success",
        eval=EvalSpec(
            created="1970-01-01T00:00:00+00:00",  # not recorded by the study; a fixed time keeps the file the same
            task=f"{study}-{variant}",
            dataset=EvalDataset(
                name=study, samples=len(samples), sample_ids=[sample.id for sample in samples], shuffled=False
            ),
            model=model,
            config=EvalConfig(),
            eval_id=_identity(study, model, variant),
            run_id=_identity(study, model),
            task_id=_identity(study, model, variant),
        ),
        stats=EvalStats(),
        samples=samples,
    )


def _sample(study: str, one: Transcript) -> EvalSample:
    return EvalSample(
        id=f"{one.scenario}-{one.variant}",
        epoch=1,
        input=next((message.text for message in one.messages if message.role == "user"), ""),
        target="",
        messages=list(one.messages),
        output=ModelOutput.from_content(one.model, one.messages[-1].text),
        metadata={"study": study, "scenario": one.scenario, "variant": one.variant},
        uuid=_identity(study, one.model, one.variant, one.scenario),
    )


def _identity(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:22]


def _file_name(text: str) -> str:
    """Text as a file name that cannot leave its folder."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip(".")
