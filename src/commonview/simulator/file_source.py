"""A video file as a camera's endless stream, through PyAV; re-encoded only when the codec asks for it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import av
import av.error
from av.bitstream import BitStreamFilterContext

from commonview.simulator import annexb
from commonview.simulator.encoder import make_encoder
from commonview.simulator.errors import SourceError
from commonview.simulator.frames import Frame, FrameKind, SourceFormat, StreamType

CodecChoice = Literal["as-is", "h264", "h265"]

MAX_COPIED_BYTES: Final = 512 * 1024 * 1024
MAX_ENCODED_S: Final = 120
_CLOCK_90K: Final = 90_000
_VIDEO_TYPES: Final = {"h264": StreamType.H264, "hevc": StreamType.H265}
_FILTERS: Final = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
_G711_CHUNK: Final = 320  # 40 ms at 8 kHz
_LATE_S: Final = 1.0

Progress = Callable[[str], None]


@dataclass(slots=True)
class _Loaded:
    video: list[Frame]
    audio: list[Frame]
    audio_type: StreamType | None
    codec: str
    width: int
    height: int


class FileSource:
    """Frames of a file held in memory, looped with timestamps that never jump."""

    def __init__(self, format_: SourceFormat, frames: list[Frame], duration_90k: int) -> None:
        self._format = format_
        self._frames = frames
        self.duration_90k = duration_90k

    @property
    def format(self) -> SourceFormat:
        """What the frames hold."""
        return self._format

    def prepare(self) -> None:
        """Everything is in memory already."""

    def looped(self) -> Iterator[Frame]:
        """Every frame for ever, times growing by the file's duration from round to round."""
        offset = 0
        while True:
            for frame in self._frames:
                pts, dts = frame.pts_90k + offset, frame.dts_90k + offset
                yield Frame(frame.kind, frame.data, pts, dts, frame.key)
            offset += self.duration_90k

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Frames from the file's first key frame on, each when it is due by the running clock."""
        clock = asyncio.get_running_loop().time
        start = clock()
        for frame in self.looped():
            wait = start + frame.dts_90k / _CLOCK_90K - clock()
            if wait > 0:
                await asyncio.sleep(wait)
            elif wait < -_LATE_S:
                start -= wait  # the machine stood still: go on from here instead of sending a burst
            yield frame

    async def close(self) -> None:
        """Nothing runs."""


def open_file(
    path: Path, codec: CodecChoice = "as-is", progress: Progress = lambda _line: None
) -> FileSource:
    """Read a file whole. Blocks: call it in a thread.

    Raises `SourceError` when the file cannot be opened or holds no video that can be sent. As-is keeps H.264
    and H.265; every other codec becomes H.264. At most `MAX_COPIED_BYTES` are kept and `MAX_ENCODED_S`
    seconds re-encoded; a longer file is looped over its beginning, and `progress` says so.
    """
    try:
        with av.open(str(path)) as container:
            loaded = _load(container, codec, progress)
    except (OSError, av.error.FFmpegError) as error:
        raise SourceError(f"cannot read {path.name}: {error}") from error
    if not loaded.video:
        raise SourceError(f"{path.name} holds no key frame to start from")
    return _assemble(loaded)


def _load(container: "av.container.InputContainer", choice: CodecChoice, progress: Progress) -> _Loaded:
    if not container.streams.video:
        raise SourceError("the file holds no video")
    video = container.streams.video[0]
    have = video.codec_context.name
    want = {"as-is": have if have in _VIDEO_TYPES else "h264", "h264": "h264", "h265": "hevc"}[choice]
    audio = container.streams.audio[0] if container.streams.audio else None
    audio_reader = _AudioReader(audio) if audio is not None else None
    size = (video.codec_context.width, video.codec_context.height)
    progress(f"{have} {size[0]}x{size[1]}" + ("" if have == want else f", re-encoding to {want}"))
    reader = _copied(video, have) if have == want else _Transcoder(video, want, progress)
    streams = [stream for stream in (video, audio) if stream is not None]
    for packet in container.demux(streams):
        if packet.stream.type == "video":
            if not reader.take(packet):
                progress("the file is longer than what is kept in memory: its beginning is looped")
                break
        elif audio_reader is not None and packet.dts is not None:
            audio_reader.take(packet)
    reader.finish()
    return _Loaded(
        video=reader.frames,
        audio=[] if audio_reader is None else audio_reader.frames,
        audio_type=None if audio_reader is None else audio_reader.stream_type,
        codec=want,
        width=size[0],
        height=size[1],
    )


