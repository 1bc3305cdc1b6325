"""The SDP dialect of GB/T 28181 (2022 Annex G, clauses 9.2 to 9.9), read tolerantly and written strictly.

`y=` (SSRC) and `f=` (media format) are not SDP (RFC 8866), which is why general parsers choke on it. One
offer or answer describes one media stream; of several the first video line, else the first line, is taken
and the others are kept in `further_media`.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from commonview.wire.charset import decode_text
from commonview.wire.media_format import MediaFormat
from commonview.wire.sdp_dialects import (
    RecordUri,
    SessionKind,
    StreamDialect,
    read_stream,
    stream_dialect,
    write_stream,
)

CONTENT_TYPE: Final = "application/sdp"
MAX_SDP_BYTES: Final = 16 * 1024
MAX_LINES: Final = 256
MAX_PAYLOADS: Final = 32
MAX_SSRC: Final = 0xFFFF_FFFF
PS_PAYLOAD_TYPE: Final = 96

Direction = Literal["sendonly", "recvonly", "sendrecv", "inactive"]
Setup = Literal["active", "passive", "actpass", "holdconn"]

_DIRECTIONS: Final[dict[str, Direction]] = {
    "sendonly": "sendonly",
    "recvonly": "recvonly",
    "sendrecv": "sendrecv",
    "inactive": "inactive",
}
_SETUPS: Final[dict[str, Setup]] = {
    "active": "active",
    "passive": "passive",
    "actpass": "actpass",
    "holdconn": "holdconn",
}
_ADDRESS = re.compile(r"[0-9A-Za-z:.%_-]{1,255}")
_WORD = re.compile(r"[^\x00-\x1f\x7f]*")
_OWNER = re.compile(r"[!-~]{1,64}")


class SdpError(ValueError):
    """A session description that cannot be used; the message says which line."""


class MediaTransport(Enum):
    """How RTP travels: over UDP, or over TCP with RFC 4571 framing (Annex D)."""

    UDP = "RTP/AVP"
    TCP = "TCP/RTP/AVP"


@dataclass(frozen=True, slots=True)
class RtpMap:
    """One payload type: `encoding` as written (PS, H264, a maker's name), `clock_hz`, `channels` of sound."""

    payload_type: int
    encoding: str
    clock_hz: int
    channels: int = 1

    @property
    def attribute(self) -> str:
        """The attribute that says so; one channel goes without saying (RFC 8866 6.6)."""
        channels = "" if self.channels == 1 else f"/{self.channels}"
        return f"rtpmap:{self.payload_type} {self.encoding}/{self.clock_hz}{channels}"


PS: Final = RtpMap(PS_PAYLOAD_TYPE, "PS", 90_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLine:
    """A further `m=` line beside the one that is used, for instance the audio of a talk."""

    media: str
    port: int
    transport: MediaTransport
    payload_types: tuple[int, ...]
    rtpmaps: tuple[RtpMap, ...] = ()
    direction: Direction | None = None
    address: str | None = None
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GbSdp:
    """One offer or answer.

    `owner_id` is the id in `o=`; `address` comes from `c=` (trap 45), and only when that is missing from
    `o=`, which `address_from_origin` then tells. `ssrc_text` is `y=` as written, `ssrc` its value or None
    when it is absent or no 32-bit number (20-digit device ids are seen): then the offered one holds
    (trap 33). `payload_types` are those of `m=`, `rtpmaps` what `a=rtpmap` says of them, in order.
    `attributes` are all other `a=` lines, raw. Times in seconds since 1970, 0 for live. `stream_dialects` are
    the attributes that named `stream_number`, or are to name it.
    """

    owner_id: str
    session_name: str
    address: str
    port: int
    transport: MediaTransport = MediaTransport.UDP
    media: str = "video"
    payload_types: tuple[int, ...] = (PS_PAYLOAD_TYPE,)
    rtpmaps: tuple[RtpMap, ...] = (PS,)
    direction: Direction | None = None
    setup: Setup | None = None
    connection: str | None = None
    ssrc_text: str | None = None
    media_format: str | None = None
    uri: str | None = None
    start_time_s: int = 0
    stop_time_s: int = 0
    stream_number: int | None = None
    stream_dialects: tuple[StreamDialect, ...] = (StreamDialect.STREAM_NUMBER,)
    download_speed: int | None = None
    file_size_bytes: int | None = None
    attributes: tuple[str, ...] = ()
    address_from_origin: bool = False
    further_media: tuple[MediaLine, ...] = ()

    @property
    def kind(self) -> SessionKind | None:
        """What `s=` asks for, None when it is none of the standard's words."""
        return SessionKind.of(self.session_name)

    @property
    def format(self) -> MediaFormat | None:
        """`f=` taken apart, None when absent or not of the form."""
        return MediaFormat.parse(self.media_format)

    @property
    def record_uri(self) -> RecordUri | None:
        """`u=` taken apart, None when absent or not of the form."""
        return RecordUri.parse(self.uri)

    @property
    def ssrc(self) -> int | None:
        """The SSRC of `y=` as a number, None when there is no usable one."""
        return ssrc_value(self.ssrc_text)

    def rtpmap(self, payload_type: int) -> RtpMap | None:
        """What `a=rtpmap` says of a payload type; None when nothing."""
        for each in self.rtpmaps:
            if each.payload_type == payload_type:
                return each
        return None

    def encode(self) -> bytes:
        """Write the description: recvonly/sendonly first, then `rtpmap:96` (Dahua), `y=` last (Hikvision).

        Raises `SdpError` when a field cannot stand in a line.
        """
        family = "IP6" if ":" in self.address else "IP4"
        self._check()
        lines = [
            "v=0",
            f"o={self.owner_id} 0 0 IN {family} {self.address}",
            f"s={self.session_name}",
        ]
        if self.uri is not None:
            lines.append(f"u={self.uri}")
        lines += [
            f"c=IN {family} {self.address}",
            f"t={self.start_time_s} {self.stop_time_s}",
            f"m={self.media} {self.port} {self.transport.value} {' '.join(map(str, self.payload_types))}",
        ]
        lines += [f"a={each}" for each in self._attribute_lines()]
        for media in self.further_media:
            lines += _media_lines(media)
        if self.media_format is not None:
            lines.append(f"f={self.media_format}")
        if self.ssrc_text is not None:
            lines.append(f"y={self.ssrc_text}")
        for line in lines:
            if _WORD.fullmatch(line) is None:
                raise SdpError(f"control characters in {line[:2]!r}")
        return ("\r\n".join(lines) + "\r\n").encode()

    def _attribute_lines(self) -> list[str]:
        lines: list[str] = [] if self.direction is None else [self.direction]
        ordered = sorted(self.rtpmaps, key=lambda each: each.payload_type != PS_PAYLOAD_TYPE)
        lines += [each.attribute for each in ordered]
        optional = (
            ("setup", self.setup),
            ("connection", self.connection),
            ("downloadspeed", self.download_speed),
            ("filesize", self.file_size_bytes),
        )
        lines += [f"{name}:{value}" for name, value in optional[:2] if value is not None]
        if self.stream_number is not None:
            lines += write_stream(self.stream_number, self.stream_dialects)
        lines += [f"{name}:{value}" for name, value in optional[2:] if value is not None]
        return [*lines, *self.attributes]

    def _check(self) -> None:
        if _OWNER.fullmatch(self.owner_id) is None:
            raise SdpError(f"o= user {self.owner_id[:40]!r}")
        if _ADDRESS.fullmatch(self.address) is None:
            raise SdpError(f"c= address {self.address[:40]!r}")
        if not 0 <= self.port <= 65535:
            raise SdpError(f"m= port {self.port}")
        if not self.payload_types or any(not 0 <= each <= 127 for each in self.payload_types):
            raise SdpError(f"m= payload types {self.payload_types[:8]}")
        if self.ssrc_text is not None and not (len(self.ssrc_text) == 10 and self.ssrc_text.isdigit()):
            raise SdpError(f"y= has 10 digits, got {self.ssrc_text[:40]!r}")


def _media_lines(media: MediaLine) -> list[str]:
    """The lines of one further media section. Raises `SdpError` for a port or payload type out of bounds."""
    if not 0 <= media.port <= 65535 or any(not 0 <= each <= 127 for each in media.payload_types):
        raise SdpError(f"m= {media.media[:20]} port {media.port} or its payload types")
    types = " ".join(map(str, media.payload_types))
    lines = [f"m={media.media} {media.port} {media.transport.value} {types}".rstrip()]
    if media.address is not None:
        if _ADDRESS.fullmatch(media.address) is None:
            raise SdpError(f"c= address {media.address[:40]!r}")
        lines.append(f"c=IN {'IP6' if ':' in media.address else 'IP4'} {media.address}")
    if media.direction is not None:
        lines.append(f"a={media.direction}")
    lines += [f"a={each.attribute}" for each in media.rtpmaps]
    return [*lines, *(f"a={each}" for each in media.attributes)]


def ssrc_value(text: str | None) -> int | None:
    """The SSRC a `y=` line means: decimal, leading zeros allowed, at most 32 bits; else None."""
    if text is None or not (0 < len(text) <= 20 and text.isascii() and text.isdigit()):
        return None
    value = int(text)
    return value if value <= MAX_SSRC else None


def ssrc_text(domain: str, number: int, *, history: bool = False) -> str:
    """`y=` for a stream: 0 live or 1 history, digits 4 to 8 of the domain id, four digits of `number`.

    GB/T 28181-2022 Annex G. Raises `ValueError` when the domain is too short or the number does not fit.
    """
    part = domain[3:8]
    if len(part) != 5 or not part.isdigit() or not 0 <= number <= 9999:
        raise ValueError(f"no SSRC from domain {domain!r} and number {number}")
    return f"{int(history)}{part}{number:04d}"


@dataclass(slots=True)
class _Media:
    """One `m=` section while reading."""

    kind: str
    port: int
    transport: MediaTransport
    payload_types: tuple[int, ...]
    address: str | None = None
    rtpmaps: list[RtpMap] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    streams: dict[StreamDialect, int] = field(default_factory=dict)
    direction: Direction | None = None
    attributes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Session:
    """Everything read so far."""

    owner_id: str = ""
    origin_address: str | None = None
    name: str = ""
    address: str | None = None
    uri: str | None = None
    times: tuple[int, int] = (0, 0)
    y: str | None = None
    f: str | None = None
    media: list[_Media] = field(default_factory=list)
    common: _Media = field(default_factory=lambda: _Media("", 0, MediaTransport.UDP, ()))


def parse_sdp(body: bytes) -> GbSdp:
    """Read a session description from a device or platform.

    Accepts bare LF or CR, missing v/s/t lines, upper-case attribute names, `y=` and `f=` anywhere, session
    level attributes, any payload type (trap 37). Raises `SdpError` when it is empty, too large, or has no
    usable `m=` line or address.
    """
    if len(body) > MAX_SDP_BYTES:
        raise SdpError(f"{len(body)} bytes, at most {MAX_SDP_BYTES} are read")
    text, _charset = decode_text(body)
    lines = re.split(r"[\r\n]+", text)
    if len(lines) > MAX_LINES:
        raise SdpError(f"{len(lines)} lines, at most {MAX_LINES} are read")
    session = _Session()
    for line in lines:
        stripped = line.strip().strip("\x00")
        if len(stripped) >= 2 and stripped[1] == "=":
            _read_line(session, stripped[0].lower(), stripped[2:].strip())
    return _assemble(session)


def _read_line(session: _Session, kind: str, value: str) -> None:
    section = session.media[-1] if session.media else session.common
    match kind:
        case "o":
            parts = value.split()
            session.owner_id = parts[0] if parts else ""
            session.origin_address = _connection_address(" ".join(parts[3:6]))
        case "s":
            session.name = value
        case "c":
            section.address = _connection_address(value) or section.address
        case "u":
            session.uri = value
        case "t":
            session.times = _times(value)
        case "y":
            session.y = session.y or value
        case "f":
            session.f = session.f or value
        case "m":
            session.media.append(_media_line(value))
        case "a":
            _read_attribute(section, value)
        case _:
            pass  # v, b, k, i, r, z, e, p: nothing in them decides anything here


def _connection_address(value: str) -> str | None:
    """The address of "IN IP4 addr[/ttl]"; None when it is none, or the unspecified 0.0.0.0 or ::."""
    parts = value.split()
    if len(parts) != 3 or parts[0].upper() != "IN" or parts[1].upper() not in {"IP4", "IP6"}:
        return None
    address = parts[2].partition("/")[0]
    if address in {"0.0.0.0", "::"} or _ADDRESS.fullmatch(address) is None:  # noqa: S104  # refused, not bound
        return None
    return address


def _times(value: str) -> tuple[int, int]:
    parts = [_integer(part) for part in value.split()]
    if len(parts) == 2 and parts[0] is not None and parts[1] is not None:
        return parts[0], parts[1]
    return 0, 0


def _integer(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _media_line(value: str) -> _Media:
    parts = value.split()
    port = _integer(parts[1].partition("/")[0]) if len(parts) > 2 else None
    if port is None or port > 65535:
        raise SdpError(f"m= line without kind, port and transport: {value[:60]!r}")
    payloads = [number for number in map(_integer, parts[3:]) if number is not None and number <= 127]
    transport = MediaTransport.TCP if "TCP" in parts[2].upper() else MediaTransport.UDP
    return _Media(parts[0].lower(), port, transport, tuple(payloads[:MAX_PAYLOADS]))


def _read_attribute(section: _Media, value: str) -> None:
    name, _, rest = value.partition(":")
    name, rest = name.strip().lower(), rest.strip()
    if name in _DIRECTIONS:
        section.direction = _DIRECTIONS[name]
    elif name == "rtpmap":
        read = _rtpmap(rest)
        if read is not None and len(section.rtpmaps) < MAX_PAYLOADS:
            section.rtpmaps.append(read)
    elif (dialect := stream_dialect(name)) is not None and (number := read_stream(rest)) is not None:
        section.streams.setdefault(dialect, number)
    elif name in {"setup", "connection", "downloadspeed", "filesize"}:
        section.values.setdefault(name, rest)
    elif value:
        section.attributes.append(value)


def _rtpmap(value: str) -> RtpMap | None:
    number, _, encoding = value.partition(" ")
    name, _, clock = encoding.strip().partition("/")
    payload_type = _integer(number)
    if payload_type is None or payload_type > 127 or not name.strip():
        return None
    clock, _, channels = clock.partition("/")
    return RtpMap(
        payload_type, name.strip(), _integer(clock.strip()) or 90_000, _integer(channels.strip()) or 1
    )


def _assemble(session: _Session) -> GbSdp:
    if not session.media:
        raise SdpError("no m= line")
    media = next((each for each in session.media if each.kind == "video"), session.media[0])
    common = session.common
    address = media.address or common.address
    from_origin = address is None
    if address is None:
        address = session.origin_address
    if address is None:
        raise SdpError("no address in c= nor o=")
    values = {**common.values, **media.values}
    streams = {**common.streams, **media.streams}
    rtpmaps = media.rtpmaps or common.rtpmaps
    return GbSdp(
        owner_id=session.owner_id,
        session_name=session.name,
        address=address,
        port=media.port,
        transport=media.transport,
        media=media.kind,
        payload_types=media.payload_types or tuple(each.payload_type for each in rtpmaps),
        rtpmaps=tuple(rtpmaps),
        direction=media.direction or common.direction,
        setup=_SETUPS.get(values.get("setup", "").lower()),
        connection=values.get("connection", "").lower() or None,
        ssrc_text=session.y,
        media_format=session.f,
        uri=session.uri,
        start_time_s=session.times[0],
        stop_time_s=session.times[1],
        stream_number=next(iter(streams.values()), None),
        stream_dialects=tuple(streams) or (StreamDialect.STREAM_NUMBER,),
        download_speed=_integer(values.get("downloadspeed", "")),
        file_size_bytes=_integer(values.get("filesize", "")),
        attributes=(*common.attributes, *media.attributes),
        address_from_origin=from_origin,
        further_media=tuple(_further(each) for each in session.media if each is not media),
    )


def _further(media: _Media) -> MediaLine:
    return MediaLine(
        media=media.kind,
        port=media.port,
        transport=media.transport,
        payload_types=media.payload_types,
        rtpmaps=tuple(media.rtpmaps),
        direction=media.direction,
        address=media.address,
        attributes=(
            *(f"{name}:{value}" for name, value in media.values.items()),
            *_written_streams(media.streams),
            *media.attributes,
        ),
    )


def _written_streams(streams: dict[StreamDialect, int]) -> list[str]:
    """Stream attributes as they were read."""
    return [line for dialect, number in streams.items() for line in write_stream(number, (dialect,))]
