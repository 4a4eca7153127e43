"""A run whose samples, after the first ones, stop at a phase, say so, and wait for what a test does to the run."""

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import anyio
import pytest

from sidedoor.evals.cli import main
from sidedoor.sandboxes import capture
from sidedoor.sandboxes.workplace import Workplace
from sidedoor.scorers import state

PHASES = ("start", "turn", "capture", "scoring")
PAUSED, STOPPING = "paused", "stopping"


class Pause:
    """Holds up the samples that come to it after so many; they are told apart by their workplaces."""

    def __init__(self, telling: Connection, after: int) -> None:
        self._telling, self._after = telling, after
        self._seen: list[Workplace] = []

    def is_due(self, workplace: Workplace) -> bool:
        if workplace in self._seen:
            return False
        self._seen.append(workplace)
        return len(self._seen) > self._after

    @contextmanager
    def told(self) -> Iterator[None]:
        self._telling.send(PAUSED)
        try:
            yield
        finally:
            self._telling.send(STOPPING)


def run_paused(phase: str, telling: Connection, after: int) -> None:
    """Be the command line, and pause at a phase of each sample but the first ones."""
    phases = {"start": at_start, "turn": at_turn, "capture": at_capture, "scoring": at_scoring}
    with pytest.MonkeyPatch.context() as patch:
        phases[phase](patch, Pause(telling, after))
        main()


def at_start(patch: pytest.MonkeyPatch, pause: Pause) -> None:
    """The machine runs, and its world does not yet."""
    start = Workplace._start

    async def held(workplace: Workplace) -> None:
        if pause.is_due(workplace):
            with pause.told():
                await anyio.sleep_forever()
        await start(workplace)

    patch.setattr(Workplace, "_start", held)


def at_turn(patch: pytest.MonkeyPatch, pause: Pause) -> None:
    """A command of the agent's runs, for ever."""
    run = Workplace.run

    async def held(workplace: Workplace, argv: list[str], **named: Any) -> Any:
        if pause.is_due(workplace):
            with pause.told():
                return await run(workplace, ["sleep", "infinity"], **named)
        return await run(workplace, argv, **named)

    patch.setattr(Workplace, "run", held)


def at_capture(patch: pytest.MonkeyPatch, pause: Pause) -> None:
    """The world is closed, and files are not read yet."""
    observe = capture._observe

    async def held(workplace: Workplace, watch: Any) -> Any:
        if pause.is_due(workplace):
            with pause.told():
                await anyio.sleep_forever()
        return await observe(workplace, watch)

    patch.setattr(capture, "_observe", held)


def at_scoring(patch: pytest.MonkeyPatch, pause: Pause) -> None:
    """The evidence is complete, its machine is gone, and no label is derived yet."""
    capture_all = state.capture

    async def held(workplace: Workplace) -> Any:
        evidence = await capture_all(workplace)
        if pause.is_due(workplace):
            with pause.told():
                await anyio.sleep_forever()
        return evidence

    patch.setattr(state, "capture", held)
