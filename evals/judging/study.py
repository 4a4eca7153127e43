"""A judging study: what was declared, and every judgement under it, in a folder of the run.

    RUN/judging/<name>/study.json       the declaration, written before the first call
    RUN/judging/<name>/verdicts.jsonl   one judgement per line, on disk before the next is paid for

A judgement belongs to a case by the case's digest, so that it survives a re-run of the log that it came from.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from sidedoor.evals.errors import one_line
from sidedoor.scorers.judge.judgement import Judgement, Judging, View
from sidedoor.scorers.judge.panel import Panel

FOLDER: Final = "judging"
DECLARATION: Final = "study.json"
VERDICTS: Final = "verdicts.jsonl"
Key: TypeAlias = tuple[str, str, int]
"""Case digest, judge and repeat: what one judgement of a study is for."""


class StudyError(ValueError):
    """A study cannot be made or read; the message is one line that says what to do."""


class Study(BaseModel):
    """What a judging study declares.

    Attributes:
        schema_version: of this model.
        panel: who judges, and how verdicts become decisions.
        judging: what judges see, and within which bounds they answer.
        rubric: version of the rubric; `rubric_sha256` its digest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    panel: Panel
    judging: Judging
    rubric: str
    rubric_sha256: str


class Judged(BaseModel):
    """One line of `verdicts.jsonl`: a judgement and the sample that it was made on.

    Attributes:
        log: relative to the run's folder.
        sample_id: of the sample in the log; `sample_uuid` likewise.
        epoch: from 1.
        judgement: what came of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    log: str
    sample_id: str
    sample_uuid: str
    epoch: int
    judgement: Judgement

    @property
    def key(self) -> Key:
        """What the judgement is for."""
        return self.judgement.case_sha256, self.judgement.judge, self.judgement.repeat


class StudyFolder:
    """A study on disk.

    Args:
        run: the run's folder.
        name: of the study.
    """

    def __init__(self, run: Path, name: str) -> None:
        self.path = run / FOLDER / name

    def declare(self, study: Study) -> None:
        """Write the declaration, or find that the one there is the same; what a kill left half written is taken away.

        Raises:
            StudyError: another declaration is there, or the folder cannot be written.
        """
        target = self.path / DECLARATION
        if target.exists():
            if self.read() != study:
                raise StudyError(f"{self.path}: declared differently before; choose another --name for this study")
            _cut_unfinished_line(self.path / VERDICTS)
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            text = json.dumps(study.model_dump(mode="json"), indent=2, ensure_ascii=False)
            target.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise StudyError(f"{self.path}: {error.strerror}") from None

    def read(self) -> Study:
        """The declaration.

        Raises:
            StudyError: missing or malformed.
        """
        path = self.path / DECLARATION
        try:
            return Study.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise StudyError(f"{path}: {error.strerror}; judge the run first (sidedoor judge)") from None
        except ValueError as error:
            raise StudyError(f"{path}: not a study's declaration: {one_line(error)}") from None

    def judged(self) -> list[Judged]:
        """Every judgement so far, in order; of several for the same key the last stands.

        Raises:
            StudyError: a line other than an unfinished last one is malformed.
        """
        return list({one.key: one for one in self._lines()}.values())

    def _lines(self) -> Iterator[Judged]:
        path = self.path / VERDICTS
        lines = path.read_bytes().splitlines() if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                yield Judged.model_validate_json(line)
            except ValidationError:
                if number < len(lines):
                    raise StudyError(f"{path}, line {number}: not a judgement; restore the file") from None
                return  # a kill in the middle of the last write: that judgement is made again

    def append(self, judged: Judged) -> None:
        """Put one judgement on disk.

        Raises:
            OSError: it cannot be written.
        """
        line = judged.model_dump_json() + "\n"
        with (self.path / VERDICTS).open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def as_view(name: str) -> View:
    """A view by its name.

    Raises:
        StudyError: there is none of that name.
    """
    if name not in list(View):
        raise StudyError(f"no view '{name}' (there is: {', '.join(View)})")
    return View(name)


def _cut_unfinished_line(path: Path) -> None:
    if path.exists():
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)


def studies(run: Path) -> list[StudyFolder]:
    """The studies of a run, by name."""
    found = sorted((run / FOLDER).glob(f"*/{DECLARATION}"))
    return [StudyFolder(run, path.parent.name) for path in found]
