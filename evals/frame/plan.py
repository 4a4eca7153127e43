"""Which samples were planned and are nowhere: a rate must say what its denominator lacks."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from sidedoor.evals.frame.logs import LogContent
from sidedoor.evals.frame.problems import MissingSample
from sidedoor.scorers.failures import Failure

_SAMPLE_ID: Final = re.compile(r"(?P<scenario>\w+)-(?P<variant>.+)-(?P<epoch>\d+)")


def missing_of_logs(logs: Iterable[LogContent]) -> list[MissingSample]:
    """Samples that the tasks of some logs were to have and that no finished one of them has."""
    tasks: dict[str, list[LogContent]] = defaultdict(list)
    for log in logs:
        tasks[log.task_id].append(log)
    return [one for same in tasks.values() for one in _missing(same[0].run, same[0].model, same, same)]


def missing_of_run(
    run: str, models: Sequence[str], logs: Sequence[LogContent], killed: Mapping[tuple[str, str], Failure]
) -> list[MissingSample]:
    """Samples of a run that no finished log has.

    Every model was to run the same cells, so that a model without a usable log lacks all that any log was to hold.

    Args:
        run: id of the run.
        models: that it was to run.
        logs: all that it has.
        killed: what was under way when it was stopped (`sidedoor.evals.interrupted`).
    """
    return [
        one
        for model in models
        for one in _missing(run, model, logs, [log for log in logs if log.model == model], killed)
    ]


def samples_present(logs: Iterable[LogContent]) -> int:
    """How many different samples finished logs hold, whether they are counted or not."""
    return len({(row.model, row.sample_id) for log in logs for row in log.rows})


def _missing(
    run: str,
    model: str,
    planned_by: Iterable[LogContent],
    logs: Iterable[LogContent],
    killed: Mapping[tuple[str, str], Failure] = MappingProxyType({}),
) -> Iterator[MissingSample]:
    present = {row.sample_id for log in logs for row in log.rows}
    for suite, sample_id in dict.fromkeys((log.suite, one) for log in planned_by for one in log.planned):
        cell = _SAMPLE_ID.fullmatch(sample_id)
        if cell and sample_id not in present:
            yield MissingSample(
                run=run,
                model=model,
                suite=suite,
                scenario=cell["scenario"],
                variant=cell["variant"],
                epoch=int(cell["epoch"]),
                killed=killed.get((model, sample_id)),
            )
