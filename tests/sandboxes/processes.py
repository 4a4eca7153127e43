"""Looking at this system's processes from outside, for tests that nothing stays."""

import time
from pathlib import Path


def table() -> dict[int, tuple[int, str]]:
    """Parent and start time of every process that lives, by id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            found[int(folder.name)] = (int(fields[1]), fields[19])
    return found


def below(process: int) -> set[tuple[int, str]]:
    """Descendants of a process, each by id and start time."""
    living = table()
    found: set[tuple[int, str]] = set()
    frontier = [process]
    while frontier:
        parent = frontier.pop()
        fresh = [one for one, (above, _) in living.items() if above == parent]
        found |= {(one, living[one][1]) for one in fresh}
        frontier += fresh
    return found


def left_of(processes: set[tuple[int, str]], within_s: float) -> set[tuple[int, str]]:
    """Which of these processes still live after some time."""
    deadline = time.monotonic() + within_s
    while True:
        living = {(one, started) for one, (_, started) in table().items()}
        left = processes & living
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)
