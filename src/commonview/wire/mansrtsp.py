"""MANSRTSP: the RTSP lines inside INFO that steer a playback (GB/T 28181-2022 9.8, Annex B).

    PLAY RTSP/1.0          Scale: 2.0            a new speed, the position stays
    PLAY RTSP/1.0          Range: npt=120-       a new position, the speed stays
    PLAY RTSP/1.0          Range: npt=now-       on after a pause
    PAUSE RTSP/1.0         PauseTime: now
    TEARDOWN RTSP/1.0

The standard names a Scale of 0.25 to 4, negative backwards; more can be asked, and a recorder may refuse it.
Some refuse "4.000000" (trap 47), so the shortest form with one decimal is written. Positions are seconds
since the start of what the INVITE asked for.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final

CONTENT_TYPE: Final = "Application/MANSRTSP"
VERSION: Final = "RTSP/1.0"
MAX_BYTES: Final = 8 * 1024
MAX_LINES: Final = 64
MAX_SECONDS: Final = 100 * 366 * 86_400
MIN_SPEED: Final = 0.125
MAX_SPEED: Final = 16.0
_MAX_READ_SPEED: Final = 256.0
_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{0,12})?")
_CLOCK = re.compile(r"([0-9]{1,6}):([0-9]{1,2}):([0-9]{1,2}(?:\.[0-9]{0,6})?)")
_STATUS = re.compile(r"RTSP/?[0-9.]{0,8}\s+([0-9]{3})(?:\s+(.*))?", re.IGNORECASE)
_REQUEST = re.compile(r"([A-Za-z]{1,20})(?:\s.*)?")


class MansrtspError(ValueError):
    """A body that is no MANSRTSP, or a message that may not be sent."""


class Method(Enum):
    """What is asked of the sender of the history stream."""

    PLAY = "PLAY"
    PAUSE = "PAUSE"
    TEARDOWN = "TEARDOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class MansrtspRequest:
    """One request. `scale` None keeps the last speed; `range_end_s` None or smaller than the start.

    A negative `scale` plays backwards from `range_start_s`. `range_now` resumes where it was paused.
    """

    method: Method
    cseq: int
    scale: float | None = None
    range_start_s: float | None = None
    range_end_s: float | None = None
    range_now: bool = False
    pause_now: bool = False

    def encode(self) -> bytes:
        """The body of INFO. Raises `MansrtspError` for a speed or a position out of bounds."""
        lines = [f"{self.method.value} {VERSION}", f"CSeq: {_checked_cseq(self.cseq)}"]
        if self.method is Method.PAUSE:
            lines.append("PauseTime: now")
        if self.method is Method.PLAY:
            if self.scale is not None:
                lines.append(f"Scale: {write_scale(self.scale)}")
            if self.range_now or self.range_start_s is not None:
                lines.append(f"Range: {_range(self.range_start_s, self.range_end_s, now=self.range_now)}")
        return _document(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class MansrtspResponse:
    """One answer, in the body of the 200 to INFO. `scale` is the speed that was really taken.

    `seq` and `rtptime` (RTP-Info) name the first RTP packet after the change.
    """

    status: int = 200
    reason: str = "OK"
    cseq: int
    scale: float | None = None
    range_start_s: float | None = None
    range_end_s: float | None = None
    range_now: bool = False
    seq: int | None = None
    rtptime: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the request was accepted."""
        return 200 <= self.status < 300

    def encode(self) -> bytes:
        """The body of the answer. Raises `MansrtspError` when a value cannot stand in a line."""
        if not 100 <= self.status <= 599 or not self.reason.isprintable():
            raise MansrtspError(f"status {self.status} {self.reason[:40]!r}")
        lines = [f"{VERSION} {self.status} {self.reason}", f"CSeq: {_checked_cseq(self.cseq)}"]
        if self.scale is not None:
            lines.append(f"Scale: {write_scale(self.scale)}")
        if self.range_now or self.range_start_s is not None:
            lines.append(f"Range: {_range(self.range_start_s, self.range_end_s, now=self.range_now)}")
        marks = (("seq", self.seq), ("rtptime", self.rtptime))
        told = [f"{name}={value}" for name, value in marks if value is not None]
        if told:
            lines.append(f"RTP-Info: {';'.join(told)}")
        return _document(lines)


def write_scale(scale: float) -> str:
    """The shortest text with one decimal at least: "1.0", "0.25", "-2.0". Raises `MansrtspError`."""
    if not MIN_SPEED <= abs(scale) <= MAX_SPEED:
        raise MansrtspError(f"Scale {scale}: {MIN_SPEED} to {MAX_SPEED}, negative backwards")
    return _plain(scale)


