"""`sidedoor judge-check`: put the check's cases before a judge, each once, whatever happens in between."""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import anyio
from inspect_ai.model import Model
from rich.console import Console

from sidedoor.evals.judging.check.changes import base_items, invariance_items
from sidedoor.evals.judging.check.items import Item
from sidedoor.evals.judging.check.pairs import sensitivity_items
from sidedoor.evals.judging.check.payloads import injection_items
from sidedoor.evals.judging.check.result import RESULT, CheckResult, Judgements, Question, check_result
from sidedoor.evals.judging.check.structure import structural_escapes
from sidedoor.evals.judging.progress import JudgingProgress
from sidedoor.evals.judging.run import spread, usable_judge
from sidedoor.evals.judging.study import Judged, Study, StudyFolder
from sidedoor.scorers.judge.judge import judge_case
from sidedoor.scorers.judge.rubric import Rubric, load_rubric


@lru_cache(maxsize=1)
def check_items() -> tuple[Item, ...]:
    """Everything that a judge is checked on; rehearsed once per process, which takes some seconds."""
    return (*sensitivity_items(), *base_items(), *invariance_items(), *injection_items())


def check_judge(name: str, study: Study, results: Path, at_once: int, console: Console) -> CheckResult:
    """Check one judge, or go on with a check that was broken off, and keep the result.

    Args:
        name: the judge, as provider/name.
        study: how it is asked; its panel holds this judge alone.
        results: folder that checks are kept in.
        at_once: cases judged at the same time.
        console: for progress.

    Raises:
        StudyError: the judge cannot be used, or the result cannot be kept.
    """
    items, rubric = check_items(), load_rubric(study.rubric)
    question = Question(judge=name, study=study, items_sha256=_digest(items))
    judge = usable_judge(name, at_once)
    folder = check_folder(results, question)
    folder.declare(study)
    judgements = _judged(items, judge, rubric, study, folder, at_once, console)
    escapes = {item.id: found for item in items if (found := structural_escapes(item.case, rubric, study.judging))}
    result = check_result(question, items, judgements, escapes)
    (folder.path / RESULT).write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return result


def check_folder(results: Path, question: Question) -> StudyFolder:
    """Where a check is kept: by judge and by everything that its result depends on."""
    name = re.sub(r"[^A-Za-z0-9.]+", "-", question.judge)
    return StudyFolder(results, f"{name}-{question.digest[:12]}")


def _digest(items: Sequence[Item]) -> str:
    lines = (f"{item.id} {item.broken} {item.case.digest}\n" for item in items)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _judged(
    items: Sequence[Item],
    judge: Model,
    rubric: Rubric,
    study: Study,
    folder: StudyFolder,
    at_once: int,
    console: Console,
) -> Judgements:
    """A judgement for every case; items that share a case share it."""
    kept = {one.judgement.case_sha256: one.judgement for one in folder.judged()}
    made = {digest: one for digest, one in kept.items() if one.undecided != "unavailable"}
    missing = {item.case.digest: item for item in items if item.case.digest not in made}
    progress = JudgingProgress(console, len(missing))

    async def judge_item(item: Item) -> None:
        judgement = await judge_case(item.case, judge, rubric, study.judging)
        folder.append(Judged(log="", sample_id=item.id, sample_uuid="", epoch=1, judgement=judgement))
        made[item.case.digest] = judgement
        progress.step(judgement)

    async def judge_all() -> None:
        await spread(missing.values(), at_once, judge_item)

    with progress.bar:
        anyio.run(judge_all)
    return made
