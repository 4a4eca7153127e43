"""The command line in this process."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sidedoor.evals.cli import main


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
