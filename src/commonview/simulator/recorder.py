"""What a simulated device has recorded: its list, and its pictures at any moment of it.

A recording is drawn when it is played. The clock in the picture shows the recorded moment, and so does an
unregistered user data message before every picture (ITU-T H.264 D.1.7): `MOMENT_MARK` and the moment in
milliseconds since 1970, in digits, so that a test knows which second it was given.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from commonview.simulator.frames import Frame, FrameKind, SourceFormat, StreamType
from commonview.simulator.settings import Faults
from commonview.wire.manscdp import RecordInfo, RecordInfoQuery, RecordItem
from commonview.wire.mansrtsp import MansrtspRequest, MansrtspResponse, Method

MOMENT_MARK: Final = b"commonview-clock"
"""The 16 bytes that stand where a UUID stands in the user data."""

GROUP_S: Final = 1
"""Every group of pictures lasts a second and begins on one."""

_CLOCK_90K: Final = 90_000
_PLAIN_SCALES: Final = (1.0, 2.0)
_EVERY_PICTURE_UP_TO: Final = 4.0
"""Faster, recorders send key frames only: nobody's line carries sixteen times a stream."""


class Painter(Protocol):
    """Draws and encodes one group of pictures."""

    @property
    def format(self) -> SourceFormat:
        """What the pictures are."""
        ...

    def group(self, start: datetime, *, key_only: bool = False) -> list[bytes]:
        """The pictures of the second that begins at `start`: Annex B, the first a key frame. May block."""
        ...

    def sounds(self, start: datetime) -> list[bytes]:
        """The sound of that second in packets of equal length; none when it was recorded without."""
        ...


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch that was recorded; whole seconds. `kind` is time, alarm or manual."""

    start: datetime
    end: datetime
    kind: str = "time"


@dataclass(frozen=True, slots=True)
class Recorder:
    """The recordings of one channel, in order, and who draws them."""

    segments: tuple[Segment, ...]
    painter: Painter

    def pages(self, query: RecordInfoQuery, page_items: int) -> list[RecordInfo]:
        """The answer to a query, in pages of one SN (Annex M); SumNum is the grand total in each."""
        items = [
            RecordItem(
                device_id=query.device_id,
                name=f"{one.kind} {number}",
                file_path=f"/record/{number}",
                start_time=one.start,
                end_time=one.end,
                secrecy=0,
                type=one.kind,
                file_size_bytes=int((one.end - one.start).total_seconds()) * 100_000,
            )
            for number, one in enumerate(self.segments)
            if one.start < query.end_time and one.end > query.start_time
        ]
        parts = [items[at : at + page_items] for at in range(0, len(items), page_items)] or [[]]
        return [
            RecordInfo(sn=query.sn, device_id=query.device_id, sum_num=len(items), items=tuple(part))
            for part in parts
        ]

    def seconds(self, start: datetime, end: datetime) -> list[datetime]:
        """The whole seconds of [start, end) that were recorded."""
        found: list[datetime] = []
        for one in self.segments:
            at = max(one.start, start).replace(microsecond=0)
            while at < min(one.end, end):
                found.append(at)
                at += timedelta(seconds=GROUP_S)
        return found


@dataclass(slots=True)
class RecordingPlayer:
    """Plays [start, end) of a recorder: the state that MANSRTSP steers, and the frames that follow from it.

    `download_speed` 0 is playback in real time. Backwards, groups come in reverse order, each forward (Annex
    B). The frames end when everything was sent; `finished` then tells that nobody stopped them.
    """

    recorder: Recorder
    start: datetime
    end: datetime
    download_speed: int = 0
    faults: Faults = field(default_factory=Faults)
    scale: float = 1.0
    paused: bool = False
    finished: bool = False
    _at: int = 0
    _jumped: bool = False
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def format(self) -> SourceFormat:
        """What the frames hold."""
        return self.recorder.painter.format

    @property
    def size_bytes(self) -> int:
        """A guess, as devices make it (`a=filesize`)."""
        return int((self.end - self.start).total_seconds()) * 100_000

    def steer(self, request: MansrtspRequest) -> MansrtspResponse:
        """Do what a MANSRTSP request says; the answer for the INFO's 200."""
        if request.method is Method.PAUSE:
            self.paused = True
        elif request.method is Method.PLAY:
            refused = self._play(request)
            if refused is not None:
                return MansrtspResponse(status=refused, reason="Bad Request", cseq=request.cseq)
        self._wake.set()
        return MansrtspResponse(cseq=request.cseq, scale=request.scale, range_start_s=request.range_start_s)

    def _play(self, request: MansrtspRequest) -> int | None:
        if request.scale is not None:
            if self.faults.refuses_unusual_scale and request.scale not in _PLAIN_SCALES:
                return 400
            self.scale = request.scale
        if request.range_start_s is not None:
            if self.faults.refuses_seek and request.scale is None:
                return 400
            if not self.faults.ignores_seek:
                self._at = self._index_of(self.start + timedelta(seconds=request.range_start_s))
                self._jumped = True
        self.paused = False
        return None

    def _index_of(self, moment: datetime) -> int:
        seconds = self.recorder.seconds(self.start, self.end)
        return next(
            (number for number, one in enumerate(seconds) if one + timedelta(seconds=GROUP_S) > moment),
            len(seconds),
        )

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """The frames, each when it is due at the speed of the moment."""
        seconds = self.recorder.seconds(self.start, self.end)
        loop = asyncio.get_running_loop()
        clock_90k = 0
        due = loop.time()
        last_end = len(seconds) - round(self.faults.download_short_s) if self.download_speed else len(seconds)
        while 0 <= self._at < last_end:
            self._jumped = False
            second = seconds[self._at]
            key_only = not self.download_speed and abs(self.scale) > _EVERY_PICTURE_UP_TO
            pictures = await asyncio.to_thread(self.recorder.painter.group, second, key_only=key_only)
            # At another speed devices send pictures only.
            sounds = self.recorder.painter.sounds(second) if self.scale == 1.0 else []
            for number, picture in enumerate(pictures):
                due = await self._wait(due)
                if self._jumped:
                    break
                step_s = GROUP_S / len(pictures)
                moment = second + timedelta(seconds=number * step_s)
                if self.download_speed or self.faults.timestamps_unscaled:
                    clock_90k = round((moment - self.start).total_seconds() * _CLOCK_90K)
                yield Frame(FrameKind.VIDEO, _marked(picture, moment), clock_90k, clock_90k, number == 0)
                for sound in range(
                    number * len(sounds) // len(pictures), (number + 1) * len(sounds) // len(pictures)
                ):
                    at = clock_90k + round((sound / len(sounds) - number / len(pictures)) * _CLOCK_90K)
                    yield Frame(FrameKind.AUDIO, sounds[sound], max(0, at), max(0, at), key=False)
                step_s /= self.download_speed or abs(self.scale)
                clock_90k += round(step_s * _CLOCK_90K)
                due += step_s
            if not self._jumped:
                self._at += -1 if self.scale < 0 else 1
        self.finished = True

    async def _wait(self, due: float) -> float:
        """Until the next picture is due and nobody has paused; what was missed is not made up for."""
        loop = asyncio.get_running_loop()
        if self.paused:
            while self.paused:
                self._wake.clear()
                await self._wake.wait()
            due = loop.time()
        await asyncio.sleep(max(0.0, due - loop.time()))
        return max(due, loop.time() - 1.0)


