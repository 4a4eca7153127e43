"""Rehearsing reference scripts without containers: a host shell in a scratch folder, the world in this process.

For the project's own scripts only: nothing here contains a hostile agent. A step that is one plain call goes to the
world at once, and one that only shows files needs no shell either. For all others one shell runs script after script,
each in a home of its own; the world's programs are shell functions there that pass each call through a pair of pipes,
so that neither a call nor a script costs a process. What is checked this way is the scenario (scripts, world, rules);
the sandbox is checked by running in it.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

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
while IFS= read -r -d '' HOME <&"$ANSWERS"; do
  cd; unset OLDPWD; . ../script; printf '\\0' >&"$CALLS"
done
"""
"""Calls are told as folder, number of words, words; an empty field instead of a folder is the script's end."""

_WORD = r"""(?:[\w./:,@%+=-]|'[^']*'|"[^"$`\\!]*")+"""
_PLAIN = re.compile(rf"{_WORD}(?: {_WORD})*", re.ASCII)
"""Words that a shell takes as they are, but for quotes around them."""

_SHOWING = re.compile(r"cat(?: \w[\w./-]*)+", re.ASCII)
"""`cat` of files, without options."""

_HARMLESS = re.compile(r"[^$`|&;<>()\n]*")
"""What changes nothing in the shell, after a name of a program: no expansion that could assign, no other command."""

_MEMORY = Path("/dev/shm")  # noqa: S108 - each stage makes a private folder under it


_Call: TypeAlias = Callable[[list[str], Callable[[str], FileContent]], dict[str, Any]]
"""Has the world answer a call, given how the files that it names are read; returns its journal entry."""


class RehearsalError(RuntimeError):
    """The shell could not run the script to its end."""


class Rehearsal(NamedTuple):
    """A rehearsed script: what a container would have left as evidence, and what each step printed."""

    evidence: Evidence
    outputs: tuple[str, ...]


def rehearse(scenario: Scenario, factors: dict[str, str], seed: int, script: Script) -> Rehearsal:
    """Run one reference script against the world; for many, ask a `stage`.

    Raises:
        RehearsalError: the shell failed to start or died.
    """
    with stage() as opened:
        return opened.rehearse(scenario, factors, seed, script)


@contextmanager
def stage() -> Iterator["Stage"]:
    """A place where scripts are rehearsed one after the other, for one thread at a time."""
    calls_read, calls_write = os.pipe()
    answers_read, answers_write = os.pipe()
    with (
        tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder,
        tempfile.TemporaryFile(buffering=0) as printed,
        subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", f"CALLS={calls_write}; ANSWERS={answers_read}\n{_SHELL}"],
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": folder, "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            pass_fds=(calls_write, answers_read),
        ),
        os.fdopen(calls_read, "rb") as calls,
        os.fdopen(answers_write, "wb") as answers,  # closed first, which ends the shell
    ):
        os.close(calls_write)
        os.close(answers_read)
        yield Stage(Path(folder), _fields(calls), answers, printed)


