"""`sidedoor judge`: put every sample of a run before every judge of a panel, once, whatever happens in between."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import anyio
from inspect_ai.log import EvalSample, read_eval_log, read_eval_log_sample, read_eval_log_sample_summaries
from inspect_ai.model import GenerateConfig, Model, get_model
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sidedoor.evals.errors import one_line
from sidedoor.evals.judging.study import Judged, Study, StudyError, StudyFolder
from sidedoor.evals.run import log_files
from sidedoor.evals.samples import cut_off
from sidedoor.scorers.judge.case import Case, CaseError, case_of_sample
from sidedoor.scorers.judge.judge import judge_case
from sidedoor.scorers.judge.rubric import Rubric, load_rubric
from sidedoor.tasks.yaml_source import SourceError

AT_ONCE: Final = 16
UNREAD: Final = {"events", "attachments", "timelines"}


class JudgedRun(BaseModel):
    """What `judge_run` did.

    Attributes:
        made: judgements made now; `kept` those of earlier calls.
        undecided: judgements without a verdict, by reason, over all.
        not_judged: samples that no judge could be asked about, by reason.
        input_tokens: spent now; `output_tokens` likewise.
        cost: US dollars spent now; None if prices are not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    made: int
    kept: int
    undecided: dict[str, int]
    not_judged: dict[str, int]
    input_tokens: int
    output_tokens: int
    cost: float | None


class _Place(BaseModel):
    """Where a sample lies."""

    log: Path
    sample_id: str | int
    epoch: int
    uuid: str
    model: str


class _Work:
    """The judgements of one call: what is there, what was made, what could not be."""

    def __init__(self, run: Path, folder: StudyFolder, study: Study, judges: dict[str, Model], rubric: Rubric) -> None:
        self.run, self.folder, self.study, self.judges, self.rubric = run, folder, study, judges, rubric
        self.kept = {one.key: one for one in folder.judged() if one.judgement.undecided != "unavailable"}
        self.made: list[Judged] = []
        self.used: set[tuple[str, str, int]] = set()
        self.not_judged: Counter[str] = Counter()

    async def sample(self, place: _Place, progress: "_Progress") -> None:
        """Judge one sample with every judge that judges its model, as often as declared."""
        panel = self.study.panel
        names = panel.judges_of(place.model)
        case = self._case(place)
        if case is not None and names:
            for name in names:
                for repeat in range(1, panel.repeats + 1):
                    await self._judgement(place, case, name, repeat)
                    progress.step(self.made)
            return
        if case is not None:
            self.not_judged["every judge is of the model's own family"] += 1
        progress.skip(len(names) * panel.repeats)

    async def _judgement(self, place: _Place, case: Case, name: str, repeat: int) -> None:
        key = (case.digest, name, repeat)
        if key in self.kept or key in self.used:
            return
        self.used.add(key)
        judgement = await judge_case(case, self.judges[name], self.rubric, self.study.judging, repeat)
        log = place.log.relative_to(self.run).as_posix()
        judged = Judged(
            log=log, sample_id=str(place.sample_id), sample_uuid=place.uuid, epoch=place.epoch, judgement=judgement
        )
        self.folder.append(judged)
        self.made.append(judged)

    def _case(self, place: _Place) -> Case | None:
        try:
            return case_of_sample(_read(place), place.model)
        except (CaseError, SourceError) as error:
            self.not_judged[one_line(error)] += 1
            return None


class _Progress:
    """Judgements done, tokens and cost, on a terminal as a bar and elsewhere as a line per tenth."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._done = console, total, 0
        columns = (TextColumn("judgements"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
        told = TextColumn("{task.fields[told]}")
        self.bar = Progress(*columns, TimeRemainingColumn(), told, console=console, disable=not console.is_terminal)
        self._task = self.bar.add_task("judgements", total=total, told="")

    def step(self, made: list[Judged]) -> None:
        self.skip(1)
        told = _spent(made)
        self.bar.update(self._task, told=told)
        if not self._console.is_terminal and self._done % max(1, self._total // 10) == 0:
            self._console.print(f"{self._done}/{self._total} judgements: {told}", highlight=False)

    def skip(self, count: int) -> None:
        self._done += count
        self.bar.update(self._task, completed=self._done)


def judge_run(run: Path, name: str, study: Study, at_once: int, console: Console) -> JudgedRun:
    """Put a run's samples before a panel; what was judged before is kept, and nothing is paid for twice.

    Args:
        run: the run's folder.
        name: of the study.
        study: what is declared.
        at_once: samples judged at the same time.
        console: for progress.

    Raises:
        StudyError: no samples there, a judge that cannot be used, or another declaration under that name.
    """
    rubric = load_rubric(study.rubric)
    judges = {judge: _judge(judge, at_once) for judge in study.panel.judges}
    places = list(_places(run))
    if not places:
        raise StudyError(f"{run}: no finished samples to judge")
    folder = StudyFolder(run, name)
    folder.declare(study)
    work = _Work(run, folder, study, judges, rubric)
    total = sum(len(study.panel.judges_of(place.model)) * study.panel.repeats for place in places)
    progress = _Progress(console, total)
    with progress.bar:
        anyio.run(_judge_all, work, places, at_once, progress)
    return _told(work)


async def _judge_all(work: _Work, places: list[_Place], at_once: int, progress: _Progress) -> None:
    waiting = iter(places)

    async def worker() -> None:
        for place in waiting:
            await work.sample(place, progress)

    async with anyio.create_task_group() as group:
        for _ in range(min(at_once, len(places))):
            group.start_soon(worker)


def _judge(name: str, at_once: int) -> Model:
    try:
        return get_model(name, config=GenerateConfig(max_connections=at_once))
    except Exception as error:  # noqa: BLE001 - providers raise what they like: a missing key, package, or name
        raise StudyError(f"judge '{name}' cannot be used: {one_line(error)}") from None


def _places(run: Path) -> Iterator[_Place]:
    for log in log_files(run):
        model = read_eval_log(str(log), header_only=True).eval.model
        for one in read_eval_log_sample_summaries(str(log)):
            if one.error is None and not cut_off(one):
                yield _Place(log=log, sample_id=one.id, epoch=one.epoch, uuid=one.uuid or "", model=model)


def _read(place: _Place) -> EvalSample:
    return read_eval_log_sample(str(place.log), place.sample_id, place.epoch, exclude_fields=UNREAD)


def _spent(made: list[Judged]) -> str:
    tokens = sum(one.judgement.input_tokens + one.judgement.output_tokens for one in made)
    cost = _cost(made)
    return f"{tokens:,} tokens" + ("" if cost is None else f", ${cost:.2f}")


def _cost(made: list[Judged]) -> float | None:
    known = [one.judgement.cost for one in made if one.judgement.cost is not None]
    return sum(known) if known else None


def _told(work: _Work) -> JudgedRun:
    everything = [*work.kept.values(), *work.made]
    return JudgedRun(
        made=len(work.made),
        kept=len(work.kept),
        undecided=dict(Counter(one.judgement.undecided for one in everything if one.judgement.undecided)),
        not_judged=dict(work.not_judged),
        input_tokens=sum(one.judgement.input_tokens for one in work.made),
        output_tokens=sum(one.judgement.output_tokens for one in work.made),
        cost=_cost(work.made),
    )
