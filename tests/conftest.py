"""What tests of several folders share, and what becomes of tests that need what is not there.

Shared are a headless Chromium, the command line, a console, a copy of the tasks tree. What loads Inspect is imported
where it is needed: the process that directs the workers, for whose start they wait, needs none of it.
"""

import asyncio
import gc
import io
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.browser import CHROMIUM, Scheme, Watched
from tests.commands import Cli, in_process, start_server_as_a_copy


@cache
def missing_engine() -> str | None:
    """Why there is no Docker engine here; None if one answers."""
    from sidedoor.sandboxes.engine import EngineUnavailableError, connect

    try:
        connect()
    except EngineUnavailableError as error:
        return str(error)
    return None


@cache
def missing_bubblewrap() -> str | None:
    """Why there are no embedded machines here; None if there are."""
    from sidedoor.sandboxes.choice import provider_named
    from sidedoor.sandboxes.machine import ProviderUnavailableError

    try:
        asyncio.run(provider_named("embedded").prepare(print))
    except ProviderUnavailableError as error:
        return str(error)
    return None


MISSING = {"docker": missing_engine, "embedded": missing_bubblewrap}
"""By the marker of the tests that need it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with many slow tests first: the last one keeps one worker busy when others have nothing left to do."""
    from tests import spared  # noqa: F401 - for what it does

    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Look for cycles as rarely as a run does, which saves tests a twentieth of their time, and serve commands."""
    from sidedoor.evals.garbage import THRESHOLDS

    gc.set_threshold(*THRESHOLDS)
    if any(item.get_closest_marker("slow") for item in session.items):
        start_server_as_a_copy()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that need an engine or bubblewrap where there is none; the summary counts them, and says why."""
    for marker, missing in MISSING.items():
        if item.get_closest_marker(marker) and (reason := missing()) is not None:
            pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium that ends with the module's tests, because its event loop is in the way of others'."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no page is opened")
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: no page is opened")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def profile(browser: Any) -> Iterator[Any]:
    """A browser profile with a page that stays, so that others share its renderer: to start one is a second of CPU."""
    with browser.new_context() as context:
        context.new_page()
        yield context


@pytest.fixture
def open_page(profile: Any) -> Iterator[Callable[..., Watched]]:
    """Opens an address, or a file, in a page of its own."""
    pages = []

    def opened(address: str | Path, width: int = 1280, scheme: Scheme = "light") -> Watched:
        pages.append(page := profile.new_page())
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        watched = Watched(page)
        page.goto(address.as_uri() if isinstance(address, Path) else address)
        return watched

    yield opened
    for page in pages:
        with suppress(Exception):
            page.close()


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs `sidedoor ARGUMENTS` in this process."""
    return in_process(monkeypatch, capsys)


@pytest.fixture
def console() -> Console:
    """A wide console that keeps what is printed (see `printed`)."""
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def printed(console: Console) -> Callable[[], str]:
    """What was printed on `console`."""

    def text() -> str:
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    return text


@pytest.fixture
def tasks_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The tasks tree, copied, with the catalogue and the scaffolding using the copy."""
    from sidedoor.evals import scaffold
    from sidedoor.tasks import catalogue

    root = tmp_path / "tasks"
    shutil.copytree(catalogue.ROOT, root, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(catalogue, "ROOT", root)
    monkeypatch.setattr(scaffold, "ROOT", root)
    monkeypatch.setattr(scaffold, "TEMPLATE", root / "template")
    known = (catalogue.load_suite, catalogue.load_scenario)
    for kept in known:
        kept.cache_clear()
    yield root
    for kept in known:
        kept.cache_clear()
