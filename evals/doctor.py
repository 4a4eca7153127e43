"""What works on this machine, what does not, and what to do about it."""

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import anyio
from rich.console import Console
from rich.table import Table

from sidedoor.sandboxes.clean import clean
from sidedoor.sandboxes.engine import Engine, EngineUnavailableError, connect
from sidedoor.sandboxes.image import image_digest, image_tag

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "OPENROUTER_API_KEY")
FREE_GIB = 5
GIB = 1 << 30


class Check(NamedTuple):
    """One thing looked at. `ok` is None where it is for information only."""

    what: str
    ok: bool | None
    found: str
    advice: str = ""


def examine(console: Console) -> bool:
    """Print what was found.

    Returns:
        Whether runs can work here.
    """
    table = Table("", "", "found", "what to do", box=None, pad_edge=False)
    checks = [*_versions(), *_engine(), _disk(), *_keys()]
    for check in checks:
        mark = {True: "[green]ok[/]", False: "[red]no[/]", None: "-"}[check.ok]
        table.add_row(mark, check.what, check.found, check.advice)
    console.print(table)
    return all(check.ok is not False for check in checks)


def remove_left_behind(console: Console, everything: bool) -> None:
    """Remove our containers whose run is gone (or all of ours).

    Raises:
        EngineUnavailableError: no engine answers.
    """

    async def remove() -> list[str]:
        return await clean(connect(), everything=everything)

    removed = anyio.run(remove)
    console.print(f"removed {len(removed)} container{'' if len(removed) == 1 else 's'}", highlight=False)


def _versions() -> Iterator[Check]:
    yield Check("python", None, platform.python_version())
    for package in ("sidedoor", "inspect-ai", "docker", "openai", "anthropic"):
        yield Check(package, None, version(package))


def _engine() -> Iterator[Check]:
    try:
        engine = connect()
    except EngineUnavailableError as error:
        advice = "install and start Docker (Debian: apt-get install docker.io), or set DOCKER_HOST"
        yield Check("engine", False, str(error), advice)
        return
    yield Check("engine", True, f"API {engine.client.api_version} at {engine.address}")
    yield _image(engine)


def _image(engine: Engine) -> Check:
    built = image_digest(engine)
    if built:
        return Check("image", True, f"{image_tag()} ({built[:19]})")
    return Check("image", None, f"{image_tag()} is not built yet", "the first run builds it, in about a minute")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / GIB
    return Check(
        "disk", free >= FREE_GIB, f"{free:.0f} GiB free", "" if free >= FREE_GIB else f"make {FREE_GIB} GiB free"
    )


def _keys() -> Iterator[Check]:
    for key in KEYS:
        there = bool(os.environ.get(key))
        yield Check(key, None, "set" if there else "not set", "" if there else "needed for that provider's models only")
