"""Runs of the instrumental suite against a local model server."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.model import ModelAPI
from rich.console import Console
from tenacity import wait_none

from sidedoor.evals.run import Run, RunRequest, start_run
from tests.protocols.server import ModelServer, Service

KEY = "sk-local-5f0c1e7a94d2b683"

Serve = Callable[..., Service]
Start = Callable[..., Run]


@pytest.fixture(scope="session")
def key() -> str:
    return KEY


@pytest.fixture(scope="session")
def model_server() -> Iterator[ModelServer]:
    with ModelServer(KEY) as server:
        yield server


@pytest.fixture(scope="module")
def serve(model_server: ModelServer) -> Iterator[Serve]:
    """Begins a service on the session's server, to which the providers' variables point."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in model_server.environment.items():
            patch.setenv(name, value)
        yield model_server.serve


@pytest.fixture(scope="module")
def impatient() -> Iterator[None]:
    """Inspect tries again at once; clients take their own time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelAPI, "retry_wait", lambda _: wait_none())
        yield


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Runs one model over cells of the instrumental suite, as the command line does."""

    def run(model: str, **request: Any) -> Run:
        wanted = RunRequest(suite="instrumental", models=(model,), **request)
        results: Path = tmp_path_factory.mktemp("results")
        return start_run(wanted, results, ["run", "instrumental"], Console(file=io.StringIO()))

    return run
