"""Calls of superiors: judged, served from the house's own streams, and ended with all that hangs on them.

A superior is let in by its registration, a channel by a running sharing. The access record is durable before
anything is sent; the sender runs under the grant of the sharing, so that revoking it cuts the relay in the
media core at once, and the BYE follows.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from commonview.foundation.errors import StorageUnavailable
from commonview.foundation.ids import new_id
from commonview.media import (
    MediaError,
    PortsExhausted,
    SenderConnected,
    SenderEnded,
    SenderFirstPacket,
    StreamEnded,
    StreamStalled,
    StreamUnknown,
    TcpFailed,
    ViewerJoined,
    ViewerLeft,
)
from commonview.network.calls import CallFailed
from commonview.network.cascade.judging import ACTIONS, Admitted, Caller, admit, onward_headers, taken_path
from commonview.network.cascade.model import Relay, RelayEnd, RelayKind, RelayState
from commonview.network.cascade.relay import HistoryRelaySource, LiveRelaySource, Run, status_for
from commonview.network.cascade.steering import steer
from commonview.network.cascade.wish import WishRefused, write_answer
from commonview.network.model import ViewerEvent, ViewerEventKind
from commonview.network.registration import user_of
from commonview.network.requests import advertised_host
from commonview.network.sip_endpoint import SipEndpointError, SipOverload
from commonview.network.ssrc import SsrcAllocator, SsrcExhaustedError
from commonview.network.voice.calls import asks_for_voice
from commonview.security import AccessOutcome, SecurityError, SharedAction, SharedUse
from commonview.wire.manscdp import CONTENT_TYPE as MANSCDP
from commonview.wire.manscdp import MediaStatus, encode
from commonview.wire.sdp import CONTENT_TYPE as SDP

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from commonview.foundation.settings import IpNetwork
    from commonview.media import MediaEvent
    from commonview.network.cascade.link import Link
    from commonview.network.cascade.service import Cascade
    from commonview.network.history.source import Ground
    from commonview.network.live import LiveSessions
    from commonview.network.sip_endpoint import Flow, ServerTransaction, SipEndpoint
    from commonview.security import Sharing
    from commonview.wire.sip.message import SipRequest

log = logging.getLogger(__name__)

_MOST: Final = 256
_REMEMBERED: Final = 500
_KEPT: Final = 20_000
_BYE_S: Final = 5.0
_AFTER_121_S: Final = 5.0
_BYE_FOLLOWS_S: Final = 1.0
_CLOSE_S: Final = 1.0
_CLOSE_STEPS: Final = 50
_ENDS: Final = {
    "grant_ended": RelayEnd.SHARING_ENDED,
    "grant_revoked": RelayEnd.SHARING_ENDED,
    "access_cut": RelayEnd.SHARING_ENDED,
    "stream_ended": RelayEnd.SOURCE_ENDED,
}
"""By the media node's reason; every other one means that the superior's receiver is gone."""


@dataclass(frozen=True, slots=True)
class RelayGround:
    """What relays stand on besides the cascade."""

    endpoint: SipEndpoint
    live: LiveSessions
    history: Ground
    domain: str
    on_viewer: Callable[[ViewerEvent], None]
    on_changed: Callable[[str], None]
    media_networks: tuple[IpNetwork, ...] = ()
    """Where a superior may have pictures sent besides the address it signals from."""


class Relays:
    """Every relay, running and recent; a `CallDesk`. All methods run on the event loop."""

    def __init__(self, cascade: Cascade, ground: RelayGround) -> None:
        self._cascade = cascade
        self._ground = ground
        self._node = ground.history.node
        self._runs: dict[str, Run] = {}
        self._kept: OrderedDict[str, None] = OrderedDict()
        self._ended: deque[Relay] = deque(maxlen=_REMEMBERED)
        first = secrets.randbelow(10_000)
        self._ssrcs = {
            False: SsrcAllocator(ground.domain, first=first),
            True: SsrcAllocator(ground.domain, first=first, history=True),
        }
        self._tasks: set[asyncio.Task[Any]] = set()
        self.counters: Counter[str] = Counter()

    # -- looking

    def relays(self, superior_id: str | None = None) -> tuple[Relay, ...]:
        """Running relays and the most recent ended ones, newest first."""
        running = [self._shown(run) for run in reversed(self._runs.values()) if not run.over]
        every = (*running, *reversed(self._ended))
        return tuple(one for one in every if superior_id in (None, one.superior_id))

    def running(self, superior_id: str) -> int:
        """How many calls of a superior stand."""
        return sum(run.link.superior.id == superior_id and not run.over for run in self._runs.values())

    def _shown(self, run: Run) -> Relay:
        stats = self._node.sender_stats(run.shown.id) if run.sending else None
        if stats is not None:
            run.show(bytes_sent=stats.bytes)
        return run.shown

    # -- judging

    def judge(self, request: SipRequest, flow: Flow) -> int | None:
        """See `CallDesk.judge`: None for who is no superior, 200 for what a running sharing covers."""
        headers = request.headers
        link = self._cascade.find_at(user_of(headers.get("From")), user_of(headers.get("To")), flow)
        if link is None or asks_for_voice(request):  # voice is called for from below (9.12)
            return None
        admitted = self._admit(link, request, flow)
        return 200 if isinstance(admitted, Admitted) else admitted

    def _admit(self, link: Link, request: SipRequest, flow: Flow) -> Admitted | int:
        caller = Caller(link, flow, self._ground.media_networks)
        admitted = admit(self._cascade, caller, request, self.counters)
        if isinstance(admitted, Admitted) and self.running(link.superior.id) >= _MOST:
            self.counters["busy"] += 1
            return 486
        return admitted

    def on_invite(self, transaction: ServerTransaction) -> None:
        """See `CallDesk.on_invite`."""
        link = self._cascade.find(transaction)
        admitted = 403 if link is None else self._admit(link, transaction.request, transaction.flow)
        if not isinstance(admitted, Admitted):
            transaction.respond(admitted)
            return
        self.counters["calls"] += 1
        self._replace(admitted)
        run = self._enter(admitted, transaction)
        transaction.on_cancel = lambda: self._end(run, RelayEnd.SUPERIOR_ENDED)
        self._spawn(self._serve(run, admitted.sharing))

    def _replace(self, admitted: Admitted) -> None:
        """The same source for the same receiver again: the former call is dropped (Annex K c)."""
        key = admitted.wish.source_key
        for run in list(self._runs.values()):
            if key and run.link.superior.id == admitted.link.superior.id and run.wish.source_key == key:
                self.counters["replaced"] += 1
                self._end(run, RelayEnd.REPLACED, bye=True)

    def _enter(self, admitted: Admitted, transaction: ServerTransaction) -> Run:
        wish, target = admitted.wish, admitted.wish.target
        shown = Relay(
            id=new_id(),
            superior_id=admitted.link.superior.id,
            channel_id=admitted.channel.id,
            own_id=wish.own_id,
            kind=wish.kind,
            stream_number=wish.stream_number,
            state=RelayState.STARTING,
            started_at=self._ground.history.clock.now(),
            ended_at=None,
            end=None,
            user=wish.user,
            access_id="",
            target=f"{target.transport.value} {target.host}:{target.port}",
            bytes_sent=0,
        )
        run = Run(shown, admitted.link, wish, admitted.record, admitted.channel, transaction)
        self._runs[shown.id] = run
        self._changed(run)
        return run

    # -- serving

    async def _serve(self, run: Run, sharing: Sharing) -> None:
        try:
            await self._open_access(run, sharing)
            await self._begin(run)
            if not run.over:
                await self._answer(run)
        except WishRefused as error:
            self._refuse(run, error.status, str(error))
        except CallFailed as error:
            self._refuse(run, status_for(error.failure), error.failure.code.value)
        except StorageUnavailable as error:
            self._refuse(run, 503, error.message)
        except SecurityError as error:
            self._refuse(run, 403, error.message)
        except MediaError as error:
            self._refuse(run, 486 if isinstance(error, PortsExhausted) else 488, error.message)
        except SsrcExhaustedError:
            self._refuse(run, 486, "no SSRC is free")

    async def _open_access(self, run: Run, sharing: Sharing) -> None:
        book = self._cascade.shares.book
        if book is None:
            raise WishRefused(403, "nobody keeps the sharings")
        settings, wish = run.link.superior.settings, run.wish
        detail: dict[str, str | int] = {
            "relay": run.shown.id,
            "kind": wish.kind.value,
            "own_id": wish.own_id,
            "stream_number": wish.stream_number,
        }
        if wish.start is not None and wish.end is not None:
            detail |= {"from": wish.start.isoformat(), "to": wish.end.isoformat()}
        use = SharedUse(settings.server_id, settings.name, run.transaction.flow.peer[0], wish.user, detail)
        access = await asyncio.to_thread(
            book.open_shared_access,
            sharing.id,
            run.channel.id,
            ACTIONS[wish.kind],
            use,
            protocol="cascade",
        )
        run.grant = access.grant
        run.show(access_id=access.access_id)
        if run.over:  # it was withdrawn meanwhile
            self._never_sent(run, AccessOutcome.NEVER_STARTED)

    async def _begin(self, run: Run) -> None:
        """Find or call the source, with the sender in place before its first picture."""
        if run.over:
            return
        wish, ground = run.wish, self._ground
        run.ssrc = wish.ssrc or self._own_ssrc(run)
        if wish.kind is RelayKind.LIVE:
            run.source = LiveRelaySource(
                ground.live,
                run.record,
                run.channel,
                run.shown.access_id,
                wish.stream_number,
                onward_headers(run.transaction.request, run.link),
            )
        else:
            past = HistoryRelaySource(
                ground.history,
                run.shown.id,
                run.record,
                run.channel,
                wish,
                on_hung_up=lambda: self._source_hung_up(run),
                on_finished=lambda: self._spawn(self._file_finished(run)),
            )
            run.source = past
            past.receive()
        try:
            self._open_sender(run)
        except StreamUnknown:  # of a source that is asked and not invited the stream opens later
            self.counters["sender_waits"] += 1
        await run.source.begin()
        if not run.over and not run.sending:
            self._open_sender(run)

    def _own_ssrc(self, run: Run) -> str:
        """The offer names none: a number of ours (trap 33: WVP PR#678, #750)."""
        self.counters["ssrc_chosen"] += 1
        run.own_ssrc = True
        allocator = self._ssrcs[run.wish.kind is not RelayKind.LIVE]
        return allocator.allocate(self._ground.history.clock.monotonic())

    def _open_sender(self, run: Run) -> None:
        assert run.grant is not None and run.source is not None  # noqa: S101, PT018 - `_begin` follows both
        sender = self._node.open_sender(
            run.shown.id,
            run.source.stream_id,
            run.wish.target,
            ssrc=int(run.ssrc),
            payload_type=run.wish.payload_type,
            access_id=run.shown.access_id,
            grant_id=run.grant.id,
            end_by=run.grant.ends_at,
        )
        run.sending = run.sent = True
        run.port = sender.local_port

    async def _answer(self, run: Run) -> None:
        settings, history = run.link.superior.settings, self._ground.history
        assert run.source is not None  # noqa: S101 - it has begun
        host = advertised_host(history.rtp_public_host, history.rtp_host, run.wish.target.host)
        body = write_answer(run.wish, settings.local_id, host, run.port, run.ssrc, run.source.file_size)
        path = taken_path(run.link, run.record)
        transaction = run.transaction
        contact = self._ground.endpoint.contact(settings.local_id, transaction.flow)
        transaction.respond(
            200, headers=(("Contact", contact), ("Content-Type", SDP), ("X-RoutePath", path)), body=body
        )
        run.dialog = dialog = transaction.dialog
        if dialog is None:
            self._end(run, RelayEnd.SUPERIOR_LOST)
            return
        self._ground.endpoint.dialogs.own(dialog, lambda inside: self._inside(run, inside))
        run.show(state=RelayState.RUNNING)
        self._changed(run)
        try:
            await transaction.wait_ack()
        except SipEndpointError as error:
            log.info("no ACK of superior %s: %s", settings.server_id, error)
            self.counters["ack_missing"] += 1
            self._end(run, RelayEnd.SUPERIOR_LOST, bye=True)

    def _refuse(self, run: Run, status: int, why: str) -> None:
        self.counters[f"refused_{status}"] += 1
        log.info("relay of %s refused with %d: %s", run.channel.id, status, why)
        if not run.transaction.answered:
            run.transaction.respond(status)
        self._end(run, RelayEnd.SOURCE_FAILED)

    # -- inside the dialog

    def _inside(self, run: Run, transaction: ServerTransaction) -> bool:
        method = transaction.request.method
        if method == "BYE":
            transaction.respond(200)
            run.dialog = None
            self._end(run, RelayEnd.SUPERIOR_ENDED)
            return True
        if method == "INFO" and isinstance(run.source, HistoryRelaySource):
            self._spawn(self._steer(run, run.source, transaction))
            return True
        return False

    async def _steer(self, run: Run, source: HistoryRelaySource, transaction: ServerTransaction) -> None:
        if await steer(run, source, transaction, self._ground.history, self.counters):
            self._end(run, RelayEnd.SUPERIOR_ENDED, bye=True)

    async def _file_finished(self, run: Run) -> None:
        """MediaStatus 121 goes up inside the call; the superior answers with BYE, or we do (9.8)."""
        if run.over or run.finished or run.dialog is None:
            return
        run.finished = True
        settings = run.link.superior.settings
        notice = MediaStatus(sn=run.link.next_sn(), device_id=run.wish.own_id)
        body = encode(notice, settings.written_charset, settings.edition.version)
        self.counters["media_status"] += 1
        await self._say(run, "MESSAGE", (("Content-Type", MANSCDP),), body)
        await asyncio.sleep(_AFTER_121_S)
        self._end(run, RelayEnd.SOURCE_ENDED, bye=True)

    async def _say(
        self, run: Run, method: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b""
    ) -> None:
        dialog = run.dialog
        if dialog is None:
            return
        request = dialog.new_request(method, headers, body)
        try:
            await self._ground.endpoint.request(request, self._way(run), timeout_s=_BYE_S)
        except (SipEndpointError, SipOverload) as error:
            self.counters[f"{method.lower()}_unanswered"] += 1
            log.info("%s to superior %s: %s", method, run.link.superior.settings.server_id, error)
            if method == "BYE":
                self._ground.endpoint.end_dialog(dialog)

    @staticmethod
    def _way(run: Run) -> Flow:
        return run.link.flow or run.transaction.flow

    # -- ending

    def _end(self, run: Run, end: RelayEnd, *, bye: bool = False) -> None:
        """Once: the sender closes, the source is let go, the superior hears it."""
        if run.over:
            return
        self._shown(run)
        run.show(state=RelayState.ENDED, end=end, ended_at=self._ground.history.clock.now())
        self.counters[f"ended_{end.value}"] += 1
        if run.sending:
            self._node.close_sender(run.shown.id)
        elif run.shown.access_id and not run.sent:
            failed = end is RelayEnd.SOURCE_FAILED
            self._never_sent(run, AccessOutcome.FAILED if failed else AccessOutcome.NEVER_STARTED)
        if run.own_ssrc:
            allocator = self._ssrcs[run.wish.kind is not RelayKind.LIVE]
            allocator.release(run.ssrc, self._ground.history.clock.monotonic())
        if run.source is not None and isinstance(run.source, HistoryRelaySource):
            run.source.end()
        if run.source is not None:
            run.source.nudge()
        if bye and run.dialog is not None:
            self._spawn(self._say(run, "BYE"))
        if not run.sending:
            self._forget(run)
        self._changed(run)

    def _never_sent(self, run: Run, outcome: AccessOutcome) -> None:
        """The record of an access that showed nothing is closed here; of all others by what the node says."""
        book, access_id = self._cascade.shares.book, run.shown.access_id
        if isinstance(run.source, LiveRelaySource):
            run.source.end()
        if book is not None:
            self._spawn(asyncio.to_thread(book.close_access, access_id, outcome))

    def _forget(self, run: Run) -> None:
        if self._runs.pop(run.shown.id, None) is not None:
            self._ended.append(run.shown)

    def _source_hung_up(self, run: Run) -> None:
        if not run.finished:
            self._end(run, RelayEnd.SOURCE_ENDED, bye=True)

    def end_all(self, superior_id: str) -> None:
        """This superior is served no more."""
        for run in list(self._runs.values()):
            if run.link.superior.id == superior_id:
                self._end(run, RelayEnd.SHUTDOWN, bye=True)

    async def close(self) -> None:
        """BYE for every relay, waiting a little for the answers, and for what the node says of each."""
        for run in list(self._runs.values()):
            self._end(run, RelayEnd.SHUTDOWN, bye=True)
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_CLOSE_S)
        for _ in range(_CLOSE_STEPS):
            if not self._runs:
                break
            await asyncio.sleep(_CLOSE_S / _CLOSE_STEPS)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- told by others

    def session_changed(self, session_id: str, channel_id: str) -> None:
        """A live session took a step."""
        if self._cascade.shares.any and session_id not in self._kept:
            self._keep(session_id, channel_id)
        for run in self._runs.values():
            if isinstance(run.source, LiveRelaySource) and run.source.session_id == session_id:
                run.source.nudge()

    def _keep(self, session_id: str, channel_id: str) -> None:
        """Keep the latest group of a stream that a superior may join: it need not wait for a key frame."""
        self._kept[session_id] = None
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        if not self._cascade.is_shared(channel_id, SharedAction.LIVE):
            return
        try:
            self._node.keep_packets(session_id, True)
        except MediaError:  # an RTSP source opens its stream later, and is multiplexed from the cache anyway
            self.counters["group_not_kept"] += 1

    def on_media(self, event: MediaEvent) -> bool:
        """An event of the media node; False when it concerns no relay."""
        if isinstance(event, SenderConnected | SenderFirstPacket | SenderEnded):
            run = self._runs.get(event.sender_id)
            if run is not None:
                self._sender(run, event)
            return run is not None
        run = self._runs.get(getattr(event, "stream_id", ""))
        if run is None:
            return False
        self._past(run, event)
        return True

    def _sender(self, run: Run, event: SenderConnected | SenderFirstPacket | SenderEnded) -> None:
        if isinstance(event, SenderConnected):
            grant_id = "" if run.grant is None else run.grant.id
            joined = ViewerJoined(
                event.at, event.stream_id, run.shown.access_id, grant_id, "cascade", event.peer
            )
            self._viewer(run, joined)
        elif isinstance(event, SenderEnded):
            run.sending = False
            run.show(bytes_sent=event.bytes_sent)
            left = ViewerLeft(
                event.at,
                event.stream_id,
                event.access_id,
                event.grant_id,
                event.reason,
                event.bytes_sent,
                event.packets_sent,
                event.drops,
            )
            self._viewer(run, left)
            if run.over:
                self._forget(run)
            elif event.reason == "connection_lost":
                self._spawn(self._connection_lost(run))
            else:
                self._end(run, _ENDS.get(event.reason, RelayEnd.SUPERIOR_LOST), bye=True)

    async def _connection_lost(self, run: Run) -> None:
        """Many close the connection of the media first and say BYE then."""
        await asyncio.sleep(_BYE_FOLLOWS_S)
        self._end(run, RelayEnd.SUPERIOR_LOST, bye=True)

    def _viewer(self, run: Run, event: ViewerJoined | ViewerLeft) -> None:
        """A superior is a viewer like any other: to the live session, and to who keeps access records."""
        if isinstance(run.source, LiveRelaySource):
            self._ground.live.on_media(event)
            return
        names = (run.shown.id, run.shown.channel_id, event.access_id, event.at)
        if isinstance(event, ViewerJoined):
            self._ground.on_viewer(ViewerEvent(ViewerEventKind.JOINED, *names))
        else:
            counts = (event.bytes_sent, event.fragments, event.drops)
            self._ground.on_viewer(ViewerEvent(ViewerEventKind.LEFT, *names, event.reason, *counts))

    def _past(self, run: Run, event: MediaEvent) -> None:
        """What becomes of the stream of a playback or download."""
        match event:
            case StreamStalled() if not run.paused and not run.finished:
                self._end(run, RelayEnd.SOURCE_FAILED, bye=True)
            case TcpFailed() if event.reason.startswith("connect_"):
                self._end(run, RelayEnd.SOURCE_FAILED, bye=True)
            case StreamEnded() if event.reason != "closed":
                self._end(run, RelayEnd.SOURCE_FAILED, bye=True)
            case _:
                pass

    # -- small change

    def _changed(self, run: Run) -> None:
        self._ground.on_changed(run.link.superior.id)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counters["task_failed"] += 1
            log.error("a task of a relay failed", exc_info=error)
