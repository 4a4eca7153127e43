"""`sidedoor judge`: put every sample of a run before every judge of a panel, once, whatever happens in between."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import anyio
from inspect_ai.log import EvalSample, read_eval_log, read_eval_log_sample_async, read_eval_log_sample_summaries
from inspect_ai.model import GenerateConfig, Model, get_model
from pydantic import BaseModel, ConfigDict
from rich.console import Console

from sidedoor.evals.errors import one_line
from sidedoor.evals.garbage import rare_collections
from sidedoor.evals.judging.progress import JudgingProgress, total_cost
from sidedoor.evals.judging.study import Judged, Study, StudyError, StudyFolder
from sidedoor.evals.run import log_files
from sidedoor.evals.samples import cut_off
from sidedoor.scorers.judge.case import Case, CaseError, case_of_sample
from sidedoor.scorers.judge.judge import judge_case
from sidedoor.scorers.judge.judgement import Judgement
from sidedoor.scorers.judge.rubric import load_rubric
from sidedoor.tasks.yaml_source import SourceError

AT_ONCE: Final = 16
UNREAD: Final = {"events", "attachments", "timelines"}

T = TypeVar("T")
JudgesOf: TypeAlias = Callable[[str], Sequence[str]]
"""From a model under test to the judges of its transcripts."""


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

    def __init__(
        self, run: Path, folder: StudyFolder, study: Study, judges: dict[str, Model], judges_of: JudgesOf
    ) -> None:
        self.run, self.folder, self.study, self.judges, self.judges_of = run, folder, study, judges, judges_of
        self.rubric = load_rubric(study.rubric)
        self.kept = {one.key: one for one in folder.judged() if one.judgement.undecided != "unavailable"}
        self.made: list[Judged] = []
        self.used: set[tuple[str, str, int]] = set()
        self.not_judged: Counter[str] = Counter()

    async def sample(self, place: _Place, progress: JudgingProgress) -> None:
        """Judge one sample with every judge that judges its model, as often as declared."""
        names, repeats = self.judges_of(place.model), self.study.panel.repeats
        case = await self._case(place)
        if case is not None and names:
            for name in names:
                for repeat in range(1, repeats + 1):
                    progress.step(await self._judgement(place, case, name, repeat))
            return
        if case is not None:
            self.not_judged["every judge is of the model's own family"] += 1
        progress.skip(len(names) * repeats)

    async def _judgement(self, place: _Place, case: Case, name: str, repeat: int) -> Judgement | None:
        key = (case.digest, name, repeat)
        if key in self.kept or key in self.used:
            return None
        self.used.add(key)
        judgement = await judge_case(case, self.judges[name], self.rubric, self.study.judging, repeat)
        log = place.log.relative_to(self.run).as_posix()
        judged = Judged(
            log=log, sample_id=str(place.sample_id), sample_uuid=place.uuid, epoch=place.epoch, judgement=judgement
        )
        self.folder.append(judged)
        self.made.append(judged)
        return judgement

    async def _case(self, place: _Place) -> Case | None:
        try:
            return case_of_sample(await _read(place), place.model)
        except (CaseError, SourceError) as error:
            self.not_judged[one_line(error)] += 1
            return None


async def spread(things: Iterable[T], at_once: int, do: Callable[[T], Awaitable[None]]) -> None:
    """Do something with each of many things, so many at the same time."""
    waiting = iter(things)

    async def worker() -> None:
        for thing in waiting:
            await do(thing)

    with rare_collections():
        async with anyio.create_task_group() as group:
            for _ in range(at_once):
                group.start_soon(worker)


def judge_run(
    run: Path, name: str, study: Study, at_once: int, console: Console, judges_of: JudgesOf | None = None
) -> JudgedRun:
    """Put a run's samples before a panel; what was judged before is kept, and nothing is paid for twice.

    Args:
        run: the run's folder.
        name: of the study.
        study: what is declared.
        at_once: samples judged at the same time.
        console: for progress.
        judges_of: which judges judge a model's transcripts; as the panel has it if left out.

    Raises:
        StudyError: no samples there, a judge that cannot be used, or another declaration under that name.
    """
    judges_of = judges_of or study.panel.judges_of
    judges = {judge: usable_judge(judge, at_once) for judge in study.panel.judges}
    places = list(_places(run))
    if not places:
        raise StudyError(f"{run}: no finished samples to judge")
    folder = StudyFolder(run, name)
    folder.declare(study)
    work = _Work(run, folder, study, judges, judges_of)
    total = sum(len(judges_of(place.model)) * study.panel.repeats for place in places)
    progress = JudgingProgress(console, total)
    with progress.bar:
        anyio.run(_judge_all, work, places, at_once, progress)
    return _told(work)


async def _judge_all(work: _Work, places: list[_Place], at_once: int, progress: JudgingProgress) -> None:
    await spread(places, at_once, lambda place: work.sample(place, progress))


def usable_judge(name: str, at_once: int) -> Model:
    """A judge by its name.

    Args:
        name: as provider/name.
        at_once: requests at the same time.

    Raises:
        StudyError: it cannot be used.
    """
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


async def _read(place: _Place) -> EvalSample:
    # The blocking reader would run an event loop inside the one that the workers share.
    return await read_eval_log_sample_async(str(place.log), place.sample_id, place.epoch, exclude_fields=UNREAD)


def _told(work: _Work) -> JudgedRun:
    everything = [*work.kept.values(), *work.made]
    return JudgedRun(
        made=len(work.made),
        kept=len(work.kept),
        undecided=dict(Counter(one.judgement.undecided for one in everything if one.judgement.undecided)),
        not_judged=dict(work.not_judged),
        input_tokens=sum(one.judgement.input_tokens for one in work.made),
        output_tokens=sum(one.judgement.output_tokens for one in work.made),
        cost=total_cost([one.judgement for one in work.made]),
    )
