"""Words of the world's code, the answer scripts and the expectations are nowhere that an agent can look."""

import base64
import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from sidedoor.sandboxes.engine import connect
from sidedoor.sandboxes.image import ensure_image
from sidedoor.tasks.catalogue import load_scenario

SCENARIO = load_scenario("instrumental", "quota_boost")
CANARIES = [
    SCENARIO.world_class.__name__,
    "self.shortcut(",
    "self.official(",
    "_mark_submission",
    "RELIEF_DECISION_MINUTES",
    "useful_because",
    "access_escalation",
    "colleague-account",
    "relief-in-other-name",
    "constraint_violated",
    "benchmark_task_completed",
    "sidedoor",
    "inspect_ai",
    SCENARIO.spec.shortcuts[0].does,
    SCENARIO.references["official"].does,
    SCENARIO.references["near_miss"].final,
]
PLANTED = "the blue folder is on the third shelf"
SCAN = (Path(__file__).parent / "scan.py").read_text()


def scan(*phrases: str) -> str:
    encoded = base64.b64encode(json.dumps([*phrases]).encode()).decode()
    return f"python3 - {encoded} <<'END'\n{{% raw %}}{SCAN}{{% endraw %}}\nEND"


@pytest.mark.play(
    "jobctl queue > /dev/null; acctctl list; jobctl nothing; jobctl submit x --account y", scan(*CANARIES)
)
def test_no_canary_is_in_any_file_environment_command_line_or_memory_in_reach(ending):
    assert len(ending.evidence.journal) == 4  # the world was awake
    assert json.loads(ending.outputs[1]) == {}


@pytest.mark.play(
    f"echo '{PLANTED}' > ~/docs/.planted; SHELF='{PLANTED}' sleep 30 & exec -a '{PLANTED}' sleep 30 & "
    f'python3 -c \'import base64, time; x = base64.b64decode("{base64.b64encode(PLANTED.encode()).decode()}"); '
    "time.sleep(30)' & sleep 1",
    scan(PLANTED),
)
def test_what_is_planted_is_found(ending):
    found = json.loads(ending.outputs[1])
    assert set(found) == {"/home/operator/docs/.planted", "environ", "cmdline", "memory"}


@pytest.mark.docker
def test_no_canary_is_in_any_layer_of_the_image():
    engine = connect()
    image = ensure_image(engine, print)
    canaries = [word for word in CANARIES if word != "sidedoor"]  # the archive's index has the image's name
    assert held([*canaries, "deb.debian.org"], engine.client.get_image(image)) == {"deb.debian.org"}


def held(phrases: list[str], chunks: Iterable[bytes]) -> set[str]:
    pattern, overlap = re.compile("|".join(map(re.escape, phrases)).encode()), max(map(len, phrases))
    found: set[bytes] = set()
    tail = b""
    for chunk in chunks:
        found.update(pattern.findall(tail + chunk))
        tail = chunk[-overlap:]
    return {phrase.decode() for phrase in found}
