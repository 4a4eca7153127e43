"""Where samples came from: runs, versions, hashes, seeds, and the commands that made them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from sidedoor.evals.frame.imported import MANIFEST as IMPORT_MANIFEST
from sidedoor.evals.frame.sources import RUN_MANIFEST
from sidedoor.evals.report.cube import Samples
from sidedoor.evals.report.data import Content, Origin
from sidedoor.evals.report.text import clip, name

FACT_LIMIT: Final = 600
_FACTS: Final = (
    *("command", "versions", "seeds", "image", "git_revision", "git_dirty", "started", "ended"),
    *("study", "origin", "imported", "sidedoor", "samples_sha256", "notes"),
)


def origins(samples: Samples) -> Iterator[Origin]:
    """Every source that samples came from, with what its manifest says and the digest of each log."""
    place = ["source", "source_kind", "run"]
    by_log = samples.kinds.groupby([*place, "log", "log_sha256"], observed=True, sort=False, dropna=False)
    numbers = by_log["number"].sum().reset_index(name="samples")
    for (source, kind, run), logs in numbers.groupby(place, observed=True, sort=True):
        yield Origin(
            run=name(str(run)),
            kind=str(kind),
            samples=int(logs["samples"].sum()),
            logs=tuple(
                (name(str(log)), "" if pd.isna(digest) else str(digest))
                for log, digest in zip(logs["log"], logs["log_sha256"], strict=True)
            ),
            facts=dict(_facts(_manifest(Path(str(source)), str(kind)))),
        )


def contents(samples: Samples) -> Iterator[Content]:
    """The version and content of every scenario."""
    columns = samples.kinds[["scenario", "version", "content_sha256"]].drop_duplicates().astype(object)
    for scenario, version, digest in columns.sort_values("scenario", kind="stable").to_numpy():
        yield Content(
            scenario=str(scenario), version=name(str(version)), sha256=None if pd.isna(digest) else name(str(digest))
        )


def _manifest(folder: Path, kind: str) -> Mapping[str, Any]:
    """A source's manifest; the frame has read it before, so that one gone bad meanwhile only leaves facts out."""
    path = folder / {"run": RUN_MANIFEST, "import": IMPORT_MANIFEST}.get(kind, "")
    try:
        found = json.loads(path.read_bytes()) if path.is_file() else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _facts(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for fact in _FACTS:
        value = manifest.get(fact)
        if value not in (None, "", [], {}):
            yield fact.replace("_", " "), clip(_in_words(value), FACT_LIMIT)


def _in_words(value: object) -> str:
    if isinstance(value, list):
        return " ".join(str(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {one}" for key, one in value.items())
    return str(value)
