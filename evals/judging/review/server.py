"""The review page's server: on this machine only, for whoever holds its address.

Trust boundary, three of them. Other users and pages on this machine: every request, for a file as well, must carry the
token in its path and name this machine as its host, so that neither a guess nor a rebound name gets an answer. The text
of transcripts: pages are rendered with escaping on, and a policy lets nothing run, load or be sent but this page's own
script, style and requests. Reviewers: what a blind reviewer may not see yet is not sent.
"""

import hmac
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sidedoor.evals.errors import one_line
from sidedoor.evals.judging.review.pages import FILES, Pages, Show
from sidedoor.evals.judging.review.review import Review, UnknownCaseError
from sidedoor.evals.judging.review.transcript import block_text
from sidedoor.scorers.adjudication import NOTE_LIMIT, AdjudicationError, reviewer_name
from sidedoor.scorers.judge.case import CaseError
from sidedoor.scorers.judge.panel import Question

HOST: Final = "127.0.0.1"
HOSTS: Final = (HOST, "localhost")
"""With any port, because a reviewer may forward one; a name that an attacker controls is never among them."""

CHUNK: Final = 50_000
"""Characters of a long text that one request gets."""

FORBIDDEN: Final = "403: open the address that sidedoor review printed, token included\n"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
_TYPES: Final = {".css": "text/css", ".js": "text/javascript"}


def new_token() -> str:
    """A token that nobody can guess: 192 bits, as letters for an address."""
    return secrets.token_urlsafe(24)


def listen(port: int) -> socket.socket:
    """A socket that listens on this machine alone; port 0 is any free one.

    Raises:
        OSError: the port cannot be had.
    """
    listening = socket.create_server((HOST, port))
    # An answer goes in two parts, and the second would wait 40 ms for the browser to acknowledge the first. Connections
    # inherit this; asyncio sets it only on sockets that were made with the protocol's number.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


class Guard:
    """Lets a request pass only if it names this machine and carries the token.

    Args:
        app: what is guarded.
        token: first part of every path.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 to whatever may not pass."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            app = self._app if self._passes(scope) else PlainTextResponse(FORBIDDEN, 403)
            await app(scope, receive, _with_headers(send))

    def _passes(self, scope: Scope) -> bool:
        given = scope["path"].removeprefix("/").partition("/")[0]
        hosts = Headers(scope=scope).getlist("host")
        named = len(hosts) == 1 and hosts[0].rsplit(":", 1)[0].lower() in HOSTS
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._token) and named


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return sending


class _Posted(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reviewer: str


class PostedDecision(_Posted):
    """What a reviewer decides on a case; fields as in `Decision`."""

    labels: dict[Question, StrictBool | None] = Field(default_factory=dict)
    severity: int | None = Field(default=None, ge=0, le=5, strict=True)
    note: str = Field(default="", max_length=NOTE_LIMIT)
    joint: bool = False


class PostedUndo(_Posted):
    """A reviewer takes back their latest decision on a case."""


def make_app(review: Review, token: str, reviewer: str = "") -> ASGIApp:
    """The application.

    Args:
        review: what is reviewed.
        token: first part of every path.
        reviewer: who reviews, if the address does not say.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(_Routes(review, reviewer).router(), prefix=f"/{token}")
    app.exception_handler(UnknownCaseError)(_answer(404))
    app.exception_handler(AdjudicationError)(_answer(409))
    app.exception_handler(CaseError)(_answer(409))
    app.exception_handler(ValidationError)(_answer(422))
    return Guard(app, token)


def _answer(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": one_line(error)}, status)

    return answer


class _Routes:
    def __init__(self, review: Review, usual: str) -> None:
        self._review, self._pages, self._usual = review, Pages(review), usual

    def router(self) -> APIRouter:
        router = APIRouter()
        router.get("/")(self.queue)
        router.get("/agreement")(self.agreement)
        router.get("/cases/{digest}")(self.case)
        router.get("/cases/{digest}/text/{key}")(self.text)
        router.post("/cases/{digest}/decisions")(self.decide)
        router.post("/cases/{digest}/undo")(self.undo)
        router.get("/files/{name}")(self.file)
        return router

    def queue(self, reviewer: str | None = None, show: Show = "all") -> HTMLResponse:
        name = self._usual if reviewer is None else reviewer
        if not name.strip():
            return _page(self._pages.welcome)
        return _page(lambda nonce: self._pages.queue(_named(name), show, nonce))

    def agreement(self, reviewer: str) -> HTMLResponse:
        return _page(lambda nonce: self._pages.agreement(_named(reviewer), nonce))

    def case(self, digest: str, reviewer: str) -> HTMLResponse:
        return _page(lambda nonce: self._pages.case(_named(reviewer), digest, nonce))

    def text(self, digest: str, key: str, start: Annotated[int, Query(ge=0)], end: int) -> JSONResponse:
        try:
            whole = block_text(self._review.case(digest), key)
        except IndexError:
            raise UnknownCaseError(f"no text {key} in this case") from None
        upto = min(end, start + CHUNK, len(whole))
        return JSONResponse({"text": whole[start:upto], "upto": upto})

    def decide(self, digest: str, posted: PostedDecision) -> JSONResponse:
        name = _named(posted.reviewer)
        made = self._review.decide(name, digest, posted.labels, posted.severity, posted.note, posted.joint)
        return JSONResponse(self._pages.saved(name, digest, made))

    def undo(self, digest: str, posted: PostedUndo) -> JSONResponse:
        name = _named(posted.reviewer)
        self._review.undo(name, digest)
        return JSONResponse(self._pages.saved(name, digest, None))

    def file(self, name: str) -> Response:
        if name not in FILES:
            raise HTTPException(404)
        return Response(FILES[name], media_type=_TYPES[Path(name).suffix])


def _page(render: Callable[[str], str]) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    return HTMLResponse(render(nonce), headers={"Content-Security-Policy": _POLICY.format(nonce=nonce)})


def _named(reviewer: str) -> str:
    try:
        return reviewer_name(reviewer)
    except ValueError as error:
        raise HTTPException(422, one_line(error)) from None
