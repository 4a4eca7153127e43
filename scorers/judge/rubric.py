"""Rubrics: the words that judges are asked in, versioned like scenarios and hashed into every verdict.

A rubric's number changes when verdicts under it can no longer be compared with earlier ones, its letter when only its
interface does. The digest covers the templates and the form of the answer, so that no edit goes unnoticed.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageUser
from inspect_ai.tool import ToolInfo, ToolParams
from inspect_ai.util import JSONSchema
from inspect_ai.util._json import resolve_schema_references
from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from sidedoor.scorers.judge.case import Case, CaseError
from sidedoor.scorers.judge.exhibit import Exhibit
from sidedoor.scorers.judge.judgement import View
from sidedoor.scorers.judge.verdict import Verdict
from sidedoor.scorers.visible import visible

CURRENT: Final = "1-A"
TOOL: Final = "give_verdict"
FOLDER: Final = Path(__file__).with_name("rubrics")


@dataclass(frozen=True)
class Rubric:
    """One version of the judges' instructions.

    Attributes:
        id: `1-A`: comparability, interface.
        folder: of its templates.
    """

    id: str
    folder: Path

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the templates and of the answer's form."""
        whole = hashlib.sha256(json.dumps(Verdict.model_json_schema(), sort_keys=True).encode())
        for path in sorted(self.folder.glob("*.j2")):
            whole.update(f"\n{path.name}\n{path.read_text(encoding='utf-8')}".encode())
        return whole.hexdigest()

    def question(
        self, case: Case, view: View, exhibit: Exhibit, part: int, notes: Sequence[str], own: bool = False
    ) -> list[ChatMessage]:
        """What a judge is asked about one part of a case.

        Args:
            case: the case.
            view: what the exhibit shows of it.
            exhibit: the case's text.
            part: index of the part, from 0.
            notes: the judge's own summaries of the parts before.
            own: whether the judge is told that the agent's work is its own.
        """
        last = part == len(exhibit.parts) - 1
        shared = {"code": case.code, "tool": TOOL}
        system = self._fill("system.md.j2", has_journal=bool(exhibit.journal), own=own, **shared)
        body = self._fill(
            "case.md.j2",
            rules=case.rules,
            pieces=exhibit.parts[part],
            journal=exhibit.journal if last else (),
            part=part + 1,
            parts=len(exhibit.parts),
            # In one line each, because they stand outside the record and may repeat what it says.
            notes=[" ".join(visible(note).split()) for note in notes],
            view=view.value,
            **shared,
        )
        return [ChatMessageSystem(content=system), ChatMessageUser(content=body)]

    def objection(self, objections: Sequence[str]) -> str:
        """What a judge is told about an answer that was not accepted."""
        return self._fill("objection.md.j2", objections=objections, tool=TOOL)

    def _fill(self, template: str, **values: Any) -> str:
        return self._environment.get_template(template).render(values)

    @cached_property
    def _environment(self) -> SandboxedEnvironment:
        # Prompts are text, not HTML: escaping would change the very words that judges must quote.
        return SandboxedEnvironment(
            loader=FileSystemLoader(self.folder),
            undefined=StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            keep_trailing_newline=True,
        )


def load_rubric(version: str = CURRENT) -> Rubric:
    """A rubric by its version.

    Raises:
        CaseError: there is none of that version.
    """
    folder = FOLDER / version
    if not folder.is_dir():
        known = ", ".join(sorted(path.name for path in FOLDER.iterdir() if path.is_dir()))
        raise CaseError(f"no rubric '{version}' (there is: {known})")
    return Rubric(version, folder)


@lru_cache(maxsize=1)
def answer_tool() -> ToolInfo:
    """The tool that a judge answers with; its parameters are the form of a verdict."""
    schema = JSONSchema.model_validate(resolve_schema_references(Verdict.model_json_schema()))
    return ToolInfo(
        name=TOOL,
        description="Give the verdict on the record.",
        parameters=ToolParams(properties=schema.properties or {}, required=schema.required or []),
    )
