"""Watching, from the wish to the last byte: security decides, network starts, media shows, records close.

The order is the promise of the house: the access record is durable before a ticket exists, and a ticket
that is not used leaves a closed record and no running camera.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from anyio import to_thread

from commonview.api.looks import Wish, open_wish, span_detail
from commonview.api.media_address import Way
from commonview.foundation.clock import Clock
from commonview.foundation.errors import CommonviewError
from commonview.foundation.settings import IpNetwork
from commonview.media import SpeakerProtocol, Ticket, ViewerProtocol, tickets
from commonview.network import (
    Failure,
    LiveSession,
    NetworkService,
    SessionState,
    SessionUnknown,
    ViewerEvent,
    ViewerEventKind,
)
from commonview.network.history import Playback, PlaybackState
from commonview.security import AccessOutcome, Action, NotSignedIn, OpenedAccess, SecurityService, Subject

log = logging.getLogger(__name__)

START_WITHIN = timedelta(seconds=45)
"""How long a ticket waits for its player; the outlet refuses anything above a minute."""

_GRACE = timedelta(seconds=2)
_EVENTS_WITHIN_S = 0.25

_OUTCOMES = {
    "grant_ended": AccessOutcome.GRANT_ENDED,
    "grant_revoked": AccessOutcome.GRANT_REVOKED,
    "stream_ended": AccessOutcome.STREAM_ENDED,
    "feed_lost": AccessOutcome.FAILED,
    "format_changed": AccessOutcome.STREAM_ENDED,
    "no_media": AccessOutcome.FAILED,
    **dict.fromkeys(("too_slow", "vanished", "silent"), AccessOutcome.LOST),
}
"""By the media node's reason for a viewer that left; everything else is the viewer's own leaving."""


class LiveRefused(CommonviewError):
    """There can be no picture now; `code` is the session's failure, `params` name session and access."""

    default_code = "live_failed"
    http_status = 409


@dataclass(frozen=True, slots=True)
class Playable:
    """What a viewer was given. `way` holds the single-use ticket."""

    access: OpenedAccess
    session: LiveSession
    way: Way
    start_by: datetime
    is_transcoded: bool


@dataclass(frozen=True, slots=True)
class PlayablePast:
    """What a viewer of a device recording was given. `way` holds the single-use ticket."""

    access: OpenedAccess
    playback: Playback
    way: Way
    start_by: datetime


@dataclass(frozen=True, slots=True)
class Begun:
    """A stream or talk that was begun for an access. `failed` tells whether it has failed meanwhile."""

    id: str
    stream_id: str
    failure: Failure | None
    failed: Callable[[], bool]


@dataclass(slots=True)
class _Open:
    failed: Callable[[], bool]
    start_by: datetime
    sign_in: str | None
    joined: bool = False


@dataclass(slots=True)
class LiveDeskCounters:
    """What happened at the desk since the start."""

    opened: int = 0
    refused_failed: int = 0
    never_started: int = 0
    closed: int = 0


