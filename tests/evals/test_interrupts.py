"""A second Ctrl-C ends a command, whatever it waits for; a first one does not cut anything off."""

import asyncio
import signal
import sys
import threading
import time

import pytest
from rich.console import Console

from sidedoor.evals import interrupts, show
from sidedoor.evals.interrupts import EXIT_INTERRUPTED, grouped_interrupts_bare, second_interrupt_final
from tests.commands import Begun, Cli

GRACE_S = 0.3
READY = "ready"


def ready(text: str) -> bool | None:
    return True if READY in text else None


def again(text: str) -> bool | None:
    return True if text.count(READY) == 2 else None


async def deaf() -> None:
    """Waits, and goes on waiting when it is cancelled."""
    while True:
        print(READY, flush=True)  # noqa: T201 - what the test waits for
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


def waits_for_a_task() -> None:
    interrupts.GRACE_S = GRACE_S
    with second_interrupt_final():
        asyncio.run(deaf())


def waits_for_a_thread() -> None:
    interrupts.GRACE_S = GRACE_S
    with second_interrupt_final():
        threading.Thread(target=time.sleep, args=(3600,)).start()
        asyncio.run(deaf())


def takes_its_time() -> None:
    interrupts.GRACE_S = GRACE_S
    with second_interrupt_final():
        print(READY, flush=True)  # noqa: T201 - what the test waits for
        try:
            time.sleep(3600)
        except KeyboardInterrupt:
            time.sleep(3 * GRACE_S)
            sys.exit(7)


@pytest.mark.parametrize("program", [waits_for_a_task, waits_for_a_thread])
def test_a_second_interrupt_ends_a_command_that_waits_for_ever(program) -> None:
    with Begun((), program) as begun:
        begun.until(ready)
        begun.send(signal.SIGINT)
        begun.until(again)
        begun.send(signal.SIGINT)
        ended = begun.wait(30)
    assert ended.code == EXIT_INTERRUPTED
    assert ended.err.endswith("sidedoor: interrupted\n")


def test_a_first_interrupt_cuts_nothing_off() -> None:
    with Begun((), takes_its_time) as begun:
        begun.until(ready)
        begun.send(signal.SIGINT)
        assert begun.wait(30).code == 7


class Finalized:
    """What is interrupted when it is let go of, where Python drops exceptions."""

    def __del__(self) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_that_python_drops_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.unraisablehook
    monkeypatch.setattr("sidedoor.evals.cli.app", Finalized)
    assert cli() == (0, "", "sidedoor: an interrupt was lost; if this goes on, send another\n")
    assert sys.unraisablehook is before


def test_a_command_leaves_no_trace_in_the_process_that_called_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.set_wakeup_fd(-1)
    monkeypatch.setattr("sidedoor.evals.cli.app", lambda: None)
    assert cli().code == 0
    assert signal.set_wakeup_fd(before) == -1
    for thread in threading.enumerate():
        if thread.name == "interrupts":
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.parametrize("others", [[], [ValueError()]], ids=["alone", "with another error"])
def test_an_interrupt_that_a_task_group_has_wrapped_is_an_interrupt(others: list[BaseException]) -> None:
    with pytest.raises(KeyboardInterrupt), grouped_interrupts_bare():
        raise BaseExceptionGroup("", [BaseExceptionGroup("", [KeyboardInterrupt(), *others])])


def test_a_group_of_other_errors_is_a_defect_as_before() -> None:
    with pytest.raises(ExceptionGroup), grouped_interrupts_bare():
        raise ExceptionGroup("", [ValueError()])


def test_a_command_says_interrupted_where_a_task_was(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(console: Console) -> None:
        raise BaseExceptionGroup("", [KeyboardInterrupt()])

    monkeypatch.setattr(show, "list_suites", stop)
    assert cli("list") == (EXIT_INTERRUPTED, "", "sidedoor: interrupted\n")
