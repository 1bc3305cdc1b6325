"""SIP messages: a tolerant parser and a strict encoder (RFC 3261 7).

The parser accepts what real GB/T 28181 devices send: bare LF, folded lines, compact names, bytes in any
charset, a Content-Length that lies. What it repaired is named in ``repairs`` so that it can be counted. It
reads only what is needed to frame a message; fields are parsed when asked for (``commonview.wire.sip.uri``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.headers import SPELLINGS, Headers, canonical_name

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
MAX_HEADER_LINES: Final = 256

_FOLD: Final = re.compile(r"\n[ \t]+")
_METHOD: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]{1,64}")
_LENGTH: Final = re.compile(r"[0-9]{1,9}")
_KNOWN_METHODS: Final = frozenset(
    (
        "REGISTER",
        "MESSAGE",
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "INFO",
        "SUBSCRIBE",
        "NOTIFY",
        "UPDATE",
    )
)

REASONS: Final = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
    200: "OK", 202: "Accepted", 300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
    413: "Request Entity Too Large", 415: "Unsupported Media Type", 416: "Unsupported URI Scheme",
    420: "Bad Extension", 421: "Extension Required", 423: "Interval Too Brief",
    480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected",
    483: "Too Many Hops", 486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here",
    491: "Request Pending", 500: "Server Internal Error", 501: "Not Implemented",
    503: "Service Unavailable", 504: "Server Time-out", 505: "Version Not Supported",
    513: "Message Too Large", 600: "Busy Everywhere", 603: "Decline",
}  # fmt: skip


@dataclass(slots=True)
class SipRequest:
    """A request. ``uri`` is the Request-URI as text; ``repairs`` names what the parser had to put right."""

    method: str
    uri: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    repairs: tuple[str, ...] = field(default=(), compare=False)

    def encode(self) -> bytes:
        """Bytes for the wire; Content-Length is always computed.

        Raises ValueError for what SIP cannot carry.
        """
        if _METHOD.fullmatch(self.method) is None:
            raise ValueError("a SIP method is a token of at most 64 characters")
        if not self.uri or any(mark in self.uri for mark in " \t\r\n"):
            raise ValueError("a Request-URI is not empty and has no white space")
        return _encode(f"{self.method} {self.uri} SIP/2.0", self.headers, self.body)

    @property
    def first_line(self) -> str:
        """The request line, for logs: printable, at most 200 characters, without credentials."""
        return printable(f"{self.method} {self.uri} SIP/2.0")


@dataclass(slots=True)
class SipResponse:
    """A response. ``repairs`` names what the parser had to put right."""

    status: int
    reason: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    repairs: tuple[str, ...] = field(default=(), compare=False)

    def encode(self) -> bytes:
        """Bytes for the wire; Content-Length is always computed.

        Raises ValueError for what SIP cannot carry.
        """
        if not 100 <= self.status <= 699:
            raise ValueError("a SIP status lies in 100..699")
        if "\r" in self.reason or "\n" in self.reason:
            raise ValueError("a reason phrase is one line")
        return _encode(f"SIP/2.0 {self.status} {self.reason}", self.headers, self.body)

    @property
    def first_line(self) -> str:
        """The status line, for logs: printable, at most 200 characters."""
        return printable(f"SIP/2.0 {self.status} {self.reason}")


SipMessage = SipRequest | SipResponse


def printable(text: str) -> str:
    """At most 200 characters of `text` with everything that is not printable ASCII replaced."""
    return "".join(mark if " " <= mark <= "~" else "?" for mark in text[:200])


def _encode(start_line: str, headers: Headers, body: bytes) -> bytes:
    lines = [start_line]
    for name, value in headers:
        if name == "Content-Length":
            continue
        if "\r" in value or "\n" in value:
            raise ValueError(f"the value of {name} would break the line")
        lines.append(f"{name}: {value}")
    lines.append(f"Content-Length: {len(body)}\r\n\r\n")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def split_head(data: bytes) -> tuple[bytes, bytes] | None:
    """Split at the first empty line, whatever its line ends; None when there is none."""
    crlf = data.find(b"\n\r\n")
    bare = data.find(b"\n\n", 0, crlf + 1 if crlf >= 0 else len(data))
    if bare >= 0:
        return data[:bare], data[bare + 2 :]
    if crlf >= 0:
        return data[:crlf], data[crlf + 3 :]
    return None


def parse_datagram(data: bytes) -> SipMessage:
    """Parse one datagram. Raises SipParseError; nothing else, whatever the bytes.

    The body ends where the datagram ends when Content-Length and a declared body disagree (GB/T 28181 devices
    send 0 or a wrong count); without a Content-Type trailing octets are ignored as RFC 3261 18.3 says.
    """
    if data[:1] in (b"\r", b"\n"):
        data = data.lstrip(b"\r\n")  # RFC 3261 7.5
    if not data:
        raise SipParseError(None, "empty datagram")
    parts = split_head(data)
    if parts is not None:
        message = parse_head(parts[0])
        rest = parts[1]
    elif data[-1:] == b"\n":
        # Some devices leave the empty line out when nothing follows it.
        message = parse_head(data)
        message.repairs += ("head_unterminated",)
        rest = b""
    else:
        raise SipParseError(400, "no end of header", _partial(data))
    _take_datagram_body(message, rest)
    return message


def _partial(data: bytes) -> SipRequest | None:
    # The last line may be cut anywhere, so it is left out.
    try:
        message = parse_head(data[: data.rfind(b"\n") + 1])
    except SipParseError as error:
        return error.partial
    return message if isinstance(message, SipRequest) else None


def declared_length(message: SipMessage) -> int | None:
    """Content-Length in octets, or None when absent.

    Raises SipParseError(400) if malformed or contradictory.
    """
    headers = message.headers
    value = headers.first.get("Content-Length")
    if value is None:
        return None
    if headers.has_repeats() and len(set(headers.get_all("Content-Length"))) > 1:
        raise _refusal(message, 400, "contradictory Content-Length")
    if _LENGTH.fullmatch(value) is None:
        raise _refusal(message, 400, "malformed Content-Length")
    return int(value)


def _refusal(message: SipMessage, status: int, reason: str) -> SipParseError:
    if isinstance(message, SipRequest):
        return SipParseError(status, reason, message)
    return SipParseError(None, reason)


def is_manscdp(message: SipMessage) -> bool:
    """Whether the body is declared as MANSCDP: XML, which marks its own end."""
    kind = message.headers.first.get("Content-Type")
    return kind is not None and "manscdp" in kind.lower()


def _take_datagram_body(message: SipMessage, rest: bytes) -> None:
    length = declared_length(message)
    if length == len(rest) or (length is None and not rest):
        message.body = rest
    elif length is None:
        message.body = rest  # RFC 3261 18.3: to the end of the datagram
    elif length > len(rest):
        # A MANSCDP body shows by itself whether it is whole, and a response cannot be refused.
        if isinstance(message, SipRequest) and not is_manscdp(message):
            raise _refusal(message, 400, "body shorter than Content-Length")
        message.body = rest
        message.repairs += ("length_too_large",)
    elif "Content-Type" in message.headers.first:
        message.body = rest
        message.repairs += ("length_too_small",)
    else:
        message.repairs += ("trailing_octets",)


def parse_head(head: bytes) -> SipMessage:
    """Parse a start line and header fields, without the empty line. Raises SipParseError.

    The body of the returned message is empty. A fault in a header line of a request carries the readable
    rest as ``partial``.
    """
    if len(head) > MAX_HEAD_BYTES:
        raise SipParseError(None, "header too large")
    text = head.decode("utf-8", "surrogateescape")
    repairs: tuple[str, ...] = ()
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if text[-1:] == "\r":
            text = text[:-1]
    else:
        repairs = ("bare_lf",)
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
        repairs += ("folded",)
    lines = text.rstrip("\n").split("\n")
    message, fault = _parse_start_line(lines[0])
    items: list[tuple[str, str]] = []
    message.headers = Headers.of_canonical(items)
    message.repairs = repairs
    if len(lines) > MAX_HEADER_LINES:
        raise _refusal(message, 400, "too many header lines")
    if "\r" in text:
        fault = fault or (400, "bare CR in header")
    lookup = SPELLINGS.get
    append = items.append
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        key = lookup(name)
        if key is None:
            try:
                key = canonical_name(name)
            except SipParseError:
                fault = fault or (400, "malformed header name")
                continue
        if not colon:
            fault = fault or (400, "header line without colon")
            continue
        append((key, value.strip()))
    if fault is not None:
        raise _refusal(message, *fault)
    return message


_Fault = tuple[int, str]


def _parse_start_line(line: str) -> tuple[SipMessage, _Fault | None]:
    if line.startswith("SIP/"):
        return _parse_status_line(line), None
    words = line.split(" ")
    if len(words) == 3:
        method, uri, version = words
        if version == "SIP/2.0" and method in _KNOWN_METHODS and uri and "\t" not in uri:
            return SipRequest(method, uri), None
    return _parse_odd_request_line(line)


def _parse_status_line(line: str) -> SipResponse:
    version, _, rest = line.partition(" ")
    code, _, reason = rest.partition(" ")
    if version != "SIP/2.0":
        raise SipParseError(None, "response of another SIP version")
    if len(code) != 3 or not (code.isascii() and code.isdigit()) or not 100 <= int(code) <= 699:
        raise SipParseError(None, "status code out of range")
    return SipResponse(int(code), reason)


def _parse_odd_request_line(line: str) -> tuple[SipRequest, _Fault | None]:
    """Request lines that are wrong, or right and rare; enough is read to address an answer."""
    words = line.split()
    if len(words) < 3 or not words[-1].upper().startswith("SIP/"):
        raise SipParseError(None, "not a SIP start line")
    method, uri, version = words[0], words[1], words[-1]
    if _METHOD.fullmatch(method) is None:
        raise SipParseError(None, "malformed method")
    request = SipRequest(method, uri)
    if version.upper() != "SIP/2.0":
        return request, (505, "SIP version not supported")
    if line != f"{method} {uri} {version}":
        return request, (400, "malformed request line")
    return request, None
