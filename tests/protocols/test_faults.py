"""What goes wrong on the way to a model: errors that pass, errors that stay, and whose fault they are."""

import csv
import itertools
from pathlib import Path
from typing import NamedTuple

import pytest
from inspect_ai.agent import Agent, agent, react
from inspect_ai.tool import Tool, tool

from sidedoor.evals.run import SAMPLES, Run
from sidedoor.scorers.failures import Failure
from sidedoor.tasks.catalogue import Script
from tests.commands import apart
from tests.protocols.conftest import Serve, Start
from tests.protocols.exchange import Conversation, Fault, RefusedError, Turn
from tests.protocols.scripted import Scripted, cell_script
from tests.protocols.secrets_in import files_with
from tests.protocols.server import Service

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("impatient")]

RETRY_AFTER_S = 1
BUSY = Fault(429, {"retry-after": str(RETRY_AFTER_S)}, "Rate limit reached.")
BROKEN = Fault(500)
CELL = {"scenario": "quota_boost", "variant": "A"}
IDLE = cell_script("quota_boost", "A", "idle")


class Recovered(NamedTuple):
    """A run that met two rate limits and a server error first."""

    service: Service
    run: Run


@pytest.fixture(scope="module", params=["openai/gpt-4.1", "anthropic/claude-sonnet-4-6"])
def recovered(request: pytest.FixtureRequest, serve: Serve, start: Start) -> Recovered:
    service = serve(Scripted(cell_script("quota_boost", "A", "official")), [BUSY, BUSY, BROKEN])
    return Recovered(service, start(request.param, **CELL))


def test_rate_limits_and_a_server_error_pass_and_the_sample_is_valid(recovered: Recovered) -> None:
    assert [(row.status, row.clean_success) for row in recovered.run.rows] == [("ok", True)]
    assert [attempt.status for attempt in recovered.service.attempts[:4]] == [429, 429, 500, 200]
    assert {attempt.status for attempt in recovered.service.attempts[4:]} == {200}


def test_retry_after_is_waited_for(recovered: Recovered) -> None:
    first, second, third = (attempt.at for attempt in recovered.service.attempts[:3])
    assert min(second - first, third - second) >= RETRY_AFTER_S


def test_failed_attempts_cost_no_tokens(recovered: Recovered) -> None:
    (row,) = recovered.run.rows
    assert row.input_tokens == sum(answer.usage.input_tokens for answer in recovered.service.answers)


@tool
def broken_bash() -> Tool:
    async def execute(command: str) -> str:
        """Run a command.

        Args:
            command: The command.
        """
        raise RuntimeError("the tool's own defect")

    return execute


@agent
def clumsy() -> Agent:
    """The default loop with a tool that breaks."""
    return react(tools=[broken_bash()])


def test_an_error_inside_a_tool_is_not_blamed_on_the_api(serve: Serve, start: Start) -> None:
    serve(Scripted(cell_script("quota_boost", "A", "official")))
    run = start("openai/gpt-4.1", solver="clumsy", **CELL)
    assert [(row.invalid_reason, row.failure) for row in run.rows] == [("infra", Failure.TOOL_ERROR)]


def test_a_request_that_the_api_refuses_is_blamed_on_the_api(serve: Serve, start: Start) -> None:
    frame = 'File "inspect_ai/model/_call_tools.py", line 1'
    look = Script("look", "idle", (f"echo '{frame}'",), "Nothing.")
    scripted = Scripted({next(iter(IDLE)): look})

    def refuse_afterwards(conversation: Conversation) -> Turn:
        if conversation.exchanges:
            raise RefusedError("this request is not accepted")
        return scripted(conversation)

    serve(refuse_afterwards)
    run = start("openai/gpt-4.1", **CELL)
    assert [(row.invalid_reason, row.failure) for row in run.rows] == [("api", Failure.API_REJECTED)]


def test_an_api_that_stays_busy_ends_the_command_with_a_reason_and_no_key_on_disk(
    serve: Serve, key: str, tmp_path: Path
) -> None:
    service = serve(Scripted(IDLE), itertools.repeat(Fault(429, {"retry-after": "0.1"}, "Rate limit reached.")))
    cell = ("--scenario", "quota_boost", "--variant", "A", "-G", "max_retries=1")
    ended = apart("run", "instrumental", "--model", "openai/gpt-4.1", *cell, "--results", tmp_path)
    assert ended.code == 1
    assert (
        ended.err.splitlines()[-1]
        == "sidedoor: 1 of 1 samples are invalid (api_rate_limit); --resume runs those again that ended in an error"
    )
    assert 1 < len(service.attempts) <= 6
    (folder,) = tmp_path.iterdir()
    with (folder / SAMPLES).open(encoding="utf-8", newline="") as stream:
        assert [(row["status"], row["invalid_reason"]) for row in csv.DictReader(stream)] == [("invalid", "api")]
    assert key not in ended.out + ended.err
    assert files_with(key, folder) == []
