"""Writing every form of the result at once."""

import json
from pathlib import Path
from typing import Final

from sidedoor.evals.gate.outputs.annotations import to_annotations
from sidedoor.evals.gate.outputs.junit import to_junit
from sidedoor.evals.gate.outputs.markdown import COMMENT_LIMIT, SUMMARY_LIMIT, to_markdown
from sidedoor.evals.gate.outputs.text import to_text
from sidedoor.evals.gate.result import GateResult
from sidedoor.tasks.yaml_source import SourceError

JSON: Final = "gate.json"
JUNIT: Final = "junit.xml"
SUMMARY: Final = "summary.md"
COMMENT: Final = "comment.md"
ANNOTATIONS: Final = "annotations.txt"
TEXT: Final = "gate.txt"


def write_result(folder: Path, result: GateResult) -> None:
    """Write a result into `folder`; all forms are made before the first is written.

    Raises:
        SourceError: the folder cannot be written.
    """
    texts = {
        JSON: json.dumps(result.model_dump(mode="json"), indent=2) + "\n",
        JUNIT: to_junit(result),
        SUMMARY: to_markdown(result, SUMMARY_LIMIT),
        COMMENT: to_markdown(result, COMMENT_LIMIT),
        ANNOTATIONS: to_annotations(result),
        TEXT: to_text(result),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise SourceError(f"cannot write the result to {folder}: {error.strerror}") from None
