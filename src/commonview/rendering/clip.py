"""Recordings into files of a span, copied where possible. Imports PyAV: worker processes only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av
import av.error

from commonview.rendering import cutting
from commonview.rendering.cutting import Fate, Group, Picture, Source, Window
from commonview.rendering.edges import EdgeEncoder, is_clean, joint_parameters
from commonview.rendering.output import Output
from commonview.rendering.stamp import Stamp
from commonview.rendering.whole import WholeEncoder
from commonview.rendering.worker import JobFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame

    from commonview.rendering.worker import Progress

_BASE: Final = Fraction(1, cutting.TICKS)
_TELL_EVERY_US: Final = 1_000_000


def clip(arguments: dict[str, Any], progress: Progress) -> tuple[dict[str, Any], None]:
    """Write a span of sources.

    Takes ``sources``, ``begin_us``, ``end_us``, ``exact``, ``stamp``, ``folder``, ``stem``. Answers what was
    written (`files`) and how each source was found (`sources`).
    """
    sources = [Source(**one | {"format": tuple(one["format"])}) for one in arguments["sources"]]
    cut = _Cut(
        arguments["begin_us"],
        arguments["end_us"],
        arguments["exact"],
        None if arguments["stamp"] is None else Stamp(**arguments["stamp"]),
        Path(arguments["folder"]),
        arguments["stem"],
        progress,
    )
    try:
        cut.examine(sources)
        for run in cutting.runs(cut.usable, cut.begin_us, cut.end_us):
            cut.write(run)
    except av.error.FFmpegError as error:
        raise JobFailed(
            "media_unreadable", f"the recording cannot be rendered ({type(error).__name__})"
        ) from error
    except OSError as error:
        raise JobFailed("disk_full", f"the file cannot be written ({error.strerror})") from error
    return {"files": cut.files, "sources": cut.found}, None


@dataclass
class _Cut:
    begin_us: int
    end_us: int
    exact: bool
    stamp: Stamp | None
    folder: Path
    stem: str
    progress: Progress
    usable: list[Source] = field(default_factory=list)
    found: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)

    def examine(self, sources: list[Source]) -> None:
        """Hash every source: what is not what the index says is said, and used nevertheless."""
        for source in sources:
            state, actual = _hashed(source)
            self.found.append({"sequence": source.sequence, "state": state, "sha256": actual})
            if state in ("intact", "altered"):
                self.usable.append(source)
            self.progress({"examined": source.sequence})

    def write(self, run: list[Source]) -> None:
        """The files of sources that follow one another."""
        writer: _Writer | None = None
        for number, source in enumerate(run):
            try:
                container = av.open(source.path)
            except (av.error.FFmpegError, OSError):
                self._unreadable(source)
                continue
            with container:
                if not container.streams.video or container.streams.video[0].time_base != _BASE:
                    self._unreadable(source)
                    continue
                if writer is not None and not writer.takes(container):
                    self._finish(writer)
                    writer = None
                if writer is None:
                    writer = self._writer(container, run[number:])
                if writer is not None:
                    writer.source(container, source)
                    self.progress({"done_us": source.end_us})
        if writer is not None:
            self._finish(writer)

    def _writer(self, container: InputContainer, rest: list[Source]) -> _Writer | None:
        name = f"{self.stem}-{len(self.files) + 1}.mp4"
        return _Writer(self, self.folder / name, container, rest)

    def _finish(self, writer: _Writer) -> None:
        told = writer.close()
        if told is not None:
            self.files.append(told)

    def _unreadable(self, source: Source) -> None:
        for one in self.found:
            if one["sequence"] == source.sequence:
                one["state"] = "unreadable"


class _Writer:
    """One file of a cut."""

    def __init__(self, cut: _Cut, path: Path, container: InputContainer, sources: list[Source]) -> None:
        self._cut = cut
        self._path = path
        self._first = container.streams.video[0].codec_context.extradata or b""
        self._audio = _audio_parameters(container)
        self._output: Output | None = None
        self._whole: WholeEncoder | None = None
        self._edges: EdgeEncoder | None = None
        self._why = ""
        self._told_us = 0
        self._choose(container, sources)

    def _choose(self, container: InputContainer, sources: list[Source]) -> None:
        """Copy, with edges if need be, or encode the whole."""
        if self._cut.stamp is not None:
            self._why = "burned_in"
        elif self._cut.exact and self._cuts_groups(sources):
            self._edges, self._why = joint_parameters(container)
        if self._why:
            self._whole = WholeEncoder(container, self._cut.stamp)

    def _cuts_groups(self, sources: list[Source]) -> bool:
        """Whether a group must be cut open: only the first and the last source can have one."""
        for source in sources:
            if source.begin_us < self._cut.begin_us or source.end_us > self._cut.end_us:
                try:
                    with av.open(source.path) as container:
                        planned = self._plan(container, source)[1]
                except (av.error.FFmpegError, OSError):
                    continue
                if any(group.fate is Fate.ENCODE for group in planned):
                    return True
        return False

    def takes(self, container: InputContainer) -> bool:
        """Whether this source has the parameters of those before."""
        same = (container.streams.video[0].codec_context.extradata or b"") == self._first
        return (same or self._whole is not None) and _audio_parameters(container) == self._audio

    def _plan(self, container: InputContainer, source: Source) -> tuple[list[Picture], list[Group], Window]:
        stream = container.streams.video[0]
        pictures = [
            Picture(packet.pts or 0, packet.dts or 0, is_clean(packet, stream.codec_context.extradata))
            for packet in _whole_packets(container, [stream])
        ]
        window = cutting.window(pictures, source, self._cut.begin_us, self._cut.end_us)
        return pictures, cutting.plan(pictures, window.begin, window.end, exact=self._cut.exact), window

    def source(self, container: InputContainer, source: Source) -> None:
        """Everything of a source that belongs to the cut."""
        pictures, planned, window = self._plan(container, source)
        begin, end = window.begin, window.end
        times = cutting.kept(pictures, planned, begin, end)
        if not times:
            return
        if self._output is None:
            self._output = self._open(container, source.begin_us + cutting.us_of(times[0] - window.zero))
        self._output.is_reordered |= len({picture.pts - picture.dts for picture in pictures}) > 1
        base = cutting.ticks_from(source.begin_us - self._output.origin_us) - window.zero
        sound = (max(begin, times[0]), end) if self._cut.exact else (times[0], max(end, times[-1] + 1))
        self._output.sound_from(base, *sound)
        container.seek(0, stream=container.streams.video[0])
        video = container.streams.video[0]
        streams = [video, *container.streams.audio[:1]]
        group_at = iter(planned)
        group, number = next(group_at), -1
        feed = _Feed(self, source, base, window)
        for packet in _whole_packets(container, streams):
            if packet.stream is not video:
                self._output.sound(packet)
                continue
            number += 1
            while number >= group.stop and (following := next(group_at, None)) is not None:
                feed.end()
                group = following
            if group.first <= number < group.stop:
                feed.picture(packet, group.fate)
        feed.end()

    def _open(self, container: InputContainer, origin_us: int) -> Output:
        output = Output(self._path, origin_us, container, self._edges, self._whole)
        if self._whole is not None:
            self._whole.join(output)
        return output

    def close(self) -> dict[str, Any] | None:
        """Finish the file; None when nothing came into it."""
        if self._output is None:
            return None
        if self._whole is not None:
            self._whole.end()
        return self._output.close() | {"why": self._why}

    @property
    def output(self) -> Output:
        assert self._output is not None  # noqa: S101 - opened before anything is fed
        return self._output

    @property
    def edges(self) -> EdgeEncoder | None:
        return self._edges

    @property
    def whole(self) -> WholeEncoder | None:
        return self._whole

    def tell(self, at_us: int) -> None:
        """How far it is, now and then."""
        if at_us - self._told_us >= _TELL_EVERY_US:
            self._told_us = at_us
            self._cut.progress({"done_us": at_us})


class _Feed:
    """The pictures of one source on their way: copied, or through a decoder and an encoder."""

    def __init__(self, writer: _Writer, source: Source, base: int, window: Window) -> None:
        self._writer = writer
        self._source = source
        self._base = base
        self._window = window
        self._decoder: Any = None
        self._delay = 0

    def picture(self, packet: Packet[Any], fate: Fate) -> None:
        writer = self._writer
        assert packet.pts is not None  # noqa: S101 - seen to by the caller
        writer.tell(self._moment(packet.pts))
        if writer.whole is not None:
            # A group that is left out is not decoded; one that is copied elsewhere is kept as a whole.
            if fate is not Fate.LEAVE:
                self._decode(packet, everything=fate is Fate.COPY)
        elif fate is Fate.COPY:
            writer.output.copy(packet, self._base)
        elif fate is Fate.ENCODE:
            self._delay = packet.pts - packet.dts if self._decoder is None else self._delay  # type: ignore[operator]
            self._decode(packet, everything=False)

    def _decode(self, packet: Packet[Any] | None, *, everything: bool) -> None:
        if self._decoder is None:
            if packet is None:
                return
            self._decoder = _decoder(packet)
            self._everything = everything
        for frame in _frames(self._decoder, packet):
            if frame.pts is not None and (
                self._everything or self._window.begin <= frame.pts < self._window.end
            ):
                self._encode(frame)

    def _encode(self, frame: VideoFrame) -> None:
        writer, at = self._writer, frame.pts
        assert at is not None  # noqa: S101 - seen to by the caller
        frame.pts = at + self._base
        if writer.whole is not None:
            writer.whole.picture(frame, self._moment(at))
        elif writer.edges is not None:
            for edge in writer.edges.picture(frame):
                writer.output.edge(edge, self._delay)

    def _moment(self, at: int) -> int:
        return self._source.begin_us + cutting.us_of(at - self._window.zero)

    def end(self) -> None:
        """A group is over, or the source."""
        self._decode(None, everything=False)
        self._decoder = None
        if self._writer.edges is not None:
            for edge in self._writer.edges.end():
                self._writer.output.edge(edge, self._delay)


def _whole_packets(container: InputContainer, streams: list[Any]) -> Iterator[Packet[Any]]:
    """The packets of a source, up to where it is cut off."""
    for packet in container.demux(streams):
        if packet.is_corrupt:
            return
        if packet.pts is not None and packet.dts is not None:
            yield packet


def _decoder(packet: Packet[Any]) -> Any:
    template = packet.stream.codec_context
    decoder: Any = av.CodecContext.create(template.codec.name, "r")
    decoder.extradata = template.extradata
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(8192 * 8192)}
    return decoder


def _frames(decoder: Any, packet: Packet[Any] | None) -> Iterator[VideoFrame]:
    try:
        yield from decoder.decode(packet)
    except av.error.FFmpegError:
        return  # a picture that cannot be decoded is not there; those behind it may be


def _audio_parameters(container: InputContainer) -> tuple[str, bytes] | None:
    if not container.streams.audio:
        return None
    context = container.streams.audio[0].codec_context
    return context.codec.name, context.extradata or b""


def _hashed(source: Source) -> tuple[str, str]:
    digest = hashlib.sha256()
    try:
        with Path(source.path).open("rb") as file:
            while piece := file.read(2**20):
                digest.update(piece)
    except OSError:
        return "missing", ""
    actual = digest.hexdigest()
    return ("intact" if actual == source.sha256 else "altered"), actual
