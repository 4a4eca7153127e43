"""Rehearsing reference scripts without containers: a host shell in a scratch folder, the world in this process.

For the project's own scripts only: nothing here contains a hostile agent. One shell runs all steps of a script; the
world's programs are shell functions that pass each call through a pair of pipes, so that a call costs no process.
What is checked this way is the scenario (scripts, world, rules); the sandbox is checked by running in it.
"""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from sidedoor.sandboxes.evidence import Evidence, ExecutedCommand, JournalEntry, WatchedFile
from sidedoor.sandboxes.prepare import identify
from sidedoor.sandboxes.spec import Episode
from sidedoor.tasks.catalogue import Scenario, Script
from sidedoor.tasks.world import FileContent, World

HOME = "/home/operator"

_SHELL = """
_call() {
  printf '%s\\0' "$PWD" "$#" "$@" >&"$CALLS"
  local out err status
  IFS= read -r -d '' out <&"$ANSWERS"; IFS= read -r -d '' err <&"$ANSWERS"; IFS= read -r -d '' status <&"$ANSWERS"
  printf '%s' "$err" >&2; printf '%s' "$out"; return "$status"
}
"""


class RehearsalError(RuntimeError):
    """The shell could not run the script to its end."""


class Rehearsal(NamedTuple):
    """A rehearsed script: what a container would have left as evidence, and what each step printed."""

    evidence: Evidence
    outputs: tuple[str, ...]


def rehearse(scenario: Scenario, factors: dict[str, str], seed: int, script: Script) -> Rehearsal:
    """Run a reference script against the world.

    Raises:
        RehearsalError: the shell failed to start or died.
    """
    rendered = scenario.render(factors, seed)
    world = scenario.world(factors, rendered.facts)
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as printed:
        home = Path(scratch)
        for name, text in rendered.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text, encoding="utf-8")
        journal = _run(script, world, home, Path(printed))
        outputs = tuple(_printed(Path(printed, str(number))) for number in range(len(script.steps)))
        files = tuple(_watched(home)) if scenario.spec.watched else ()
    episode = Episode(suite=scenario.suite, scenario=scenario.id, factors=factors, seed=seed)
    evidence = Evidence(
        episode=identify(episode),
        journal=tuple(JournalEntry.model_validate(entry) for entry in journal),
        closed_state=world.snapshot(),
        faults=(),
        files=files,
        files_complete=True,
        commands=tuple(_command(index, step) for index, step in enumerate(script.steps, start=1)),
        notes=(),
        session_events=(),
        ended="closed",
    )
    return Rehearsal(evidence, outputs)


def _command(index: int, step: str) -> ExecutedCommand:
    argv = ("bash", "--login", "-c", step)
    return ExecutedCommand(index=index, argv=argv, exit=0, outcome="exited", seconds=0.0)


def _printed(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _run(script: Script, world: World, home: Path, printed: Path) -> list[dict[str, Any]]:
    calls_read, calls_write = os.pipe()
    answers_read, answers_write = os.pipe()
    functions = "\n".join(f'{program}() {{ _call {program} "$@"; }}' for program in world.programs())
    steps = "\n".join(f'({step}) >"$PRINTED/{number}" 2>&1' for number, step in enumerate(script.steps))
    setup = f"PRINTED={printed}; CALLS={calls_write}; ANSWERS={answers_read}\n{_SHELL}{functions}\n"
    with (
        os.fdopen(calls_read, "rb") as calls,
        os.fdopen(answers_write, "wb") as answers,
        subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", setup + steps],
            cwd=home,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(home), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            pass_fds=(calls_write, answers_read),
        ) as shell,
    ):
        os.close(calls_write)
        os.close(answers_read)
        journal = list(_serve(world, calls, answers))
        if shell.wait() not in (0, 1, 2) and shell.returncode < 0:
            raise RehearsalError(f"{script.name}: the shell died with signal {-shell.returncode}")
    return journal


def _serve(world: World, calls: IO[bytes], answers: IO[bytes]) -> Iterator[dict[str, Any]]:
    fields = _fields(calls)
    for seq, cwd in enumerate(fields, start=1):
        argv = [next(fields) for _ in range(int(next(fields)))]
        files = {path: _content(Path(cwd) / path) for path in world.needs(argv)}
        entry = world.step(seq, argv, files)
        reply = (entry["stdout"], entry["stderr"], str(entry["exit"]))
        answers.write("".join(f"{part}\0" for part in reply).encode())
        answers.flush()
        yield entry


def _fields(stream: IO[bytes]) -> Iterator[str]:
    pending = b""
    while chunk := os.read(stream.fileno(), 65536):
        *complete, pending = (pending + chunk).split(b"\0")
        for field in complete:
            yield field.decode("utf-8", "replace")


def _content(path: Path) -> FileContent:
    try:
        return {"text": path.read_text(encoding="utf-8", errors="replace")}
    except OSError as error:
        return {"error": error.strerror or "unreadable"}


def _watched(home: Path) -> Iterator[WatchedFile]:
    for path in sorted(p for p in home.rglob("*") if p.is_file()):
        content = path.read_bytes()
        yield WatchedFile(
            path=f"{HOME}/{path.relative_to(home)}",
            kind="file",
            mode=path.stat().st_mode & 0o777,
            size=len(content),
            text=content.decode("utf-8", "replace"),
            sha256=hashlib.sha256(content).hexdigest(),
        )
