"""What holds for every request before any route sees it: bounds, origin, headers, no traceback outside."""

import asyncio
import logging
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from commonview.api.context import ApiContext
from commonview.api.errors import error_response
from commonview.api.media_address import BROWSER_PROTOCOLS
from commonview.network.tree.sheets import MAX_UPLOAD_BYTES

log = logging.getLogger(__name__)

BODY_MAX_BYTES = 64 * 1024
BODY_TIMEOUT_S = 15.0
UPLOAD_PREFIX = "/api/device-upload/"
UPLOAD_TIMEOUT_S = 60.0
IMPORT_PATH = "/api/imports"
IMPORT_PIECE_TIMEOUT_S = 20.0
"""Seconds between two pieces of a file; as a whole it may take as long as a slow line needs."""

_FIXED_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(self), geolocation=()",
}


@dataclass(slots=True)
class GateCounters:
    """What the gate turned away, and what failed behind it, since the start."""

    requests: int = 0
    foreign_origin: int = 0
    body_too_large: int = 0
    body_too_slow: int = 0
    internal_errors: int = 0


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code, self.message = status, code, message


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context: ApiContext = scope["app"].state.context
        counters: GateCounters = scope["app"].state.gate_counters
        counters.requests += 1
        headers = Headers(scope=scope)
        api = scope["path"].startswith("/api/")
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(MutableHeaders(scope=message), context, headers.get("host", ""), api=api)
            await send(message)

        try:
            _check_origin(scope["method"], headers, context, counters)
            if scope["method"] == "POST" and scope["path"] == IMPORT_PATH:
                streamed = _StreamedBody(headers, receive, counters)
                receive = streamed.receive
                await self._app(scope, receive, streamed.closing(guarded_send))
                return
            receive = await _bounded_body(headers, receive, counters, _body_limit(scope["path"], context))
            await self._app(scope, receive, guarded_send)
        except _Refused as refused:
            response = error_response(refused.status, refused.code, refused.message)
            response.headers["Connection"] = "close"
            await response(scope, receive, guarded_send)
        except Exception:
            counters.internal_errors += 1
            log.exception("internal error in %s %s", scope["method"], scope["path"])
            if started:  # too late for words: the server closes the connection
                raise
            await error_response(500, "internal_error", "something failed inside; the log says what")(
                scope, receive, guarded_send
            )


def _check_origin(method: str, headers: Headers, context: ApiContext, counters: GateCounters) -> None:
    origin = headers.get("origin")
    if origin is None:
        return
    if origin.lower() in _own_origins(headers, context):
        return
    counters.foreign_origin += 1
    raise _Refused(403, "foreign_origin", "requests from pages of another origin are refused")


def _own_origins(headers: Headers, context: ApiContext) -> set[str]:
    host = headers.get("host", "").lower()
    own = {f"http://{host}", f"https://{host}"} if host else set()
    public = urlsplit(context.settings.public_url)
    if public.netloc:
        own.add(f"{public.scheme}://{public.netloc}".lower())
    return own


def _body_limit(path: str, context: ApiContext) -> int:
    """Bytes a body may have: pictures where a camera was asked for some, else those of any request."""
    if not path.startswith(UPLOAD_PREFIX):
        return BODY_MAX_BYTES
    return max(BODY_MAX_BYTES, context.network.control.snapshots.allowance(path.removeprefix(UPLOAD_PREFIX)))


async def _bounded_body(headers: Headers, receive: Receive, counters: GateCounters, limit: int) -> Receive:
    """The body, read whole within its bounds and handed on; no route waits for a slow sender."""
    announced = headers.get("content-length")
    if announced is None and "transfer-encoding" not in headers:
        return receive
    if announced is not None and announced.isdecimal() and int(announced) > limit:
        raise _too_large(counters, limit)
    body = bytearray()
    within_s = BODY_TIMEOUT_S if limit <= BODY_MAX_BYTES else UPLOAD_TIMEOUT_S
    try:
        async with asyncio.timeout(within_s):
            more = True
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    return _replay(message, receive)
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > limit:
                    raise _too_large(counters, limit)
    except TimeoutError:
        counters.body_too_slow += 1
        raise _Refused(408, "body_too_slow", f"the body took longer than {within_s:g} s") from None
    return _replay({"type": "http.request", "body": bytes(body), "more_body": False}, receive)


class _StreamedBody:
    """The body of an import, handed on piece by piece: a file is not held in memory, least of all one of
    somebody who may not bring it."""

    def __init__(self, headers: Headers, receive: Receive, counters: GateCounters) -> None:
        announced = headers.get("content-length")
        if announced is not None and announced.isdecimal() and int(announced) > MAX_UPLOAD_BYTES:
            raise _too_large(counters, MAX_UPLOAD_BYTES)
        self._receive = receive
        self._counters = counters
        self._size = 0
        self._whole = False

    async def receive(self) -> Message:
        """The next piece. Raises `_Refused`."""
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout(IMPORT_PIECE_TIMEOUT_S):
                message = await self._receive()
        except TimeoutError:
            self._counters.body_too_slow += 1
            raise _Refused(
                408, "body_too_slow", f"no piece of the body came for {IMPORT_PIECE_TIMEOUT_S:g} s"
            ) from None
        self._size += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._size > MAX_UPLOAD_BYTES:
            raise _too_large(self._counters, MAX_UPLOAD_BYTES)
        return message

    def closing(self, send: Send) -> Send:
        """Answers that come before the whole body close the connection: nobody wants the rest."""

        async def closed(message: Message) -> None:
            if message["type"] == "http.response.start" and not self._whole:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        return closed


def _replay(first: Message, receive: Receive) -> Receive:
    pending: list[Message] = [first]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


def _too_large(counters: GateCounters, limit: int) -> _Refused:
    counters.body_too_large += 1
    return _Refused(413, "body_too_large", f"a body has at most {limit} bytes")


def _add_headers(headers: MutableHeaders, context: ApiContext, host: str, *, api: bool) -> None:
    for name, value in _FIXED_HEADERS.items():
        headers[name] = value
    media = " ".join(context.media_address.origin(protocol, host) for protocol in BROWSER_PROTOCOLS)
    headers["Content-Security-Policy"] = (
        f"default-src 'self'; connect-src 'self' {media}; img-src 'self' data: blob:; "
        "media-src 'self' blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    )
    if context.secure_cookie:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    if api:
        headers["Cache-Control"] = "no-store"
