"""Text that an agent, a model or a file name controls, made safe to show.

Trust boundary: everything that a log says may be hostile. Escaping for HTML, Markdown or LaTeX is the templates' work
(`sidedoor.evals.report.render`); here control characters become visible, because no escaping stops a bidirectional
override from reordering what a reader sees, or an ANSI sequence from repainting a terminal; and length is bounded.
"""

import hashlib
import re
from html import escape
from typing import Final

NAME_LIMIT: Final = 80

# Everything that is not shown as itself: C0 but tab and newline, DEL and C1, joiners and marks of direction, line
# separators, fillers, lone surrogates, the byte order mark, interlinear marks, private use and tags.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ue000-\uf8ff"
    "\U000e0000-\U0010ffff]"
)
_CONTROL_PICTURES: Final = 0x2400
_DELETE: Final = 0x7F


def visible(text: str) -> str:
    """The text with every control, bidirectional, invisible or unpaired character replaced by a visible sign.

    ASCII controls become their control pictures (`␛`), others their code point (`⟨U+202E⟩`). Tabs and newlines stay.
    """
    return _UNSEEN.sub(_sign, text)


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


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < ord(" "):
        return chr(_CONTROL_PICTURES + code)
    return "\u2421" if code == _DELETE else f"⟨U+{code:04X}⟩"