def _marked(picture: bytes, moment: datetime) -> bytes:
    """The picture with its moment before the first slice, behind the parameter sets."""
    text = str(round(moment.timestamp() * 1000)).encode()
    payload = MOMENT_MARK + text
    message = b"\x00\x00\x00\x01\x06\x05" + bytes([len(payload)]) + payload + b"\x80"
    slice_at = re.search(rb"\x00\x00\x01[\x05\x25\x45\x65\x01\x21\x41\x61]", picture)
    at = slice_at.start() if slice_at is not None else 0
    if at and picture[at - 1] == 0:
        at -= 1
    return picture[:at] + message + picture[at:]


def moments_in(data: bytes) -> list[datetime]:
    """Every recorded moment that is marked in a stream or file, in order."""
    found = re.findall(re.escape(MOMENT_MARK) + rb"([0-9]{13})", data)
    return [datetime.fromtimestamp(int(text) / 1000, UTC) for text in found]


class StillPainter:
    """The smallest pictures there are, five a second; nobody decodes them."""

    format = SourceFormat(StreamType.H264, 16, 16, 5.0)

    def group(self, start: datetime, *, key_only: bool = False) -> list[bytes]:
        """A key frame and four others."""
        key = b"\x00\x00\x00\x01\x67\x42\x00\x0a\x00\x00\x00\x01\x68\xce\x00\x00\x00\x01\x65" + bytes(
            [7] * 64
        )
        others = [] if key_only else range(1, 5)
        return [key, *(b"\x00\x00\x00\x01\x41" + bytes([number] * 32) for number in others)]

    def sounds(self, _start: datetime) -> list[bytes]:
        """None."""
        return []


def recorded(spans: Iterable[tuple[datetime, datetime]], painter: Painter) -> Recorder:
    """A recorder that has recorded these stretches by plan."""
    return Recorder(tuple(Segment(start, end) for start, end in spans), painter)


def past_day(now: datetime) -> tuple[Segment, ...]:
    """What a recorder has of the last 24 hours: an hour a piece, the sixth from now missing, an alarm in the
    last but one."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    begins = [hour - timedelta(hours=back) for back in range(24, 0, -1) if back != 6]
    pieces = [Segment(begin, begin + timedelta(hours=1)) for begin in begins]
    alarm = Segment(hour - timedelta(minutes=90), hour - timedelta(minutes=85), "alarm")
    return (*pieces[:-1], alarm, pieces[-1])