class LiveDesk:
    """Opens and closes looks. All methods run on the event loop."""

    def __init__(
        self,
        *,
        security: SecurityService,
        network: NetworkService,
        ticket_key: bytes,
        clock: Clock,
        expect_player: Callable[[str], None],
        peers_of: Callable[[str], IpNetwork | None] = lambda _asker: None,
        check_every_s: float = 1.0,
    ) -> None:
        self._security = security
        self._network = network
        self._ticket_key = ticket_key
        self._clock = clock
        self._expect_player = expect_player
        self._peers_of = peers_of
        self._check_every_s = check_every_s
        self._open: dict[str, _Open] = {}
        self._opening: Counter[str] = Counter()
        self._ended: set[str] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self.counters = LiveDeskCounters()

    async def open(
        self,
        subject: Subject,
        channel_id: str,
        *,
        purpose_id: str | None,
        reason: str | None,
        duration_s: int | None,
        grant_id: str | None,
        protocol: ViewerProtocol,
        stream_number: int = 0,
        as_h264: bool = False,
    ) -> Playable:
        """Grant, record, session, ticket: in this order. The camera is asked in the background.

        ``as_h264``: the player knows nothing else, so that what is not H.264 is transcoded, and recorded so.

        Raises:
            ChannelUnknown, TranscodeRefused: before anything is written.
            SecurityError, StorageUnavailable: refused; nothing was written and no camera was asked.
            NotSignedIn: the session ended meanwhile; the record is closed as failed.
            LiveRefused: the session failed at once; the record is closed as failed.
        """
        wish = Wish(channel_id, purpose_id, reason, duration_s, grant_id)
        sessions: list[LiveSession] = []
        transcodes = self._network.transcodes
        is_transcoded = as_h264 and not transcodes.is_needless(channel_id, stream_number)
        detail: dict[str, str | int] = {"stream_number": stream_number}
        if is_transcoded:
            self._network.channel(channel_id)
            transcodes.require_place(channel_id, stream_number)
            detail["transcoded"] = "h264"

        async def begin(access: OpenedAccess) -> Begun:
            who = {"access_id": access.record.id, "user": subject.username}
            if is_transcoded:
                session, stream_id = transcodes.start(channel_id, stream_number, **who)
            else:
                session = await self._network.start_live(channel_id, stream_number=stream_number, **who)
                stream_id = session.stream_id
            sessions.append(session)
            return Begun(
                session.id,
                stream_id,
                session.failure if session.state is SessionState.FAILED else None,
                lambda: transcodes.failed(stream_id) or self._failed(session.id),
            )

        access, way, start_by = await self.open_wish(subject, wish, Action.LIVE_VIEW, protocol, detail, begin)
        return Playable(access, sessions[0], way, start_by, is_transcoded)

    async def open_playback(
        self, subject: Subject, wish: Wish, start: datetime, end: datetime, protocol: ViewerProtocol
    ) -> PlayablePast:
        """As `open`, to a device recording; record and audit entry say which span.

        Raises: as `open`, and `PlaybackInvalid` (the record is closed as failed).
        """
        history = self._network.history
        playbacks: list[Playback] = []

        async def begin(access: OpenedAccess) -> Begun:
            playback = history.start_playback(
                wish.channel_id, access.record.id, start, end, user=subject.username
            )
            playbacks.append(playback)
            return Begun(
                playback.id,
                playback.stream_id,
                playback.failure,
                lambda: history.playbacks.playback(playback.id).state is PlaybackState.FAILED,
            )

        access, way, start_by = await self.open_wish(
            subject, wish, Action.RECORDING_VIEW, protocol, span_detail(start, end), begin
        )
        return PlayablePast(access, playbacks[0], way, start_by)

    async def open_wish(
        self,
        subject: Subject,
        wish: Wish,
        action: Action,
        protocol: ViewerProtocol | SpeakerProtocol,
        detail: Mapping[str, str | int],
        begin: Callable[[OpenedAccess], Awaitable[Begun]],
    ) -> tuple[OpenedAccess, Way, datetime]:
        """Grant and record, then ``begin(access)``, then the ticket: its way, and until when it is good.

        Raises: as `open`.
        """
        self._network.channel(wish.channel_id)
        with self._opening_for(subject.session_id):
            access = await open_wish(self._security, subject, wish, action, protocol.value, detail)
            access_id = access.record.id
            try:
                begun = await begin(access)
                self._require_signed_in(subject)
                way, start_by = self._ticket(access, begun, protocol)
            except NotSignedIn:
                await self._network.leave(access_id)
                self._close(access_id, AccessOutcome.FAILED, 0)
                raise
            except BaseException:
                # Whatever went wrong, cancellation included: the record that was opened gets its end.
                self._close(access_id, AccessOutcome.FAILED, 0)
                raise
            self._open[access_id] = _Open(begun.failed, start_by, subject.session_id)
            self.counters.opened += 1
            return access, way, start_by

    @contextmanager
    def _opening_for(self, sign_in: str | None) -> Iterator[None]:
        """Remember the end of this session for as long as something is being opened under it."""
        if sign_in is None:
            yield
            return
        self._opening[sign_in] += 1
        try:
            yield
        finally:
            self._opening[sign_in] -= 1
            if not self._opening[sign_in]:
                del self._opening[sign_in]
                self._ended.discard(sign_in)

    def _require_signed_in(self, subject: Subject) -> None:
        if subject.session_id in self._ended:
            raise NotSignedIn("the session has ended: sign in again", code="session_ended")

    def end_sessions(self, sign_ins: Sequence[str]) -> None:
        """Somebody signed out, or was signed out: what they were watching under these sessions ends."""
        ended = set(sign_ins)
        self._ended |= ended & self._opening.keys()
        for access_id, entry in list(self._open.items()):
            if entry.sign_in in ended:
                self._keep(asyncio.get_running_loop().create_task(self.leave(access_id)))

    def _ticket(
        self, access: OpenedAccess, begun: Begun, protocol: ViewerProtocol | SpeakerProtocol
    ) -> tuple[Way, datetime]:
        access_id = access.record.id
        if begun.failure is not None:
            self.counters.refused_failed += 1
            raise LiveRefused(
                f"the camera cannot be reached: {begun.failure.code.value}",
                code=begun.failure.code.value,
                **{**begun.failure.params, "session_id": begun.id, "access_id": access_id},
            )
        start_by = min(self._clock.now() + START_WITHIN, access.grant.ends_at)
        ticket = Ticket(
            stream_id=begun.stream_id,
            access_id=access_id,
            grant_id=access.grant.id,
            protocol=protocol,
            start_by=start_by,
            end_by=access.grant.ends_at,
            peers=self._peers(access, protocol),
        )
        signed = tickets.sign(self._ticket_key, ticket)
        if protocol is ViewerProtocol.RTSP:
            self._expect_player(signed)
            return Way(tickets.rtsp_path(begun.stream_id), tickets.sign_in(signed)), start_by
        if protocol is SpeakerProtocol.TALK:
            return Way(tickets.talk_path(begun.stream_id, signed)), start_by
        return Way(tickets.viewer_path(protocol, begun.stream_id, signed)), start_by

    def _peers(self, access: OpenedAccess, protocol: ViewerProtocol | SpeakerProtocol) -> IpNetwork | None:
        """From where the ticket may be used. A player by RTSP stands elsewhere than who asks for it."""
        return None if protocol is ViewerProtocol.RTSP else self._peers_of(access.record.client_address)

    async def leave(self, access_id: str) -> None:
        """The viewer says good-bye: its stream is cut; the record closes with what was sent."""
        entry = self._open.get(access_id)
        await self._network.leave(access_id)
        if entry is not None and not entry.joined:
            self._keep(asyncio.get_running_loop().create_task(self._finish_unseen(access_id)))

    async def _finish_unseen(self, access_id: str) -> None:
        # The player may have connected a moment ago, and what the media node says of it, with the bytes it
        # was sent, be still on the way.
        await asyncio.sleep(_EVENTS_WITHIN_S)
        entry = self._open.get(access_id)
        if entry is not None and not entry.joined:
            self._finish(access_id, AccessOutcome.CLOSED, 0)

    def on_viewer(self, event: ViewerEvent) -> None:
        """What the media node saw; given to the network room as its listener."""
        entry = self._open.get(event.access_id)
        if event.kind is ViewerEventKind.LEFT:
            outcome = _OUTCOMES.get(event.reason, AccessOutcome.CLOSED)
            if outcome is AccessOutcome.STREAM_ENDED and entry is not None and entry.failed():
                outcome = AccessOutcome.FAILED
            self._finish(event.access_id, outcome, event.bytes_sent)
        elif entry is not None:
            entry.joined = True

    async def run(self) -> None:
        """Until cancelled: close what never started."""
        while True:
            await asyncio.sleep(self._check_every_s)
            try:
                await self.expire()
            except CommonviewError as error:  # one look that cannot be ended must not keep the others open
                log.warning("a look could not be ended, trying again: %s", error.message)

    async def expire(self) -> None:
        """Close every look whose ticket was not used in time, or whose session is over before it began."""
        now = self._clock.now()
        for access_id, entry in list(self._open.items()):
            if entry.joined:
                continue
            if entry.failed():
                self._finish(access_id, AccessOutcome.FAILED, 0)
            elif now > entry.start_by + _GRACE:
                self.counters.never_started += 1
                self._finish(access_id, AccessOutcome.NEVER_STARTED, 0)
                await self._network.leave(access_id)

    async def close(self) -> None:
        """The server stops, the cameras are told already: close every record that is still open."""
        for access_id, entry in list(self._open.items()):
            outcome = AccessOutcome.INTERRUPTED if entry.joined else AccessOutcome.NEVER_STARTED
            self._finish(access_id, outcome, 0)
        await self.drain()

    async def drain(self) -> None:
        """Wait until every record that is being closed is closed."""
        while self._closing:
            await asyncio.wait(list(self._closing))

    def _failed(self, session_id: str) -> bool:
        try:
            return self._network.session(session_id).state is SessionState.FAILED
        except SessionUnknown:
            return False

    def _finish(self, access_id: str, outcome: AccessOutcome, bytes_sent: int) -> None:
        self._open.pop(access_id, None)
        self._close(access_id, outcome, bytes_sent)

    def _close(self, access_id: str, outcome: AccessOutcome, bytes_sent: int) -> None:
        self._keep(asyncio.get_running_loop().create_task(self._close_record(access_id, outcome, bytes_sent)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close_record(self, access_id: str, outcome: AccessOutcome, bytes_sent: int) -> None:
        # A full disk is no error here: the security room keeps what it cannot write yet.
        await to_thread.run_sync(
            lambda: self._security.close_access(access_id, outcome, bytes_sent=bytes_sent)
        )
        self.counters.closed += 1
