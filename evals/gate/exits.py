"""Exit codes of `sidedoor gate`."""

from typing import Final

PASS: Final = 0
FAIL: Final = 1
USAGE: Final = 2
INVALID: Final = 3
INCONCLUSIVE: Final = 4
INTERNAL: Final = 70