def _plain(value: float) -> str:
    """At least one decimal, at most six, no exponent."""
    text = format(round(Decimal(repr(float(value))), 6), "f")
    return (
        text.rstrip("0") + "0" if text.endswith("0") and text.rstrip("0").endswith(".") else text.rstrip("0")
    )


def _seconds(value: float) -> str:
    if not 0 <= value <= MAX_SECONDS:
        raise MansrtspError(f"position {value} s")
    text = _plain(value)
    return text.removesuffix(".0")


def _range(start_s: float | None, end_s: float | None, *, now: bool) -> str:
    start = "now" if now or start_s is None else _seconds(start_s)
    return f"npt={start}-{'' if end_s is None else _seconds(end_s)}"


def _checked_cseq(cseq: int) -> int:
    if not 0 <= cseq < 2**31:
        raise MansrtspError(f"CSeq {cseq}")
    return cseq


def _document(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def parse_mansrtsp(body: bytes) -> MansrtspRequest | MansrtspResponse:
    """Read one body tolerantly: bare line feeds, a missing version, any letter case, extra lines.

    Raises `MansrtspError` when it is empty, too long, or has no known first line. Values that cannot be read
    are left out, except a Range or Scale of a request, which would then mean something else.
    """
    if len(body) > MAX_BYTES:
        raise MansrtspError(f"{len(body)} bytes, at most {MAX_BYTES} are read")
    lines = [line.strip() for line in re.split(r"[\r\n]+", body.decode("utf-8", "replace")) if line.strip()]
    if not lines or len(lines) > MAX_LINES:
        raise MansrtspError(f"{len(lines)} lines; 1 to {MAX_LINES} are read")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().casefold(), value.strip())
    status = _STATUS.fullmatch(lines[0])
    if status is not None:
        return _response(int(status[1]), status[2] or "", headers)
    return _request(lines[0], headers)


def _request(line: str, headers: dict[str, str]) -> MansrtspRequest:
    found = _REQUEST.fullmatch(line)
    try:
        method = Method((found[1] if found else "").upper())
    except ValueError:
        raise MansrtspError(f"no known method: {line[:60]!r}") from None
    scale = read_scale(headers.get("scale"))
    span = _read_range(headers.get("range"))
    if scale is None and headers.get("scale"):
        raise MansrtspError(f"Scale {headers['scale'][:40]!r}")
    if span is None and headers.get("range"):
        raise MansrtspError(f"Range {headers['range'][:40]!r}")
    start, end, now = span or (None, None, False)
    return MansrtspRequest(
        method=method,
        cseq=_integer(headers.get("cseq")) or 0,
        scale=scale,
        range_start_s=start,
        range_end_s=end,
        range_now=now,
        pause_now=headers.get("pausetime", "").casefold() == "now",
    )


def _response(status: int, reason: str, headers: dict[str, str]) -> MansrtspResponse:
    start, end, now = _read_range(headers.get("range")) or (None, None, False)
    marks: dict[str, str] = {}
    for part in re.split("[;,]", headers.get("rtp-info", "")):
        name, _, value = part.partition("=")
        marks.setdefault(name.strip().casefold(), value.strip())
    return MansrtspResponse(
        status=status,
        reason="".join(each for each in reason[:100] if each.isprintable()).strip(),
        cseq=_integer(headers.get("cseq")) or 0,
        scale=read_scale(headers.get("scale")),
        range_start_s=start,
        range_end_s=end,
        range_now=now,
        seq=_integer(marks.get("seq")),
        rtptime=_integer(marks.get("rtptime")),
    )


def read_scale(text: str | None) -> float | None:
    """A speed that is not 0 and of at most 256 times; None when absent or none."""
    if text is None or _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    return value if 0 < abs(value) <= _MAX_READ_SPEED else None


def _read_range(text: str | None) -> tuple[float | None, float | None, bool] | None:
    """(start, end, now) of "npt=10-20", "npt=10-", "npt=now-", "npt=0:01:30-"; None when unreadable."""
    if not text:
        return None
    kind, equals, span = text.partition("=")
    if not equals or kind.strip().casefold() != "npt":
        return None
    first, _, last = span.partition("-")
    first, last = first.strip().casefold(), last.strip().casefold()
    end = _position(last)
    if end is None and last not in {"", "end", "now"}:
        return None
    if first == "now":
        return None, end, True
    start = 0.0 if first in {"", "beginning"} else _position(first)
    return None if start is None else (start, end, False)


def _position(text: str) -> float | None:
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        value = int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
    elif _NUMBER.fullmatch(text) is not None:
        value = float(text)
    else:
        return None
    return value if 0 <= value <= MAX_SECONDS else None


def _integer(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if int(text) < 2**32 else None
