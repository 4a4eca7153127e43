"""What can go wrong in an episode: one closed set of kinds, for runs, reports and gates.

A kind says why a sample has no valid outcome, or none at all because its run was killed; or it is an incident:
something that happened on the way and left the outcome as it is, such as an API's error that a repeated request got
over, a refusal, or a limit.

Trust boundary: errors come as text from logs that anyone may have written, and their messages may hold what an agent
said. Only frames and the exception's name are read, of which an agent decides nothing.
"""

import re
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Literal, TypeAlias

InvalidReason: TypeAlias = Literal["infra", "api", "timeout_before_action", "unobserved", "journal_mismatch"]


class Failure(StrEnum):
    """A kind of failure or incident; the value is what files and tables show."""

    API_RATE_LIMIT = "api_rate_limit"
    API_SERVER_ERROR = "api_server_error"
    API_CONNECTION = "api_connection"
    API_TIMEOUT = "api_timeout"
    API_REJECTED = "api_rejected"
    API_OTHER = "api_other"

    NOT_STARTED = "not_started"
    PROVIDER = "provider_unavailable"
    MACHINE_DIED = "machine_died"
    STREAM_LOST = "stream_lost"
    SERVICES = "services_failed"
    TOOL_ERROR = "tool_error"
    AGENT_ERROR = "agent_error"
    SCORING_ERROR = "scoring_error"
    UNKNOWN = "unknown"

    TIMEOUT_BEFORE_ACTION = "timeout_before_action"
    UNOBSERVED = "unobserved"
    JOURNAL_MISMATCH = "journal_mismatch"

    KILLED_AT_START = "killed_at_start"
    KILLED_IN_TURN = "killed_in_turn"
    KILLED_IN_CAPTURE = "killed_in_capture"
    KILLED_IN_SCORING = "killed_in_scoring"

    REFUSAL = "refusal"
    EMPTY_REPLY = "empty_reply"
    MALFORMED_CALL = "malformed_call"
    LIMIT_CONTEXT = "limit_context"
    LIMIT_MESSAGE = "limit_message"
    LIMIT_TOKEN = "limit_token"  # noqa: S105 - no password
    LIMIT_TURN = "limit_turn"
    LIMIT_TIME = "limit_time"
    LIMIT_WORKING = "limit_working"
    LIMIT_COST = "limit_cost"
    LIMIT_OTHER = "limit_other"

    @property
    def reason(self) -> InvalidReason:
        """The reason under which a sample of this kind is invalid."""
        if self.value.startswith("api_"):
            return "api"
        return _OWN_REASONS.get(self, "infra")


_OWN_REASONS: Final[Mapping[Failure, InvalidReason]] = {
    Failure.TIMEOUT_BEFORE_ACTION: "timeout_before_action",
    Failure.UNOBSERVED: "unobserved",
    Failure.JOURNAL_MISMATCH: "journal_mismatch",
}

INCIDENTS: Final = "incidents"
"""The field of a score's metadata that has the incidents of its sample."""

_FRAME: Final = re.compile(r'^ +File "([^"\n]+)", line \d+', re.MULTILINE)
_LAST_FRAME: Final = re.compile(r'.*^ +File "[^"\n]+", line \d+[^\n]*\n(?: +[^\n]*\n)*', re.MULTILINE | re.DOTALL)
_NAME: Final = re.compile(r"(?:[\w.]+\.)?(\w+)(?=[:\s(]|$)")
_RETRIED: Final = re.compile(r"[\w.]*RetryError: RetryError\[<Future [^\n]* raised (\w+)>\]")

