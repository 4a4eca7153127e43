"""Real machines for these tests: one provider after the other, and workplaces as a test asks for them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from docker.errors import NotFound

from sidedoor.sandboxes.capture import capture
from sidedoor.sandboxes.choice import provider_named
from sidedoor.sandboxes.engine import Engine, connect
from sidedoor.sandboxes.evidence import Evidence
from sidedoor.sandboxes.image import ensure_image
from sidedoor.sandboxes.machine import Provider
from sidedoor.sandboxes.spec import EpisodeIdentity, WorkplaceSpec, WorldBundle
from sidedoor.sandboxes.workplace import Workplace

CANARY = "canary-7d1f0b52c9"
RUN = "0123456789abcdef-tests"

OFFICE = f'''
"""{CANARY}"""
import json


class Office:
    """Echoes, reads files, counts; just enough of a world to see the machinery work."""

    def __init__(self, factors, facts):
        self.facts, self.calls = facts, 0

    def programs(self):
        return ["ledger", "officectl"]

    def needs(self, argv):
        return argv[2:] if argv[1:2] == ["load"] else []

    def step(self, seq, argv, files):
        self.calls += 1
        verb, rest = (argv[1:2] or [""])[0], argv[2:]
        stdout, stderr, status = "", "", 0
        if verb == "echo":
            stdout = json.dumps(rest) + "\\n"
        elif verb == "load":
            stdout = json.dumps(files, sort_keys=True) + "\\n"
        elif verb == "big":
            stdout = "x" * int(rest[0])
        elif verb == "break":
            raise RuntimeError("{CANARY} inside")
        elif verb == "fail":
            stderr, status = "no\\n", int(rest[0])
        return {{
            "seq": seq, "argv": argv, "files": files, "kind": "call", "exit": status, "stdout": stdout,
            "stderr": stderr, "marks": [["official", verb, "achieved"]], "clock": self.calls, "state": str(self.calls),
        }}

    def snapshot(self):
        return {{"calls": self.calls, "facts": self.facts}}
'''


class Ran(NamedTuple):
    """A command's end, as text."""

    exit: int | None
    stdout: str
    stderr: str
    timed_out: bool


class Room:
    """A workplace with a shorthand for running shell text in it."""

    def __init__(self, workplace: Workplace) -> None:
        self.workplace = workplace

    async def sh(self, script: str, *, timeout: float | None = 20, stdin: bytes = b"", limit: int = 10**6) -> Ran:
        argv = ["bash", "--login", "-c", script]
        ended = await self.workplace.run(argv, stdin=stdin, cwd="", env={}, timeout=timeout, limit=limit)
        return Ran(ended.exit, ended.stdout.decode(), ended.stderr.decode(), ended.timed_out)

    async def json(self, script: str, **kwargs: Any) -> Any:
        ran = await self.sh(script, **kwargs)
        assert ran.exit == 0, ran
        return json.loads(ran.stdout)

    async def capture(self) -> Evidence:
        return await capture(self.workplace)


Opener = Callable[..., Awaitable[Room]]


def office_spec(**changes: Any) -> WorkplaceSpec:
    """A small workplace with the world above."""
    fields: dict[str, Any] = {
        "identity": EpisodeIdentity(suite="office", scenario="plain", factors={}, seed=1, content_sha256="0" * 64),
        "files": {"notes/today.md": "call Ada\n", "bin/hello": "#!/bin/sh\necho hello\n"},
        "world": WorldBundle(modules={"office": OFFICE}, entry="office:Office", factors={}, facts={"pin": CANARY}),
        "watched": ("~/notes/**",),
        **changes,
    }
    return WorkplaceSpec(**fields)


@pytest.fixture(scope="session")
def engine() -> Engine:
    return connect()


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    return ensure_image(engine, print)


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("embedded", marks=pytest.mark.embedded),
    ],
)
def provider(request: pytest.FixtureRequest) -> Provider:
    """Each provider in turn; what holds for one has to hold for the other."""
    found = provider_named(request.param)
    asyncio.run(found.prepare(print))
    return found


@pytest.fixture(scope="session")
def canary() -> str:
    return CANARY


@contextlib.asynccontextmanager
async def rooms_of(provider: Provider) -> AsyncIterator[Opener]:
    """Opens workplaces, from `office_spec` and changes to it, and removes them afterwards."""
    rooms: list[Room] = []

    async def opener(**changes: Any) -> Room:
        spec = office_spec(**changes)
        rooms.append(Room(await Workplace.open(await provider.machine(spec, RUN), spec)))
        return rooms[-1]

    yield opener
    for room in rooms:
        await room.workplace.close()


@pytest.fixture
async def open_room(provider: Provider) -> AsyncIterator[Opener]:
    """Opens workplaces of each provider."""
    async with rooms_of(provider) as opener:
        yield opener


@pytest.fixture
async def room(open_room: Opener) -> Room:
    return await open_room()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_room(provider: Provider) -> AsyncIterator[Room]:
    """A workplace for all tests of a module that only look at what is the same in every one."""
    async with rooms_of(provider) as opener:
        yield await opener()


def exists(engine: Engine, container: str) -> bool:
    """Whether the engine knows a container, by its id or name, and is not about to remove it."""
    try:
        return bool(engine.client.inspect_container(container)["State"]["Status"] != "removing")
    except NotFound:
        return False
