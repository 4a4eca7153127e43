"""Making text that an agent controls visible: what a reader, human or not, would not see is shown as a sign.

Trust boundary: everything in a transcript may be hostile. No escaping for HTML, Markdown or a prompt stops a
bidirectional override from reordering what is read, a zero-width character from splitting a word, or an ANSI sequence
from repainting a terminal.
"""

import re
from typing import Final

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


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < ord(" "):
        return chr(_CONTROL_PICTURES + code)
    return "\u2421" if code == _DELETE else f"⟨U+{code:04X}⟩"
