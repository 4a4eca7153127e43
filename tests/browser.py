"""Pages in a real browser, watched: what they log, what they request, and whether they fit."""

import os
import shutil
from pathlib import Path
from typing import Any, Literal

Scheme = Literal["light", "dark"]
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser"))), None
)

# Text is clipped where an element hides what does not fit, and unreachable where the page itself scrolls sideways.
CLIPPED = """() => [...document.querySelectorAll("body *")].filter(e => {
    const style = getComputedStyle(e);
    return e.clientWidth > 0 && style.overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1;
}).map(e => `${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 60)}`)"""
OUTSIDE = """() => [...document.querySelectorAll("body *")].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width > 0 && (box.right > document.documentElement.clientWidth + 1 || box.left < -1);
}).map(e => `${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 60)}`)"""


class Watched:
    """A page, and everything that it logged (`said`) or requested (`asked`)."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.asked.append(request.url))

    def keep(self, name: str) -> None:
        """Keep a picture of the whole page in the folder that SCREENSHOTS names, if it names one."""
        if folder := os.environ.get("SCREENSHOTS"):
            self.page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)

    def ask(self, script: str) -> list[str]:
        found: list[str] = self.page.evaluate(script)
        return found
