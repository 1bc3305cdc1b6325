"""Session descriptions read tolerantly, as devices and platforms write them."""

import re
from dataclasses import dataclass, field
from typing import Final

from commonview.wire.charset import decode_text
from commonview.wire.sdp import (
    ADDRESS,
    MAX_PAYLOADS,
    Direction,
    GbSdp,
    MediaLine,
    MediaTransport,
    RtpMap,
    SdpError,
    Setup,
)
from commonview.wire.sdp_dialects import StreamDialect, read_stream, stream_dialect, write_stream

MAX_SDP_BYTES: Final = 16 * 1024
MAX_LINES: Final = 256

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
    if address in {"0.0.0.0", "::"} or ADDRESS.fullmatch(address) is None:  # noqa: S104  # refused, not bound
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
