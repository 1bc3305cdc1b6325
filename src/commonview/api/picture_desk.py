"""Stills: of a live stream now, and small ones of what was recorded. The promise is that of video.

A still that is taken, live or of a recording, is a look of its own: grant and access record first. Small ones
of recordings are made under a look that is open, and count with the bytes it was sent.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread

from commonview.api.endings import Endings
from commonview.api.live_desk import LiveRefused
from commonview.api.looks import Wish, open_wish, span_detail
from commonview.foundation.ids import new_id
from commonview.network import SessionState
from commonview.recording import RecordingInvalid, RecordingUnknown, Segment, Track
from commonview.rendering import Place, RenderFailed, Still, Studio, Window
from commonview.security import AccessOutcome, Action, NotFound, OpenedAccess, SecurityService, Subject

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine
    from datetime import datetime
    from pathlib import Path

    from commonview.api.recorded_desk import RecordedDesk
    from commonview.media import MediaNode
    from commonview.network import LiveSession, NetworkService
    from commonview.recording import SegmentUnderWay
    from commonview.rendering import Strip

_PATIENCE_S: Final = 15.0
_LOOK_EVERY_S: Final = 0.05
MOST_TILES: Final = 64


class PictureDesk:
    """Makes stills under grants. All methods run on the event loop."""

    def __init__(
        self,
        security: SecurityService,
        network: NetworkService,
        media: MediaNode,
        recorded: RecordedDesk,
        studio: Studio,
        folder: Path,
    ) -> None:
        self._security = security
        self._network = network
        self._media = media
        self._recorded = recorded
        self._studio = studio
        self._folder = folder
        self._tasks: set[asyncio.Task[None]] = set()
        self._endings = Endings()
        self.counters: Counter[str] = Counter()

    # -- live

    async def live(
        self, subject: Subject, wish: Wish, stream_number: int
    ) -> tuple[OpenedAccess, LiveSession, Still]:
        """The latest key frame of a live stream.

        Raises:
            ChannelUnknown: before anything is written.
            SecurityError, StorageUnavailable: refused; no camera was asked.
            LiveRefused, RenderError: the record is closed as failed.
            NotFound: grant or sign-in ended meanwhile.
        """
        self._network.channel(wish.channel_id)
        with self._endings.watched():
            detail = {"stream_number": stream_number}
            access = await open_wish(self._security, subject, wish, Action.LIVE_VIEW, "snapshot", detail)
            access_id, outcome, size = access.record.id, AccessOutcome.FAILED, 0
            try:
                session = await self._begun(subject, access, stream_number)
                still = await self._of(session.stream_id)
                over = self._endings.of(access.grant.id, subject.session_id)
                if over is not None:
                    outcome = over
                    raise _over(access_id)
                outcome, size = AccessOutcome.CLOSED, len(still.jpeg)
            finally:
                await self._network.leave(access_id)
                self._keep(self._closed(access_id, outcome, size))
        self.counters["live"] += 1
        return access, session, still

    async def _begun(self, subject: Subject, access: OpenedAccess, stream_number: int) -> LiveSession:
        session = await self._network.start_live(
            access.record.channel_id,
            access_id=access.record.id,
            stream_number=stream_number,
            user=subject.username,
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                while session.state is SessionState.STARTING:
                    await asyncio.sleep(_LOOK_EVERY_S)
                    session = self._network.session(session.id)
        if session.state is not SessionState.LIVE:
            code = "live_failed" if session.failure is None else session.failure.code.value
            raise LiveRefused(f"there is no picture: {code}", code=code, session_id=session.id)
        return session

    async def _of(self, stream_id: str) -> Still:
        """The key frame the media core keeps, by way of a file of one fragment."""
        await to_thread.run_sync(lambda: self._folder.mkdir(mode=0o700, exist_ok=True))
        sink_id = f"still-{new_id()}"
        path = self._folder / f"{sink_id}.mp4"
        # One byte is enough said: it ends with the fragment that goes beyond, and that is the key frame.
        self._media.open_file_sink(sink_id, stream_id, path, max_bytes=1)
        try:
            for _ in range(round(_PATIENCE_S / _LOOK_EVERY_S)):
                if await to_thread.run_sync(path.exists):
                    return await self._studio.latest(path)
                await asyncio.sleep(_LOOK_EVERY_S)
            raise RenderFailed("the stream has no key frame", code="picture_absent")
        finally:
            self._media.close_file_sink(sink_id)
            await to_thread.run_sync(lambda: path.unlink(missing_ok=True))

    # -- recorded

    async def taken(
        self, subject: Subject, wish: Wish, stream_number: int, at: datetime
    ) -> tuple[OpenedAccess, datetime, Still]:
        """The very picture of a moment of a recording, in its own size, to be kept: a look of its own.

        Raises:
            ChannelUnknown: before anything is written.
            SecurityError, StorageUnavailable: refused.
            RecordingUnknown, RenderError: the record is closed as failed.
            NotFound: grant or sign-in ended meanwhile.
        """
        self._network.channel(wish.channel_id)
        with self._endings.watched():
            detail: dict[str, str | int] = {"stream_number": stream_number, **span_detail(at, at)}
            access = await open_wish(self._security, subject, wish, Action.RECORDING_VIEW, "snapshot", detail)
            access_id, outcome, size = access.record.id, AccessOutcome.FAILED, 0
            try:
                found = await self._recorded.one_at(Track(wish.channel_id, stream_number), at)
                if found is None:
                    raise RecordingUnknown("nothing is recorded there", code="nothing_recorded")
                still = await self._studio.still(_place(*found, at, exact=True), exact=True)
                over = self._endings.of(access.grant.id, subject.session_id)
                if over is not None:
                    outcome = over
                    raise _over(access_id)
                outcome, size = AccessOutcome.CLOSED, len(still.jpeg)
            finally:
                self._keep(self._closed(access_id, outcome, size))
        self.counters["taken"] += 1
        return access, found[0].begin + timedelta(microseconds=still.offset_us), still

    async def recorded(
        self, subject: Subject, access_id: str, stream_number: int, at: datetime, width: int
    ) -> tuple[datetime, Still]:
        """The key frame at or before a moment of a look that is open, and when it is.

        Raises:
            NotFound: no such look of one's own, or it is over.
            RecordingUnknown: nothing is recorded there.
            RenderError.
        """
        [found] = await self._recorded.at(subject, access_id, stream_number, [at])
        if found is None:
            raise RecordingUnknown("nothing is recorded there", code="nothing_recorded")
        segment, path = found
        still = await self._studio.still(_place(segment, path, at), width)
        self._recorded.shown(subject, access_id, len(still.jpeg))
        return segment.begin + timedelta(microseconds=still.offset_us), still

    async def strip(
        self,
        subject: Subject,
        access_id: str,
        stream_number: int,
        begin: datetime,
        end: datetime,
        count: int,
        width: int,
        height: int,
    ) -> tuple[list[datetime | None], Strip]:
        """Key frames at even distances in a span, side by side, and when each is; None where there is none.

        Raises: as `recorded`, and `RecordingInvalid`.
        """
        if begin >= end:
            raise RecordingInvalid("a strip covers some time", field="end")
        moments = [begin + (end - begin) * (2 * number + 1) / (2 * count) for number in range(count)]
        found = await self._recorded.at(subject, access_id, stream_number, moments)
        places = [None if one is None else _place(*one, at) for one, at in zip(found, moments, strict=True)]
        strip = await self._studio.strip(places, width, height)
        self._recorded.shown(subject, access_id, len(strip.jpeg))
        times = [
            None if one is None or offset is None else one[0].begin + timedelta(microseconds=offset)
            for one, offset in zip(found, strip.offsets_us, strict=True)
        ]
        return times, strip

    # -- ends

    def end_grant(self, grant_id: str, outcome: AccessOutcome) -> None:
        """A grant is over: a still that is being made under it is not given out."""
        self._endings.note(grant_id, outcome)

    def end_sessions(self, ended: Collection[str]) -> None:
        """Sign-ins are over."""
        for sign_in in ended:
            self._endings.note(sign_in, AccessOutcome.CLOSED)

    async def _closed(self, access_id: str, outcome: AccessOutcome, size: int) -> None:
        await to_thread.run_sync(lambda: self._security.close_access(access_id, outcome, bytes_sent=size))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """The server stops: every record is closed."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))


def _over(access_id: str) -> NotFound:
    return NotFound("it was over before it was there", kind="access_record", id=access_id)


def _place(segment: Segment | SegmentUnderWay, path: Path, at: datetime, *, exact: bool = False) -> Place:
    offset_us = max(0, (at - segment.begin) // timedelta(microseconds=1))
    if isinstance(segment, Segment):
        return Place(path, segment.sha256, offset_us)
    before = [one for one in segment.groups if one.begin_us <= offset_us]
    group = before[-1] if before else segment.groups[0]
    window = Window(segment.head.init_bytes, group.offset, group.bytes)
    # A group's key frame is there before the moment is; the name of the file is like no other.
    return Place(path, path.stem, offset_us if exact else group.begin_us, window)
