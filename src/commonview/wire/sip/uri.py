"""Fields of SIP headers: URIs, name-addr, Via, CSeq (RFC 3261 19.1, 20, 25.1). Parsed when asked for.

All parsers raise SipParseError and nothing else, and take time linear in their input. Escapes (``%41``) stay
as written: two spellings of one user are two users to a registrar that keys by device id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from commonview.wire.sip.errors import SipParseError

Params = tuple[tuple[str, str | None], ...]

_HOST: Final = re.compile(r"[A-Za-z0-9._\-]{1,255}|\[[0-9A-Fa-f:.]{2,64}\]")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_DISPLAY: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~\u0080-\U0010ffff \t]*")
_NAME: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_VIA: Final = re.compile(r"SIP[ \t]*/[ \t]*2\.0[ \t]*/[ \t]*([A-Za-z0-9\-.!%*_+`'~]+)[ \t]+([^ \t;,]+)[ \t]*")
_DIGITS: Final = re.compile(r"[0-9]{1,10}")
_CACHED_CHARS: Final = 256
_URI_FORBIDDEN: Final = re.compile(r"[\x00-\x20<>\"\\^`{|}\x7f]")
MAX_CSEQ: Final = 2**31 - 1


def find_param(params: Params, name: str) -> str | None:
    """Value of a parameter, by name in lower case: "" when it has no value, None when it is absent."""
    for key, value in params:
        if key == name or key.lower() == name:
            return value or ""
    return None


def parse_params(text: str) -> Params:
    """Parse ``;a=1;b;c="x"``; white space is allowed, and one empty parameter at the end."""
    text = text.strip(" \t")
    if not text:
        return ()
    if text[0] != ";":
        raise SipParseError(400, "malformed parameters")
    pieces = text[1:].split(";") if '"' not in text else _split_outside_quotes(text[1:], ";")
    if not pieces[-1].strip(" \t"):
        pieces.pop()
    params: list[tuple[str, str | None]] = []
    for piece in pieces:
        name, equals, value = piece.partition("=")
        name = name.strip(" \t")
        if not _NAME.fullmatch(name):
            raise SipParseError(400, "malformed parameter name")
        if not equals:
            params.append((name, None))
            continue
        value = value.strip(" \t")
        if '"' in value and not _QUOTED.fullmatch(value):
            raise SipParseError(400, "unbalanced quotes")
        if not value or ("," in value and value[0] != '"'):
            raise SipParseError(400, "malformed parameter value")
        params.append((name, value))
    return tuple(params)


def _split_outside_quotes(text: str, mark: str) -> list[str]:
    pieces: list[str] = []
    start = position = 0
    length = len(text)
    while position < length:
        char = text[position]
        if char == '"':
            quoted = _QUOTED.match(text, position)
            if quoted is None:
                raise SipParseError(400, "unbalanced quotes")
            position = quoted.end()
            continue
        if char == mark:
            pieces.append(text[start:position])
            start = position + 1
        position += 1
    pieces.append(text[start:])
    return pieces


def split_list(value: str) -> list[str]:
    """Split a comma-separated field value outside quotes and angle brackets; the pieces are trimmed."""
    if "," not in value:
        return [value.strip(" \t")]
    pieces: list[str] = []
    start = position = 0
    bracketed = False
    length = len(value)
    while position < length:
        char = value[position]
        if char == '"' and not bracketed:
            quoted = _QUOTED.match(value, position)
            if quoted is None:
                raise SipParseError(400, "unbalanced quotes")
            position = quoted.end()
            continue
        if char == "<":
            bracketed = True
        elif char == ">":
            bracketed = False
        elif char == "," and not bracketed:
            pieces.append(value[start:position].strip(" \t"))
            start = position + 1
        position += 1
    pieces.append(value[start:].strip(" \t"))
    return pieces


def _host_port(text: str) -> tuple[str, int | None]:
    host, port = text, None
    if text[:1] == "[":
        end = text.find("]") + 1
        host, rest = text[:end], text[end:]
        if rest:
            if rest[0] != ":":
                raise SipParseError(400, "malformed host")
            port = rest[1:]
    elif ":" in text:
        host, _, port = text.partition(":")
        host = host.rstrip(" \t")
        port = port.lstrip(" \t")
    if not _HOST.fullmatch(host):
        raise SipParseError(400, "malformed host")
    if port is None:
        return host, None
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise SipParseError(400, "malformed port")
    return host, int(port)


@dataclass(frozen=True, slots=True)
class SipUri:
    """``sip:user:password@host:port;params?headers``; ``user`` is None for a bare domain."""

    scheme: str
    user: str | None
    host: str
    port: int | None = None
    password: str | None = None
    params: Params = ()
    headers: str = ""

    @staticmethod
    def parse(text: str) -> SipUri:
        """Parse a sip: or sips: URI.

        Raises SipParseError: 416 for another scheme, 400 for a malformed one.
        """
        return _cached_uri(text) if len(text) <= _CACHED_CHARS else _parse_uri(text)

    def __str__(self) -> str:
        user = ""
        if self.user is not None:
            user = self.user + (f":{self.password}" if self.password is not None else "") + "@"
        port = "" if self.port is None else f":{self.port}"
        params = "".join(f";{name}" if value is None else f";{name}={value}" for name, value in self.params)
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{self.host}{port}{params}{headers}"


def _parse_uri(text: str) -> SipUri:
    scheme, colon, rest = text.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        raise SipParseError(400, "malformed URI")
    scheme = scheme.lower()
    if scheme not in ("sip", "sips"):
        raise SipParseError(416, "unsupported URI scheme")
    if _URI_FORBIDDEN.search(rest):
        raise SipParseError(400, "malformed URI")
    user: str | None = None
    password: str | None = None
    if "@" in rest:
        info, _, rest = rest.partition("@")
        user, has_password, secret = info.partition(":")
        password = secret if has_password else None
        if not user or "@" in rest:
            raise SipParseError(400, "malformed URI")
    rest, _, headers = rest.partition("?")
    address, semicolon, params = rest.partition(";")
    host, port = _host_port(address)
    return SipUri(scheme, user, host, port, password, _uri_params(params) if semicolon else (), headers)


def _uri_params(text: str) -> Params:
    params: list[tuple[str, str | None]] = []
    for piece in text.split(";"):
        name, equals, value = piece.partition("=")
        if not name:
            raise SipParseError(400, "malformed URI parameter")
        params.append((name, value if equals else None))
    return tuple(params)


# A device's own URI stands in every message it sends; the bound keeps a flood of new ones from growing
# memory.
_cached_uri = lru_cache(maxsize=8192)(_parse_uri)


@dataclass(frozen=True, slots=True)
class NameAddr:
    """``"Display" <uri>;params`` of From, To, Contact, Route: the URI as text, header parameters apart."""

    display: str
    uri: str
    params: Params = ()

    @staticmethod
    def parse(value: str) -> NameAddr:
        """Parse one name-addr or addr-spec. Raises SipParseError(400)."""
        return _cached_name_addr(value) if len(value) <= _CACHED_CHARS else _parse_name_addr(value)

    @property
    def tag(self) -> str | None:
        """The ``tag`` parameter, or None."""
        return find_param(self.params, "tag")

    def sip_uri(self) -> SipUri:
        """The URI parsed. Raises SipParseError (416 for a scheme other than sip and sips)."""
        return SipUri.parse(self.uri)

    def __str__(self) -> str:
        display = f"{self.display} " if self.display else ""
        params = "".join(f";{name}" if value is None else f";{name}={value}" for name, value in self.params)
        return f"{display}<{self.uri}>{params}"


def _parse_name_addr(value: str) -> NameAddr:
    value = value.strip(" \t")
    display = ""
    if value[:1] == '"':
        quoted = _QUOTED.match(value)
        if quoted is None:
            raise SipParseError(400, "unbalanced quotes")
        display = quoted.group()
        value = value[quoted.end() :].lstrip(" \t")
        if value[:1] != "<":
            raise SipParseError(400, "malformed address")
    elif value[:1] != "<" and "<" in value:
        display, _, rest = value.partition("<")
        display = display.rstrip(" \t")
        value = f"<{rest}"
        if not _DISPLAY.fullmatch(display):
            raise SipParseError(400, "malformed display name")
    if value[:1] == "<":
        uri, closed, params = value[1:].partition(">")
        if not closed:
            raise SipParseError(400, "malformed address")
    else:
        # RFC 3261 20: without angle brackets parameters belong to the header, and the URI has no "?" or ",".
        uri, semicolon, params = value.partition(";")
        uri = uri.rstrip(" \t")
        params = semicolon + params
        if "?" in uri or "," in uri:
            raise SipParseError(400, "URI needs angle brackets")
    if ":" not in uri or _URI_FORBIDDEN.search(uri):
        raise SipParseError(400, "malformed address")
    return NameAddr(display, uri, parse_params(params))


_cached_name_addr = lru_cache(maxsize=8192)(_parse_name_addr)


@dataclass(frozen=True, slots=True)
class Via:
    """One Via: ``SIP/2.0/<transport> host:port;params`` (RFC 3261 20.42, RFC 3581)."""

    transport: str
    host: str
    port: int | None
    params: Params = ()

    @staticmethod
    def parse(value: str) -> Via:
        """Parse one Via value (not a comma list). Raises SipParseError(400)."""
        head, semicolon, tail = value.partition(";")
        if head.startswith(("SIP/2.0/UDP ", "SIP/2.0/TCP ")):
            transport, sent_by = head[8:11], head[12:].strip(" \t")
        else:
            match = _VIA.fullmatch(head.strip(" \t"))
            if match is None:
                raise SipParseError(400, "malformed Via")
            transport, sent_by = match.group(1).upper(), match.group(2)
        host, port = _host_port(sent_by)
        return Via(transport, host, port, parse_params(semicolon + tail))

    @property
    def branch(self) -> str | None:
        """The ``branch`` parameter, or None."""
        return find_param(self.params, "branch")

    @property
    def sent_by(self) -> str:
        """``host`` or ``host:port`` as the sender wrote it, in lower case."""
        return self.host.lower() if self.port is None else f"{self.host.lower()}:{self.port}"

    def with_source(self, host: str, port: int) -> Via:
        """Add ``received`` and, when asked for, ``rport`` (RFC 3261 18.2.1, RFC 3581 4)."""
        kept = tuple(item for item in self.params if item[0].lower() not in ("received", "rport"))
        asked = find_param(self.params, "rport") is not None
        if asked:
            kept += (("rport", str(port)),)
        if asked or host != self.host:
            kept += (("received", host),)
        return Via(self.transport, self.host, self.port, kept)

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        params = "".join(f";{name}" if value is None else f";{name}={value}" for name, value in self.params)
        return f"SIP/2.0/{self.transport} {self.host}{port}{params}"


def split_first_via(value: str) -> tuple[str, str]:
    """Split a Via line into its topmost value and the rest of its comma list ("" when single)."""
    if "," not in value:
        return value, ""
    pieces = split_list(value)
    return pieces[0], ", ".join(pieces[1:])


@dataclass(frozen=True, slots=True)
class CSeq:
    """Sequence number (below 2**31) and method."""

    number: int
    method: str

    @staticmethod
    def parse(value: str) -> CSeq:
        """Parse ``314159 INVITE``. Raises SipParseError(400)."""
        words = value.split()
        if len(words) != 2 or not _DIGITS.fullmatch(words[0]):
            raise SipParseError(400, "malformed CSeq")
        number = int(words[0])
        if number > MAX_CSEQ:
            raise SipParseError(400, "CSeq out of range")
        return CSeq(number, words[1])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"