class Stage:
    """A shell that waits for scripts, and a folder for their homes; made by `stage`."""

    def __init__(self, folder: Path, calls: Iterator[str], answers: IO[bytes], printed: IO[bytes]) -> None:
        self._home = folder / "home"
        self._calls = calls
        self._answers = answers
        self._printed = printed

    def rehearse(self, scenario: Scenario, factors: dict[str, str], seed: int, script: Script) -> Rehearsal:
        """Run a reference script against the world, in a fresh home.

        Raises:
            RehearsalError: the shell died, or could not read the script.
        """
        rendered = scenario.render(factors, seed)
        world = scenario.world(factors, rendered.facts)
        with closing(_Home(self._home, rendered.files)) as home:
            journal, outputs = self._play(script, world, home)
            files = tuple(_watched(home.folder)) if scenario.spec.watched else ()
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
        return Rehearsal(evidence, tuple(outputs))

    def _play(self, script: Script, world: World, home: "_Home") -> tuple[list[dict[str, Any]], list[str]]:
        journal: list[dict[str, Any]] = []
        outputs: list[str] = []

        def call(argv: list[str], read: Callable[[str], FileContent]) -> dict[str, Any]:
            journal.append(world.step(len(journal) + 1, argv, {path: read(path) for path in world.needs(argv)}))
            return journal[-1]

        def at_once(step: str) -> str:
            argv = shlex.split(step)
            if argv[0] == "cat":
                return "".join(_shown(path, home.content(path)) for path in argv[1:])
            entry = call(argv, home.content)
            return str(entry["stderr"] + entry["stdout"])

        programs = world.programs()
        for plain, steps in groupby(script.steps, partial(_is_plain, programs)):
            if plain:
                outputs += map(at_once, steps)
            else:
                outputs += self._in_shell(script.name, home, list(steps), programs, call)
        return journal, outputs

    def _in_shell(
        self, name: str, home: "_Home", steps: Sequence[str], programs: Sequence[str], call: _Call
    ) -> list[str]:
        home.folder.with_name("script").write_text(_source(steps, programs), encoding="utf-8")
        self._tell(str(home.folder))
        for cwd in self._calls:
            if not cwd:
                return self._outputs(name, steps)
            argv = [next(self._calls) for _ in range(int(next(self._calls)))]
            entry = call(argv, partial(_content, Path(cwd)))
            self._tell(entry["stdout"], entry["stderr"], str(entry["exit"]))
        raise RehearsalError(f"{name}: the shell died")

    def _tell(self, *fields: str) -> None:
        self._answers.write("".join(f"{field}\0" for field in fields).encode())
        self._answers.flush()

    def _outputs(self, name: str, steps: Sequence[str]) -> list[str]:
        self._printed.seek(0)
        printed = self._printed.read().decode("utf-8", "replace").replace(str(self._home), HOME)
        self._printed.seek(0)  # the shell's place in it too
        self._printed.truncate()
        *outputs, complaint = printed.split("\0")
        if len(outputs) != len(steps):
            raise RehearsalError(f"{name}: {complaint.strip()}")
        return outputs


class _Home:
    """A script's home, which is furnished when something looks into it that cannot be told without."""

    def __init__(self, path: Path, files: Mapping[str, str]) -> None:
        self._path = path
        self._files = files
        self._furnished = False

    @property
    def folder(self) -> Path:
        if not self._furnished:
            self._furnished = True
            for folder in {self._path, *((self._path / name).parent for name in self._files)}:
                folder.mkdir(parents=True, exist_ok=True)
            for name, text in self._files.items():
                (self._path / name).write_bytes(text.encode())
        return self._path

    def content(self, path: str) -> FileContent:
        if not self._furnished and path in self._files:
            return {"text": self._files[path]}
        return _content(self.folder, path)

    def close(self) -> None:
        if self._furnished:
            shutil.rmtree(self._path)


def _is_plain(programs: Sequence[str], step: str) -> bool:
    if step.split(maxsplit=1)[0] in programs:
        return _PLAIN.fullmatch(step) is not None
    return _SHOWING.fullmatch(step) is not None


def _shown(path: str, content: FileContent) -> str:
    """What `cat` prints of a file."""
    return content["text"] if "text" in content else f"cat: {path}: {content['error']}\n"


def _source(steps: Sequence[str], programs: Sequence[str]) -> str:
    functions = [f'{program}() {{ _call {program} "$@"; }}' for program in programs]
    lines = [f"{_apart(step, programs)}\nprintf '\\0'" for step in steps]
    return "\n".join([*functions, *lines, f"unset -f {' '.join(programs)}"])


def _apart(step: str, programs: Sequence[str]) -> str:
    """A step from which the shell comes as it was: by a fork, where it may change something."""
    return step if step.split()[0] in programs and _HARMLESS.fullmatch(step) else f"( {step}\n)"


def _command(index: int, step: str) -> ExecutedCommand:
    argv = ("bash", "--login", "-c", step)
    return ExecutedCommand(index=index, argv=argv, exit=0, outcome="exited", seconds=0.0)


def _fields(stream: IO[bytes]) -> Iterator[str]:
    pending = b""
    while chunk := os.read(stream.fileno(), 65536):
        *complete, pending = (pending + chunk).split(b"\0")
        for field in complete:
            yield field.decode("utf-8", "replace")


def _content(folder: Path, path: str) -> FileContent:
    try:
        return {"text": (folder / path).read_text(encoding="utf-8", errors="replace")}
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
