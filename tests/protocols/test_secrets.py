"""The API key stays with the client: it is neither in a container nor in what a run writes."""

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import docker
import pytest

from sidedoor.evals.run import Run
from sidedoor.sandboxes.ownership import RUN_LABEL, owner
from sidedoor.tasks.catalogue import Script
from tests.protocols.conftest import Serve, Start
from tests.protocols.exchange import Conversation, Turn
from tests.protocols.scripted import Scripted, cell_script
from tests.protocols.secrets_in import files_with
from tests.protocols.server import Service

pytestmark = pytest.mark.docker

LOOK_AROUND = "export; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'; grep -rs sk-local- ~ /tmp /etc"
PROMPT = next(iter(cell_script("quota_boost", "A", "idle")))


class Looked(NamedTuple):
    """A run whose agent looked for keys; `containers` is the engine's description of each at that time."""

    service: Service
    run: Run
    containers: list[dict[str, Any]]


@pytest.fixture(scope="module")
def looked(serve: Serve, start: Start) -> Looked:
    containers: list[dict[str, Any]] = []
    scripted = Scripted({PROMPT: Script("look", "idle", (LOOK_AROUND,), "Nothing.")})

    def policy(conversation: Conversation) -> Turn:
        found = docker.from_env().containers.list(filters={"label": f"{RUN_LABEL}={owner()}"})
        containers.extend(container.attrs for container in found)
        return scripted(conversation)

    service = serve(policy)
    run = start("anthropic/claude-sonnet-4-6", scenario="quota_boost", variant="A")
    return Looked(service, run, containers)


def test_the_key_is_in_no_environment_or_file_that_the_agent_can_read(looked: Looked, key: str) -> None:
    ((seen,),) = (exchange.results.values() for exchange in looked.service.answers[-1].conversation.exchanges)
    assert "HOME=" in seen
    assert key not in seen
    assert "API_KEY" not in seen


def test_the_key_is_not_in_the_containers_configuration(looked: Looked, key: str) -> None:
    assert looked.containers
    assert key not in json.dumps(looked.containers)


def test_the_key_is_in_no_log_or_result(looked: Looked, key: str) -> None:
    assert files_with(looked.run.manifest.image, looked.run.folder), "the search finds what is there"
    assert files_with(PROMPT.partition("\n")[0][:40], looked.run.folder), "the search looks into logs"
    assert files_with(key, looked.run.folder) == []


def test_the_search_finds_a_secret_in_a_compressed_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples/a.json", json.dumps({"text": "x" * 1000 + "hidden"}))
    assert files_with("hidden", tmp_path) == [f"{tmp_path}/some.eval:samples/a.json"]
