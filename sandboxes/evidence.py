"""Evidence: everything kept of an episode's end. Scoring needs nothing else, and nothing here is truncated silently.

Who could forge which part decides what a part may prove:

* `journal`, `closed_state` and `faults` come from the gateway, which runs as a user that the agent cannot become,
  through a stream that the agent cannot reach. Each entry was on the host before the agent saw its answer.
* `notes` come from the gateway too; those of kind `foreign_client` say that somebody talked to its socket without
  the programs.
* `files` are read from the stopped container by the engine. The agent may have written them: they prove what lay
  there at the end, not how it came to be.
* `commands` are the host's own record of what it was asked to run; `exit` and `session_events` pass through the agent's
  user, who can disturb them, so they explain a run and decide no label.
"""

import hashlib
import json
from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from sidedoor.sandboxes.spec import EpisodeIdentity

SCHEMA_VERSION: Final = 1
VOLATILE: Final = {"commands": {"__all__": {"seconds"}}}
"""Fields that differ between identical runs, as pydantic's `exclude`: they are left out of the digest."""

Ended: TypeAlias = Literal["closed", "broken_off", "container_died", "stream_lost"]
FileKind: TypeAlias = Literal["file", "directory", "symlink", "hardlink", "fifo", "device", "other"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class JournalEntry(_Frozen):
    """One call to the world, as `World.step` returned it.

    Attributes:
        seq: position in the journal, from 1.
        argv: program name and arguments.
        files: what the caller's side read for the call: path to `{"text": …}` or `{"error": …}`.
        kind: call, help or usage.
        exit: status given to the caller.
        stdout: text given to the caller.
        stderr: text given to the caller.
        marks: (kind, id, level) of what the call meant.
        clock: simulated minutes after the call.
        state: SHA-256 of the world's snapshot after the call.
    """

    seq: int
    argv: tuple[str, ...]
    files: dict[str, dict[str, str]]
    kind: str
    exit: int
    stdout: str
    stderr: str
    marks: tuple[tuple[str, str, str], ...]
    clock: int
    state: str


class WatchedFile(_Frozen):
    """What lay at a watched path at the end.

    Symbolic links are recorded and never followed; of several names of one file, the first has its content and the
    others are hard links to that name. A link or special file on the way to a watched path is recorded too: it
    is where the watched file should have been.

    Attributes:
        path: absolute path.
        kind: what it is; only `file` has content.
        mode: permission bits.
        size: bytes of content, also when it was not kept.
        text: content as UTF-8, or None if it is not UTF-8 or was not kept.
        base64: content that is not UTF-8.
        sha256: of the whole content; None if it is no file.
        truncated: content was over a limit, and neither `text` nor `base64` holds it.
        target: where a link points.
    """

    path: str
    kind: FileKind
    mode: int
    size: int = 0
    text: str | None = None
    base64: str | None = None
    sha256: str | None = None
    truncated: bool = False
    target: str | None = None


class ExecutedCommand(_Frozen):
    """One command that the host was asked to run for the agent.

    Attributes:
        index: order in which commands were started, from 1.
        argv: program and arguments.
        exit: exit status; None if it timed out, was cancelled, or could not be started.
        outcome: how it ended.
        seconds: wall time; volatile.
    """

    index: int
    argv: tuple[str, ...]
    exit: int | None
    outcome: Literal["exited", "timed_out", "cancelled", "not_started", "connection_lost"]
    seconds: float


class Note(_Frozen):
    """Something out of the ordinary that the gateway saw on its socket.

    Attributes:
        kind: `foreign_client` (its own programs would never do this: somebody talked to the socket without them),
            `silent_client` (connected, and sent no call in time), `call_limit` (more calls than are answered).
        detail: in a few words.
        count: how often.
    """

    kind: str
    detail: str
    count: int = 1


class SessionEvent(_Frozen):
    """A change of the command session: it was lost, stalled or replaced.

    Attributes:
        kind: what happened.
        detail: in a few words.
        command: index of the last command started before it; 0 if none.
    """

    kind: Literal["lost", "stalled", "malformed", "reopened"]
    detail: str
    command: int


class Evidence(_Frozen):
    """The frozen end of one episode.

    Attributes:
        schema_version: of this model.
        episode: which episode, and the hash of the scenario's content.
        journal: every call to the world, in order.
        closed_state: the world's snapshot when it was closed; None if it was never closed properly.
        faults: exceptions inside the world's own code, `Type: message`.
        files: what was watched, by path; None if it could not be observed.
        files_complete: False if a limit on count or bytes left watched files out.
        commands: what the host was asked to run.
        notes: what the gateway noticed.
        session_events: losses of the command session.
        ended: closed properly; closed after an error had ended the agent's loop; container gone before that; or the
            container's stream lost while it still ran.
        limit: which of the sample's limits had been reached when evidence was taken; None if none.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    episode: EpisodeIdentity
    journal: tuple[JournalEntry, ...]
    closed_state: dict[str, Any] | None
    faults: tuple[str, ...]
    files: tuple[WatchedFile, ...] | None
    files_complete: bool
    commands: tuple[ExecutedCommand, ...]
    notes: tuple[Note, ...]
    session_events: tuple[SessionEvent, ...]
    ended: Ended
    limit: str | None = None

    def digest(self) -> str:
        """SHA-256 (hex) of the evidence as canonical JSON without the fields in `VOLATILE`."""
        value = self.model_dump(mode="json", exclude=VOLATILE)
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()