def _to_90k(value: int, time_base: Fraction) -> int:
    return round(value * time_base * _CLOCK_90K)


def _copied(video: Any, codec: str) -> "_Copier":
    return _Copier(video, codec)


class _Copier:
    """Takes packets as they are and puts them into Annex B form."""

    def __init__(self, video: Any, codec: str) -> None:
        self.frames: list[Frame] = []
        self._stream = video
        self._h265 = codec == "hevc"
        self._filter = BitStreamFilterContext(_FILTERS[codec], video)
        self._sets = b""
        self._bytes = 0
        self._last_dts: int | None = None
        rate = video.average_rate or Fraction(25)
        self._step = round(_CLOCK_90K / rate)

    def take(self, packet: Any) -> bool:
        """Keep one packet; False when no more fit."""
        if packet.size:
            self._keep(self._filter.filter(packet))
        return self._bytes < MAX_COPIED_BYTES

    def finish(self) -> None:
        """Take what the filter still holds."""
        self._keep(self._filter.filter(None))

    def _keep(self, packets: list[Any]) -> None:
        for packet in packets:
            data = bytes(packet)
            key = annexb.is_key_frame(data, h265=self._h265)
            if not self.frames and not key:
                continue  # a stream starts with a key frame
            if key:
                own = annexb.parameter_sets(data, h265=self._h265)
                self._sets = own or self._sets
                data = data if own else self._sets + data
            dts, pts = self._times(packet)
            self.frames.append(Frame(FrameKind.VIDEO, data, pts, dts, key))
            self._bytes += len(data)

    def _times(self, packet: Any) -> tuple[int, int]:
        """DTS, always growing (AVI has none), and PTS, never before DTS."""
        base = packet.time_base or self._stream.time_base
        last = self._last_dts
        dts = _to_90k(packet.dts, base) if packet.dts is not None else None
        if dts is None or (last is not None and dts <= last):
            dts = 0 if last is None else last + self._step
        self._last_dts = dts
        pts = _to_90k(packet.pts, base) if packet.pts is not None else dts
        return dts, max(pts, dts)


class _Transcoder:
    """Decodes whatever the file holds and encodes it as a camera would: no B-frames, a key frame each 2 s."""

    def __init__(self, video: Any, codec: str, progress: Progress) -> None:
        self.frames: list[Frame] = []
        self._stream = video
        self._codec = codec
        self._encoder: Any = None
        self._progress = progress
        self._count = 0
        rate = video.average_rate or Fraction(25)
        self._rate = Fraction(rate) if 1 <= rate <= 60 else Fraction(25)

    def take(self, packet: Any) -> bool:
        """Re-encode one packet; False when enough has been encoded."""
        try:
            pictures = self._stream.codec_context.decode(packet)
        except av.error.InvalidDataError:
            return True  # a damaged packet costs its picture, not the file
        for picture in pictures:
            self._encode(picture)
        return self._count < MAX_ENCODED_S * self._rate

    def finish(self) -> None:
        """Flush the encoder."""
        if self._encoder is not None:
            self._keep(self._encoder.encode(None))

    def _encode(self, picture: Any) -> None:
        if self._encoder is None:
            self._encoder = make_encoder(self._codec, picture.width, picture.height, self._rate)
        frame = picture.reformat(width=self._encoder.width, height=self._encoder.height, format="yuv420p")
        frame.pts = self._count
        frame.time_base = 1 / self._rate
        frame.pict_type = 0
        self._count += 1
        if self._count % 250 == 0:
            self._progress(f"re-encoded {self._count} pictures")
        self._keep(self._encoder.encode(frame))

    def _keep(self, packets: list[Any]) -> None:
        h265 = self._codec == "hevc"
        for packet in packets:
            data = bytes(packet)
            time = _to_90k(packet.pts, 1 / self._rate)
            key = annexb.is_key_frame(data, h265=h265)
            self.frames.append(Frame(FrameKind.VIDEO, data, time, time, key))


