"""Text that an agent, a model or a file name controls, made safe to show.

Trust boundary: everything that a log says may be hostile. Escaping for HTML, Markdown or LaTeX is the templates' work
(`sidedoor.evals.report.render`); here control characters become visible, because no escaping stops a bidirectional
override from reordering what a reader sees, or an ANSI sequence from repainting a terminal; and length is bounded.
"""

import hashlib
from html import escape
from typing import Final

from sidedoor.scorers.visible import visible

NAME_LIMIT: Final = 80


def one_line(text: str) -> str:
    """Visible text on one line."""
    return " ".join(visible(text).split())


def name(text: str) -> str:
    """An identifier for display: visible, on one line, and if it is too long, cut with a digest that tells it apart."""
    shown = one_line(text)
    if len(shown) <= NAME_LIMIT:
        return shown or "(no name)"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{shown[: NAME_LIMIT - 12]}… {digest}"


def clip(text: str, limit: int) -> str:
    """Visible text of at most `limit` bytes once escaped for HTML, followed by what was left out, if anything.

    Args:
        text: any length; no more of it than can fit is looked at.
        limit: bytes of UTF-8.
    """
    shown = visible(text[:limit])
    size = 0
    for position, character in enumerate(shown):
        size += len(escape(character).encode())
        if size > limit:
            return f"{shown[:position]} … (cut; {len(text):,} characters in the log)"
    return shown if len(text) <= limit else f"{shown} … (cut; {len(text):,} characters in the log)"
