"""The command line: in this process, or in one of its own.

A process of its own is forked from a server that has Inspect loaded: to import it takes most of a command's time. In a
session with slow tests that server is itself a copy of the process that runs them, which has loaded it already.
"""

import faulthandler
import gc
import importlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Container
from multiprocessing import forkserver, get_context, util
from multiprocessing.context import ForkServerContext
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import pytest

from sidedoor.evals.cli import main

PATIENCE_S = 240
LOOK_S = 0.02

LOADED = "tests.loaded"

T = TypeVar("T")


def forking() -> ForkServerContext:
    """What forks processes from the server, which runs from now on: who starts it says what it has loaded."""
    context = get_context("forkserver")
    context.set_forkserver_preload([LOADED])
    forkserver.ensure_running()
    return context


def keep_alone(descriptors: Container[int]) -> None:
    """Let go of all other descriptors of this process, and leave their numbers taken.

    Objects that were copied with it go on to write to these numbers, or close them, whatever has them by then.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in [int(one.name) for one in Path("/proc/self/fd").iterdir()]:
        if number not in descriptors and number != nothing:
            os.dup2(nothing, number, inheritable=False)


def start_server_as_a_copy() -> None:
    """Have the server be a copy of this process as it is now: to be called before there are threads or patches."""

    def copied(path: str, arguments: list[str], descriptors: list[int]) -> int:
        if (server := os.fork()) == 0:
            try:
                keep_alone({0, 1, 2, *descriptors})
                exec(arguments[-1], {})  # noqa: S102 - what the new interpreter would have been given
            except Exception:  # noqa: BLE001 - as at any program's end: it is told, and the process ends
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(0)
        return server

    importlib.import_module(LOADED)
    gc.freeze()  # so that no copy's search for cycles writes to memory that it shares
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(util, "spawnv_passfds", copied)
        forking()


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The command's last words, which must be one line and no traceback."""
        assert self.code != 0
        assert "Traceback" not in self.err + self.out
        assert self.err.startswith("sidedoor: ")
        assert self.err.count("\n") == 1
        return self.err.strip().removeprefix("sidedoor: ")


Cli = Callable[..., Ended]


def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """What runs `sidedoor ARGUMENTS` and keeps what it prints."""

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["sidedoor", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


class Begun:
    """A command under way in a process of its own. As a context, it is killed at the end.

    Args:
        words: The command line's arguments.
        program: What to be: `main` of the command line, or what stands for it; importable.
        more: Arguments of `program`, which can be sent to another process.
        folder: The folder to be in.
    """

    def __init__(
        self,
        words: tuple[str | Path, ...],
        program: Callable[..., Any] = main,
        more: tuple[Any, ...] = (),
        *,
        folder: Path | None = None,
    ) -> None:
        self._kept = tempfile.TemporaryDirectory()
        self._out, self._err = Path(self._kept.name, "out"), Path(self._kept.name, "err")
        for path in (self._out, self._err):
            path.touch()
        argv = ["sidedoor", *map(str, words)]
        self._process = forking().Process(
            target=_be, args=(program, more, argv, dict(os.environ), folder or Path.cwd(), self._out, self._err)
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self._process.is_alive()

    @property
    def out(self) -> str:
        """What it has printed so far."""
        return self._out.read_text(encoding="utf-8")

    def until(self, sign: Callable[[str], T | None]) -> T:
        """Wait for a sign in what it prints."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            goes_on = self.is_running and time.monotonic() < deadline
            if (found := sign(self.out)) is not None:
                return found
            assert goes_on, f"without a sign: {self.out}"
            time.sleep(LOOK_S)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self, timeout: float = PATIENCE_S) -> Ended:
        """How it ended.

        Raises:
            TimeoutError: it did not, in so many seconds.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError(f"the command goes on after {timeout} s: {self.out}")
        return Ended(self._process.exitcode, self.out, self._err.read_text(encoding="utf-8"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()
        self._kept.cleanup()


def _be(
    program: Callable[..., Any],
    more: tuple[Any, ...],
    argv: list[str],
    environment: dict[str, str],
    folder: Path,
    out: Path,
    err: Path,
) -> None:
    for number, path in ((1, out), (2, err)):
        with path.open("a") as stream:
            os.dup2(stream.fileno(), number)
    faulthandler.enable(2)  # pytest's own has a number that is nobody's here
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in a script's background inherit it as ignored
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = argv
    program(*more)


def apart(*words: str | Path, folder: Path | None = None) -> Ended:
    """Run `sidedoor WORDS` to its end, in a process of its own."""
    with Begun(words, folder=folder) as begun:
        return begun.wait()
