"""The SDP dialect of GB/T 28181 (2022 Annex G, clauses 9.2 to 9.9): its words, and how they are written.

`sdp_reader` reads them. `y=` (SSRC) and `f=` (media format) are not SDP (RFC 8866), which is why general
parsers choke on it. One offer or answer describes one media stream; of several the first video line, else
the first line, is taken and the others are kept in `further_media`.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from commonview.wire.media_format import MediaFormat
from commonview.wire.sdp_dialects import (
    RecordUri,
    SessionKind,
    StreamDialect,
    write_stream,
)

CONTENT_TYPE: Final = "application/sdp"
MAX_PAYLOADS: Final = 32
MAX_SSRC: Final = 0xFFFF_FFFF
PS_PAYLOAD_TYPE: Final = 96

Direction = Literal["sendonly", "recvonly", "sendrecv", "inactive"]
Setup = Literal["active", "passive", "actpass", "holdconn"]

ADDRESS: Final = re.compile(r"[0-9A-Za-z:.%_-]{1,255}")
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
        if ADDRESS.fullmatch(self.address) is None:
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
        if ADDRESS.fullmatch(media.address) is None:
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
