"""What tests of several folders share: a headless Chromium."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import CHROMIUM


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
