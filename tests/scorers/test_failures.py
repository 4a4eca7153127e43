"""Kinds of failures: told by a traceback's frames and its exception, whatever an agent put into the message."""

from typing import get_args

import pytest
from inspect_ai.log import EvalSampleLimit

from sidedoor.evals.report.words import KINDS
from sidedoor.sandboxes.engine import ContainerGoneError, EngineUnavailableError
from sidedoor.sandboxes.gateway import GatewayError
from sidedoor.sandboxes.session import SessionLostError
from sidedoor.sandboxes.streams import StreamClosedError
from sidedoor.scorers.failures import (
    Failure,
    error_failure,
    error_name,
    incidents_text,
    limit_failure,
    read_incidents,
    status_failure,
)

LIMITS = get_args(EvalSampleLimit.model_fields["type"].annotation)
MODEL, TOOL = (f'  File "/x/inspect_ai/model/{name}.py", line 1, in f\n    g()\n' for name in ("_model", "_call_tools"))
SCORER, AGENT, START = (
    f'  File "/x/{name}.py", line 1, in f\n    g()\n'
    for name in ("scorers/state", "evals/attended", "sandboxes/provider")
)
AGENTS_TEXT = (
    'tenacity.RetryError: RetryError[<Future at 0x1 raised RateLimitError>] File \\"inspect_ai/model/_model.py\\", line'
)


@pytest.mark.parametrize(
    ("frames", "last", "kind"),
    [
        (MODEL, "openai.RateLimitError: slow down", Failure.API_RATE_LIMIT),
        (
            MODEL,
            "tenacity.RetryError: RetryError[<Future at 0x1 state=finished raised APITimeoutError>]",
            Failure.API_TIMEOUT,
        ),
        (MODEL, "inspect_ai.model._model.AttemptTimeoutError: 600 exceeded", Failure.API_TIMEOUT),
        (MODEL, "anthropic._exceptions.OverloadedError: {}", Failure.API_SERVER_ERROR),
        (MODEL, "httpx.RemoteProtocolError: peer closed connection", Failure.API_CONNECTION),
        (MODEL, f"ModelGenerateError: \nRequest:\n{AGENTS_TEXT}", Failure.API_REJECTED),
        (MODEL, "somebody.StrangeError", Failure.API_OTHER),
        (MODEL + TOOL, f"RuntimeError: {AGENTS_TEXT}", Failure.TOOL_ERROR),
        (TOOL + MODEL, "openai.InternalServerError: 500", Failure.API_SERVER_ERROR),
        (TOOL, "KeyError: '" + MODEL.replace("\n", "\\n") + "'", Failure.TOOL_ERROR),
        (SCORER, "ValueError: what", Failure.SCORING_ERROR),
        (SCORER + AGENT, "KeyError: 'what'", Failure.AGENT_ERROR),
        (START, "sidedoor.sandboxes.machine.ProviderUnavailableError: no engine", Failure.PROVIDER),
        (START, "sidedoor.sandboxes.gateway.GatewayError: it did not start", Failure.NOT_STARTED),
        (TOOL, "sidedoor.sandboxes.machine.MachineGoneError: it ended", Failure.MACHINE_DIED),
        (START, "ZeroDivisionError: division by zero", Failure.UNKNOWN),
    ],
)
def test_an_error_is_of_the_kind_that_its_frames_and_its_class_say(frames: str, last: str, kind: Failure) -> None:
    assert error_failure(f"Traceback (most recent call last):\n{frames}{last}\n") == kind


@pytest.mark.parametrize(
    "error", [StreamClosedError, SessionLostError, GatewayError, EngineUnavailableError, ContainerGoneError]
)
def test_what_goes_wrong_with_a_machine_is_not_blamed_on_the_agent_that_waits_for_it(error: type[Exception]) -> None:
    said = f"Traceback (most recent call last):\n{AGENT}{START}{error.__module__}.{error.__name__}: it ended\n"
    assert error_failure(said) in (Failure.MACHINE_DIED, Failure.NOT_STARTED, Failure.PROVIDER)


@pytest.mark.parametrize("text", ["", "\n", "nonsense", "Traceback (most recent call last):\n", "=" * 100_000])
def test_what_is_no_traceback_is_an_error_of_an_unknown_kind(text: str) -> None:
    assert error_failure(text) == Failure.UNKNOWN


def test_a_message_of_several_lines_does_not_hide_the_class() -> None:
    assert error_name(f"{MODEL}ModelGenerateError: \nRequest:\n  a: 1\n\nBadRequestError()\n") == "ModelGenerateError"


def test_each_of_inspects_limits_has_a_kind() -> None:
    assert {limit_failure(one) for one in LIMITS} <= set(Failure)
    own = ("message", "token", "time", "working", "cost", "turn", "context")
    assert {limit_failure(one).value for one in own} == {f"limit_{one}" for one in own}
    assert limit_failure("operator") == Failure.LIMIT_OTHER


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, None),
        (400, Failure.API_REJECTED),
        (401, Failure.API_REJECTED),
        (408, Failure.API_TIMEOUT),
        (429, Failure.API_RATE_LIMIT),
        (500, Failure.API_SERVER_ERROR),
        (529, Failure.API_SERVER_ERROR),
    ],
)
def test_a_status_has_the_kind_that_http_gives_it(status: int, kind: Failure | None) -> None:
    assert status_failure(status) == kind


@pytest.mark.parametrize("kind", Failure)
def test_every_kind_has_a_reason_and_words_and_comes_back_from_a_cell(kind: Failure) -> None:
    assert kind.reason == "api" or not kind.value.startswith("api_")
    assert KINDS[kind]
    assert read_incidents(incidents_text({kind: 3})) == {kind: 3}


@pytest.mark.parametrize("cell", ["what", "refusal", "refusal=many", "=1"])
def test_a_cell_that_holds_no_incidents_is_refused(cell: str) -> None:
    with pytest.raises(ValueError):
        read_incidents(cell)
