"""Python's search for reference cycles, made rare while there is much to do."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

THRESHOLDS: Final = (20_000, 10, 2)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect cycles at a thirtieth of Python's own rate, and what is loaded already not at all.

    Inspect makes many objects that live as long as their sample, and a report many that live as long as it does. At
    Python's own rate a fifth of an evaluation's processor time goes into looking through them, and through every
    module, again and again. The oldest are looked through more readily than by default: a finished sample is such a
    cycle, and hundreds of them would wait for the end of a long run. Where it is so already, nothing changes: what has
    been made meanwhile may be garbage.
    """
    before = gc.get_threshold()
    if before == THRESHOLDS:
        yield
        return
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