class _AudioReader:
    """AAC (with ADTS headers) and G.711 as they are; anything else becomes G.711A, 8 kHz, one channel."""

    def __init__(self, stream: Any) -> None:
        self.frames: list[Frame] = []
        self._stream = stream
        codec = stream.codec_context
        name = codec.name
        telephone = codec.sample_rate == 8000 and codec.layout.nb_channels == 1
        self._adts: Callable[[int], bytes] | None = None
        self._resampler: Any = None
        if name == "aac" and codec.extradata:
            self.stream_type = StreamType.AAC
            self._adts = annexb.adts_writer(codec.extradata)
        elif name == "aac":
            self.stream_type = StreamType.AAC
        elif name in {"pcm_alaw", "pcm_mulaw"} and telephone:
            self.stream_type = StreamType.G711A if name == "pcm_alaw" else StreamType.G711U
        else:
            self.stream_type = StreamType.G711A
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=8000)
            self._encoder = av.CodecContext.create("pcm_alaw", "w")
            self._encoder.sample_rate = 8000
            self._encoder.layout = "mono"
            self._encoder.format = "s16"

    def take(self, packet: Any) -> None:
        """Keep one audio packet."""
        if not packet.size:
            return
        at = _to_90k(packet.pts if packet.pts is not None else packet.dts, packet.time_base)
        if self._resampler is not None:
            self._recode(packet, at)
        elif self.stream_type is StreamType.AAC:
            data = bytes(packet)
            self._keep(data if self._adts is None else self._adts(len(data)) + data, at)
        else:
            self._chunk(bytes(packet), at)

    def _recode(self, packet: Any, at: int) -> None:
        try:
            decoded = self._stream.codec_context.decode(packet)
        except av.error.InvalidDataError:
            return
        samples = b""
        for frame in decoded:
            for resampled in self._resampler.resample(frame):
                resampled.pts = None
                samples += b"".join(bytes(each) for each in self._encoder.encode(resampled))
        self._chunk(samples, at)

    def _chunk(self, samples: bytes, at: int) -> None:
        for start in range(0, len(samples), _G711_CHUNK):
            self._keep(samples[start : start + _G711_CHUNK], at + start * _CLOCK_90K // 8000)

    def _keep(self, data: bytes, at: int) -> None:
        self.frames.append(Frame(FrameKind.AUDIO, data, at, at, key=False))


def _assemble(loaded: _Loaded) -> FileSource:
    first = loaded.video[0].dts_90k
    last = loaded.video[-1].dts_90k
    step = (last - first) // (len(loaded.video) - 1) if len(loaded.video) > 1 else _CLOCK_90K // 25
    duration = last - first + step
    audio = [frame for frame in loaded.audio if first <= frame.dts_90k < first + duration]
    merged = sorted([*loaded.video, *audio], key=lambda frame: frame.dts_90k)
    frames = [replace(each, pts_90k=each.pts_90k - first, dts_90k=each.dts_90k - first) for each in merged]
    format_ = SourceFormat(
        video=_VIDEO_TYPES[loaded.codec],
        width=loaded.width,
        height=loaded.height,
        fps=_CLOCK_90K / step if step else 25.0,
        audio=loaded.audio_type if audio else None,
    )
    return FileSource(format_, frames, duration)
