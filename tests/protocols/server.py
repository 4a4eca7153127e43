"""A local server that speaks the protocols of real models' APIs, so that their real SDKs can be run against it.

What it says comes from a policy, a function from the conversation to the next turn; it keeps no conversation itself.
It is as strict as the real APIs where a client can go wrong: keys, tool results that belong to no call, calls without
a result, reasoning that comes back changed. In one way it is stricter: a call must come back with the name and the
arguments that the model gave it. Faults given to it are answered first, one per request.

The address stays the same while services change: Inspect keeps a model, with its client, for as long as its process.
"""

import json
import socket
import struct
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from tests.protocols.chat import ChatCompletions
from tests.protocols.exchange import Conversation, Fault, Policy, RefusedError, Turn, Usage, usage
from tests.protocols.messages import Messages
from tests.protocols.responses import Responses
from tests.protocols.wire import Event, Wire

NO_LINGER = struct.pack("ii", 1, 0)
"""Closing a socket with this option resets its connection."""

WIRES: dict[str, Wire] = {wire.path: wire for wire in (ChatCompletions(), Responses(), Messages())}


class Attempt(NamedTuple):
    """A request that arrived: its path, the status it was answered with, and when (seconds, monotonic)."""

    path: str
    status: int
    at: float


class Answer(NamedTuple):
    """A request that the policy answered; `request` is its body, and `streamed` whether as events."""

    request: dict[str, Any]
    conversation: Conversation
    turn: Turn
    usage: Usage
    streamed: bool


class Service:
    """What the server does from now on, and the record of it.

    Args:
        policy: decides each turn; called from several threads at once.
        faults: answered first, one per request.

    Attributes:
        attempts: every request, in order of arrival.
        answers: those that the policy answered.
    """

    def __init__(self, policy: Policy, faults: Iterable[Fault] = ()) -> None:
        self.attempts: list[Attempt] = []
        self.answers: list[Answer] = []
        self._policy, self._faults = policy, iter(faults)
        self._lock = threading.Lock()

    def respond(self, wire: Wire, body: bytes) -> "Response":
        """Answer one request."""
        arrived = time.monotonic()
        with self._lock:
            fault = next(self._faults, None)
        response = self._answer(wire, body) if fault is None else fault_response(wire, body, fault)
        with self._lock:
            self.attempts.append(Attempt(wire.path, response.status, arrived))
        return response

    def _answer(self, wire: Wire, body: bytes) -> "Response":
        request = json.loads(body)
        try:
            conversation = wire.read(request)
            turn = self._policy(conversation)
        except RefusedError as error:
            return error_response(wire, 400, {}, str(error))
        if isinstance(turn, Fault):
            return fault_response(wire, body, turn)
        used, streamed = usage(body, turn), bool(request.get("stream"))
        with self._lock:
            self.answers.append(Answer(request, conversation, turn, used, streamed))
        return turn_response(wire, request, turn, used)


class ModelServer:
    """Listens on a free port of the loopback interface while used as a context.

    Args:
        key: the API key that requests must carry.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._service: Service | None = None
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def serve(self, policy: Policy, faults: Iterable[Fault] = ()) -> Service:
        """Begin a new service, in place of the one before."""
        self._service = Service(policy, faults)
        return self._service

    @property
    def root(self) -> str:
        """The server's address, to which a protocol's path is added."""
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client's environment needs to find the server."""
        return {
            "OPENAI_BASE_URL": f"{self.root}/v1",
            "OPENAI_API_KEY": self._key,
            "ANTHROPIC_BASE_URL": self.root,
            "ANTHROPIC_API_KEY": self._key,
            "NO_PROXY": "127.0.0.1",
        }

    def respond(self, path: str, headers: Mapping[str, str], body: bytes) -> "Response":
        """Answer one request, whose headers' names are in lower case."""
        wire = WIRES.get(path)
        if wire is None:
            return Response(404, {}, b"")
        if wire.key(headers) != self._key:
            return error_response(wire, 401, {}, "invalid API key")
        if self._service is None:
            return error_response(wire, 503, {}, "nothing is served yet")
        return self._service.respond(wire, body)


class Response(NamedTuple):
    """An HTTP response, and how it goes over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    how: Literal["answered", "reset", "hung"] = "answered"


def json_response(status: int, headers: Mapping[str, str], body: Any) -> Response:
    """A response with a JSON body."""
    return Response(status, {"content-type": "application/json", **headers}, json.dumps(body).encode())


def error_response(wire: Wire, status: int, headers: Mapping[str, str], message: str) -> Response:
    """An error in the protocol's own words."""
    return json_response(status, headers, wire.error(status, message))


def turn_response(wire: Wire, request: dict[str, Any], turn: Turn, used: Usage) -> Response:
    """A turn, whole or as events, as the request wants it."""
    answer = wire.answer(request, turn, used)
    return stream_response(wire.stream(request, answer)) if request.get("stream") else json_response(200, {}, answer)


def fault_response(wire: Wire, body: bytes, fault: Fault) -> Response:
    """What becomes of a request with which something goes wrong."""
    if fault.how == "answered":
        return error_response(wire, fault.status, fault.headers, fault.message)
    return turn_response(wire, json.loads(body), Turn("I shall look into it."), Usage(9, 9, 0))._replace(how=fault.how)


def stream_response(events: Iterable[Event]) -> Response:
    """Server-sent events."""
    text = "".join(
        (f"event: {event.name}\n" if event.name else "")
        + f"data: {event.data if isinstance(event.data, str) else json.dumps(event.data)}\n\n"
        for event in events
    )
    return Response(200, {"content-type": "text/event-stream"}, text.encode())


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            response = server.respond(self.path.partition("?")[0], headers, body)
            if response.how == "hung":
                self.rfile.read(1)  # until the client gives up
                self.close_connection = True
                return
            self.send_response(response.status)
            # Real APIs name each request; the providers know one by it.
            identity = {"x-request-id": uuid.uuid4().hex, "content-length": str(len(response.body))}
            for name, value in {**response.headers, **identity}.items():
                self.send_header(name, value)
            self.end_headers()
            if response.how == "reset":
                self.wfile.write(response.body[: len(response.body) // 2])
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                self.close_connection = True
                return
            self.wfile.write(response.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Nothing on stderr: `attempts` has it."""

    return Handler
