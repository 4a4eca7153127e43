"""What works on this machine, what does not, and what to do about it."""

import os
import platform
import shutil
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import anyio
from rich.console import Console
from rich.table import Table

from sidedoor.sandboxes.choice import PROVIDERS
from sidedoor.sandboxes.embedded.base import find_base
from sidedoor.sandboxes.embedded.provider import check
from sidedoor.sandboxes.engine import Engine, EngineUnavailableError, connect
from sidedoor.sandboxes.export import EXPORT, VARIABLE, export_image, usual_folder
from sidedoor.sandboxes.image import ImageError, image_digest, image_tag
from sidedoor.sandboxes.machine import ProviderUnavailableError

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
    checks = [*_versions(), *_sandboxes(), _disk(), *_keys()]
    for one in checks:
        mark = {True: "[green]ok[/]", False: "[red]no[/]", None: "-"}[one.ok]
        table.add_row(mark, one.what, one.found, one.advice)
    console.print(table)
    return all(one.ok is not False for one in checks)


def remove_left_behind(console: Console, everything: bool) -> None:
    """Remove our machines whose run is gone (or all of ours), of every provider that can be reached."""
    for provider in PROVIDERS.values():
        try:
            removed = anyio.run(partial(provider.clean, everything=everything))
        except ProviderUnavailableError as error:
            console.print(f"{provider.name}: {error}", highlight=False, soft_wrap=True)
        else:
            console.print(f"{provider.name}: removed {len(removed)}", highlight=False)


def export_programs(console: Console, folder: Path | None) -> None:
    """Unpack the image's programs, by default to where machines without an engine look for them.

    Raises:
        ImageError: the image cannot be had, or the folder holds something else.
    """
    target = (folder or usual_folder()).resolve()
    export_image(target, console.print)
    console.print(f"written: {target}", highlight=False, soft_wrap=True)
    if target != usual_folder():
        console.print(f"to use it, set {VARIABLE}={target}", highlight=False, soft_wrap=True)


def _versions() -> Iterator[Check]:
    yield Check("python", None, platform.python_version())
    for package in ("sidedoor", "inspect-ai", "docker", "openai", "anthropic"):
        yield Check(package, None, version(package))


def _sandboxes() -> Iterator[Check]:
    """Both kinds; what one of them lacks is for information only where the other works."""
    checks = [*_engine(), *_embedded()]
    enough = any(one.ok and one.what in ("engine", "embedded") for one in checks)
    for one in checks:
        yield one._replace(ok=None) if enough and one.ok is False else one


def _embedded() -> Iterator[Check]:
    try:
        check()
        base = find_base()
    except (ProviderUnavailableError, ImageError) as error:
        yield Check("embedded", False, str(error))
        return
    yield Check("embedded", True, base.name)
    if lacking := base.lacking():
        advice = f"install them, or {EXPORT}, for the programs that the image has"
        yield Check("programs", None, f"no {', '.join(lacking)}", advice)


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
