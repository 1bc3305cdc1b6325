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
from commonview.rendering.bits import BadParameters
from commonview.rendering.cutting import Fate, Group, Picture, Source, Window
from commonview.rendering.edges import EdgeEncoder, is_clean, joint_parameters, needs_before
from commonview.rendering.feed import Feed
from commonview.rendering.output import Output
from commonview.rendering.stamp import Stamp
from commonview.rendering.whole import WholeEncoder
from commonview.rendering.worker import JobFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet

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
    except (av.error.FFmpegError, BadParameters) as error:
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
        writer: Writer | None = None
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

    def _writer(self, container: InputContainer, rest: list[Source]) -> Writer | None:
        name = f"{self.stem}-{len(self.files) + 1}.mp4"
        return Writer(self, self.folder / name, container, rest)

    def _finish(self, writer: Writer) -> None:
        told = writer.close()
        if told is not None:
            self.files.append(told)

    def _unreadable(self, source: Source) -> None:
        for one in self.found:
            if one["sequence"] == source.sequence:
                one["state"] = "unreadable"


class Writer:
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
        self._feed: Feed | None = None
        """Of the source before, when the whole is encoded: the next may lean on its pictures."""
        self._choose(container, sources)

    def _choose(self, container: InputContainer, sources: list[Source]) -> None:
        """Copy, with edges if need be, or encode the whole."""
        if self._cut.stamp is not None:
            self._why = "burned_in"
        elif self._cut.exact and self._cuts_groups(sources):
            self._edges, self._why = joint_parameters(container)
            if self._edges is not None and not all(_begins_clean(source) for source in sources[1:]):
                # Pictures of a camera would lean on edges where they leant on its own.
                self._edges, self._why = None, "open_groups"
        if self._why:
            self._whole = WholeEncoder(container, self._cut.stamp)

    def _cuts_groups(self, sources: list[Source]) -> bool:
        """Whether a group must be cut open: only the first and the last source can have one."""
        for source in sources:
            if source.begin_us < self._cut.begin_us or source.end_us > self._cut.end_us:
                try:
                    with av.open(source.path) as container:
                        planned = self._plan(container, source, is_first=source is sources[0])[1]
                except (av.error.FFmpegError, OSError):
                    continue
                if any(group.fate is Fate.ENCODE for group in planned):
                    return True
        return False

    def takes(self, container: InputContainer) -> bool:
        """Whether this source has the parameters of those before."""
        same = (container.streams.video[0].codec_context.extradata or b"") == self._first
        return (same or self._whole is not None) and _audio_parameters(container) == self._audio

    def _plan(
        self, container: InputContainer, source: Source, *, is_first: bool
    ) -> tuple[list[Picture], list[Group], Window]:
        stream = container.streams.video[0]
        pictures = [
            Picture(packet.pts or 0, packet.dts or 0, is_clean(packet, stream.codec_context.extradata))
            for packet in _whole_packets(container, [stream], is_first=is_first)
        ]
        window = cutting.window(pictures, source, self._cut.begin_us, self._cut.end_us)
        return pictures, cutting.plan(pictures, window.begin, window.end, exact=self._cut.exact), window

    def source(self, container: InputContainer, source: Source) -> None:
        """Everything of a source that belongs to the cut."""
        is_first = self._output is None
        pictures, planned, window = self._plan(container, source, is_first=is_first)
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
        feed = self._fed(pictures[0], Feed(self, source, base, window, video.codec_context.extradata))
        for packet in _whole_packets(container, streams, is_first=is_first):
            if packet.stream is not video:
                self._output.sound(packet)
                continue
            number += 1
            while number >= group.stop and (following := next(group_at, None)) is not None:
                feed.end()
                group = following
            if group.first <= number < group.stop:
                feed.picture(packet, group.fate)
        if self._whole is None:
            feed.end()

    def _fed(self, first: Picture, feed: Feed) -> Feed:
        """A feed in the place of the one before."""
        if self._feed is not None:
            if first.is_clean:
                self._feed.end()
            else:
                feed.follow(self._feed)
        if self._whole is not None:
            self._feed = feed
        return feed

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
            if self._feed is not None:
                self._feed.end()
            self._whole.end()
        return self._output.close() | {"why": self._why}

    @property
    def output(self) -> Output:
        """The file, once there is something to be in it."""
        assert self._output is not None  # noqa: S101 - opened before anything is fed
        return self._output

    @property
    def edges(self) -> EdgeEncoder | None:
        """What encodes edges, if that is done."""
        return self._edges

    @property
    def whole(self) -> WholeEncoder | None:
        """What encodes everything, if that is done."""
        return self._whole

    def tell(self, at_us: int) -> None:
        """How far it is, now and then."""
        if at_us - self._told_us >= _TELL_EVERY_US:
            self._told_us = at_us
            self._cut.progress({"done_us": at_us})


def _whole_packets(container: InputContainer, streams: list[Any], *, is_first: bool) -> Iterator[Packet[Any]]:
    """The packets of a source, up to where it is cut off.

    In the first source of a file pictures that need those before its beginning are left out.
    """
    leads, key_at = is_first, None
    for packet in container.demux(streams):
        if packet.is_corrupt:
            return
        if packet.pts is None or packet.dts is None:
            continue
        if leads and packet.stream is streams[0]:
            key_at = packet.pts if key_at is None else key_at
            leads = packet.pts <= key_at
            if leads and needs_before(packet, streams[0].codec_context.extradata):
                continue
        yield packet


def _begins_clean(source: Source) -> bool:
    """Whether the first picture of a source needs nothing before it; so does one that cannot be read."""
    try:
        with av.open(source.path) as container:
            stream = container.streams.video[0]
            first = next(_whole_packets(container, [stream], is_first=False), None)
            return first is None or is_clean(first, stream.codec_context.extradata)
    except (av.error.FFmpegError, OSError, IndexError):
        return True


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