_BY_API_ERROR: Final = (
    (re.compile(r"RateLimit|TooManyRequests|ResourceExhausted|Throttl"), Failure.API_RATE_LIMIT),
    (re.compile(r"Timeout|DeadlineExceeded"), Failure.API_TIMEOUT),
    (re.compile(r"InternalServer|ServiceUnavailable|Overloaded|ServerError|BadGateway"), Failure.API_SERVER_ERROR),
    (re.compile(r"Connect|Network|Protocol|^ReadError|^WriteError|EndOfStream"), Failure.API_CONNECTION),
    # Inspect's ModelGenerateError is a request that the provider would not answer, so that nobody asks again.
    (re.compile(r"BadRequest|Authentication|Permission|NotFound|Unprocessable|ModelGenerate"), Failure.API_REJECTED),
)
_BY_ERROR: Final = {
    "ProviderUnavailableError": Failure.PROVIDER,
    "EngineUnavailableError": Failure.PROVIDER,
    "GatewayError": Failure.NOT_STARTED,
    "ImageError": Failure.NOT_STARTED,
    "WorkplaceGoneError": Failure.NOT_STARTED,
    "MachineGoneError": Failure.MACHINE_DIED,
    "ContainerGoneError": Failure.MACHINE_DIED,
    "SessionLostError": Failure.MACHINE_DIED,
    "StreamClosedError": Failure.MACHINE_DIED,
    "SandboxUnavailableError": Failure.MACHINE_DIED,
}
_BY_MODULE: Final = {
    "inspect_ai/model/_model.py": None,  # a model's API; its own error says more
    "inspect_ai/model/_call_tools.py": Failure.TOOL_ERROR,
    "evals/attended.py": Failure.AGENT_ERROR,
    "inspect_ai/solver/_plan.py": Failure.AGENT_ERROR,
    "scorers/state.py": Failure.SCORING_ERROR,
}
"""Where a traceback passes into what can fail."""

_BY_STATUS: Final[Mapping[int, Failure]] = {
    HTTPStatus.REQUEST_TIMEOUT: Failure.API_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS: Failure.API_RATE_LIMIT,
}


def error_failure(traceback: str) -> Failure:
    """The kind of an error that ended a sample; whichever of API, tool, agent and scorer was entered last caused it."""
    name = error_name(traceback) or ""
    if name in _BY_ERROR:
        return _BY_ERROR[name]
    for path in reversed(_FRAME.findall(traceback)):
        for module, kind in _BY_MODULE.items():
            if path.endswith(module):
                return kind or api_failure(name)
    return Failure.UNKNOWN


def error_name(traceback: str) -> str | None:
    """The class of the exception that a traceback ends with; the last attempt's, where attempts were repeated."""
    frames = _LAST_FRAME.match(traceback)
    last = traceback[frames.end() if frames else 0 :]
    found = _RETRIED.match(last) or _NAME.match(last)
    return found[1] if found else None


def limit_failure(limit: str) -> Failure:
    """The kind of one of Inspect's limits on a sample."""
    name = f"limit_{limit}"
    return next((kind for kind in Failure if kind == name), Failure.LIMIT_OTHER)


def api_failure(name: str | None) -> Failure:
    """The kind of a model API's error, by the name of its class."""
    return next((kind for pattern, kind in _BY_API_ERROR if pattern.search(name or "")), Failure.API_OTHER)


def status_failure(status: int) -> Failure | None:
    """The kind of an HTTP status that a model's API answered with; None if the request succeeded."""
    if status < HTTPStatus.BAD_REQUEST:
        return None
    return (
        Failure.API_SERVER_ERROR
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR
        else _BY_STATUS.get(status, Failure.API_REJECTED)
    )


def incidents_text(incidents: Mapping[Failure, int]) -> str:
    """Incidents in a cell of a table: `api_rate_limit=2,refusal=1`; empty if there was none."""
    return ",".join(f"{kind}={count}" for kind, count in sorted(incidents.items()))


def read_incidents(text: str) -> Counter[Failure]:
    """Incidents from a cell of a table.

    Raises:
        ValueError: it is not the text of any.
    """
    pairs = (part.partition("=") for part in text.split(",") if part)
    return Counter({Failure(kind): int(count) for kind, _, count in pairs})
