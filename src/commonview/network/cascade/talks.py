"""Voices of superiors: announced by Broadcast or called with `s=Talk`, and spoken at the camera (9.12).

The loudspeaker below is reached first and the superior is told only then, so that nobody speaks to a wall.
The access record is durable before the camera is asked; the voice runs under the grant of the sharing, so
that revoking it silences the superior in the media core at once. The sound passes the media core as it came.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final

from commonview.foundation.errors import CommonviewError
from commonview.foundation.ids import new_id
from commonview.media import MediaError, MediaTransport, TcpFailed
from commonview.network.calls import CallFailed
from commonview.network.cascade.judging import Caller, is_call_for_talk
from commonview.network.cascade.model import Relay, RelayEnd, RelayKind, RelayState
from commonview.network.cascade.relay import status_for
from commonview.network.cascade.talk import (
    TalkOffer,
    TalkRefused,
    TalkRun,
    ask_superior,
    read_talk,
    where_it_listens,
)
from commonview.network.cascade.wish import meant_id
from commonview.network.model import Failure, FailureCode
from commonview.network.requests import advertised_host
from commonview.network.sip_endpoint import SipEndpointError, SipOverload
from commonview.network.ssrc import SsrcAllocator, SsrcExhaustedError
from commonview.network.user_identity import HEADER, passed_on, readable_user
from commonview.network.voice import TalkEnd, TalkState, VoiceSource
from commonview.security import AccessOutcome, SharedAction, SharedUse
from commonview.wire.manscdp import Broadcast, BroadcastResult
from commonview.wire.sdp import CONTENT_TYPE as SDP

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from commonview.media import MediaEvent
    from commonview.network.cascade.ground import RelayGround
    from commonview.network.cascade.link import Link
    from commonview.network.cascade.service import Cascade
    from commonview.network.directory import DeviceRecord
    from commonview.network.model import Channel
    from commonview.network.sip_endpoint import Flow, ServerTransaction
    from commonview.network.voice import Talk
    from commonview.security import Sharing
    from commonview.wire.sip.message import SipRequest

log = logging.getLogger(__name__)

_REMEMBERED: Final = 200
_CALL_S: Final = 8.0
_BYE_S: Final = 5.0
_BYE_FOLLOWS_S: Final = 1.0
_CLOSE_S: Final = 1.0
_ENDS: Final = {
    TalkEnd.DEVICE_ENDED: RelayEnd.SOURCE_ENDED,
    TalkEnd.GRANT_ENDED: RelayEnd.SHARING_ENDED,
    TalkEnd.GRANT_REVOKED: RelayEnd.SHARING_ENDED,
    TalkEnd.SHUTDOWN: RelayEnd.SHUTDOWN,
}


class SuperiorTalks:
    """Every relayed voice, running and recent; a `CallDesk`. All methods run on the event loop."""

    def __init__(self, cascade: Cascade, ground: RelayGround) -> None:
        self._cascade = cascade
        self._ground = ground
        self._node = ground.history.node
        self._runs: dict[str, TalkRun] = {}
        self._ended: deque[Relay] = deque(maxlen=_REMEMBERED)
        self._ssrcs = SsrcAllocator(ground.domain, first=secrets.randbelow(10_000))
        self._tasks: set[asyncio.Task[Any]] = set()
        self.counters: Counter[str] = Counter()
        cascade.messages.enter(Broadcast, self._announced)

    # -- looking

    def relays(self, superior_id: str | None = None) -> tuple[Relay, ...]:
        """Running ones and the most recent ended ones, newest first."""
        running = [self._shown(run) for run in reversed(self._runs.values())]
        every = (*running, *reversed(self._ended))
        return tuple(one for one in every if superior_id in (None, one.superior_id))

    def _shown(self, run: TalkRun) -> Relay:
        """With the sound that came so far."""
        stats = self._node.stream_stats(run.shown.id) if run.port else None
        if stats is not None:
            run.show(bytes_sent=stats.bytes)
        return run.shown

    def running(self, superior_id: str) -> int:
        """How many voices of a superior are heard."""
        return sum(run.link.superior.id == superior_id for run in self._runs.values())

    # -- judging

    def _admit(self, link: Link, own_id: str) -> tuple[DeviceRecord, Channel, Sharing] | int:
        found = self._cascade.offers.meant(link, own_id)
        if found is None:
            return 404
        record, channel = found
        sharing = self._cascade.shares.covering(link.superior, channel, SharedAction.TALK)
        if sharing is None:
            self.counters["not_shared"] += 1
            return 403
        if not record.online:
            return 480
        return 486 if self._ground.voice.is_busy(channel.id) else (record, channel, sharing)

    def judge(self, request: SipRequest, flow: Flow) -> int | None:
        """See `CallDesk.judge`: for a call with `s=Talk` of a superior (2016)."""
        if not is_call_for_talk(request):
            return None
        link = self._cascade.caller(request, flow)
        if link is None:
            return None
        admitted = self._admit(link, meant_id(request, link.superior.settings.local_id))
        return admitted if isinstance(admitted, int) else 200

    def on_invite(self, transaction: ServerTransaction) -> None:
        """See `CallDesk.on_invite`."""
        request = transaction.request
        link = self._cascade.find(transaction)
        own_id = "" if link is None else meant_id(request, link.superior.settings.local_id)
        admitted = 403 if link is None else self._admit(link, own_id)
        if link is None or isinstance(admitted, int):
            transaction.respond(admitted if isinstance(admitted, int) else 403)
            return
        caller = Caller(link, transaction.flow, self._ground.media_networks)
        try:
            offer = read_talk(request.body, caller)
        except TalkRefused as error:
            transaction.respond(error.status)
            return
        run = self._enter(link, own_id, admitted, transaction)
        transaction.on_cancel = lambda: self._end(run, RelayEnd.SUPERIOR_ENDED)
        self._spawn(self._take(run, admitted[2], offer, transaction))

    def _announced(self, link: Link, message: Broadcast, transaction: ServerTransaction) -> int:
        """The business answer comes when the loudspeaker is reached: the superior waits to be called."""
        admitted = self._admit(link, message.target_id)
        if isinstance(admitted, int):
            self.counters["broadcast_refused"] += 1
            self._cascade.commands.note(link, transaction, message.target_id, "Broadcast", "denied")
            self._spawn(self._cascade.say(link, _answer(message, "ERROR")))
            return 200
        run = self._enter(link, message.target_id, admitted, transaction)
        self._spawn(self._call(run, admitted[2], message))
        return 200

    def _enter(
        self,
        link: Link,
        own_id: str,
        admitted: tuple[DeviceRecord, Channel, Sharing],
        transaction: ServerTransaction,
    ) -> TalkRun:
        record, channel, _sharing = admitted
        self.counters["talks"] += 1
        named = readable_user(transaction.request.headers.get(HEADER))
        shown = Relay(
            id=new_id(),
            superior_id=link.superior.id,
            channel_id=channel.id,
            own_id=own_id,
            kind=RelayKind.TALK,
            stream_number=0,
            state=RelayState.STARTING,
            started_at=self._ground.history.clock.now(),
            ended_at=None,
            end=None,
            user=named,
            access_id="",
            target=f"from {transaction.flow.peer[0]}",
            bytes_sent=0,
        )
        headers = passed_on(record, link.superior.settings.local_id, named)
        run = TalkRun(shown, link, channel, transaction.flow, headers)
        self._runs[shown.id] = run
        self._ground.on_changed(link.superior.id)
        return run

    # -- the way to the loudspeaker

    async def _reach(self, run: TalkRun, sharing: Sharing, transport: MediaTransport, ssrc: int) -> None:
        """Record, receiver, loudspeaker: in this order. Raises `CallFailed` and the errors of each."""
        book, settings = self._cascade.shares.book, run.link.superior.settings
        if book is None:
            raise CallFailed(Failure(FailureCode.TALK_UNSUPPORTED, {}))
        detail: dict[str, str | int] = {"relay": run.shown.id, "kind": "talk", "own_id": run.shown.own_id}
        use = SharedUse(settings.server_id, settings.name, run.flow.peer[0], run.shown.user, detail)
        access = await asyncio.to_thread(
            book.open_shared_access,
            sharing.id,
            run.channel.id,
            SharedAction.TALK,
            use,
            protocol="cascade",
        )
        run.show(access_id=access.access_id)
        run.unspoken = True
        if run.over:  # it was withdrawn meanwhile
            self._close_unspoken(run, AccessOutcome.NEVER_STARTED)
            raise CallFailed(Failure(FailureCode.DEVICE_ENDED, {}))
        receiver = self._node.open_receiver(
            run.shown.id, transport, ssrc=ssrc or None, peer_host=run.flow.peer[0].partition("%")[0]
        )
        run.port = receiver.port
        source = VoiceSource(run.shown.id, lambda talk: self._talk_changed(run, talk), run.headers)
        self._ground.voice.start(
            run.channel.id,
            access_id=access.access_id,
            grant_id=access.grant.id,
            ends_at=access.grant.ends_at,
            source=source,
        )
        run.unspoken = False  # from here on the voice room closes the record
        await run.settled.wait()
        if run.failure is not None or run.over:
            raise CallFailed(run.failure or Failure(FailureCode.DEVICE_ENDED, {}))

    def _talk_changed(self, run: TalkRun, talk: Talk) -> None:
        if talk.state in (TalkState.CONNECTED, TalkState.SPEAKING):
            run.settled.set()
        elif talk.state in (TalkState.ENDED, TalkState.FAILED):
            run.failure = talk.failure or Failure(FailureCode.DEVICE_ENDED, {})
            run.settled.set()
            failed = RelayEnd.SOURCE_FAILED
            self._end(run, failed if talk.end is None else _ENDS.get(talk.end, failed), bye=True)

    # -- announced: we call (9.12)

    async def _call(self, run: TalkRun, sharing: Sharing, message: Broadcast) -> None:
        transport = self._ground.history.default_transport
        try:
            run.ssrc = self._ssrcs.allocate(self._ground.history.clock.monotonic())
            await self._reach(run, sharing, transport, int(run.ssrc))
        except (CallFailed, CommonviewError, MediaError, SsrcExhaustedError) as error:
            self.counters["not_reached"] += 1
            log.info("voice of superior to %s: %s", run.channel.id, error)
            self._end(run, RelayEnd.SOURCE_FAILED)
            await self._cascade.say(run.link, _answer(message, "ERROR"))
            return
        await self._cascade.say(run.link, _answer(message, "OK"))
        flow = run.link.flow
        if flow is None or run.over:
            self._end(run, RelayEnd.SUPERIOR_LOST)
            return
        request = ask_superior(run, message, flow, self._host(flow), transport)
        try:
            result = await self._ground.endpoint.invite(request, flow, timeout_s=_CALL_S)
        except (SipEndpointError, SipOverload) as error:
            log.info("voice of superior %s: %s", run.link.superior.settings.server_id, error)
            self._end(run, RelayEnd.SUPERIOR_LOST)
            return
        if result.dialog is None:
            self.counters[f"refused_above_{result.response.status}"] += 1
            self._end(run, RelayEnd.SUPERIOR_LOST)
            return
        self._stand(run, result.dialog)
        await result.ack()
        if transport is MediaTransport.TCP_ACTIVE:
            self._dial(run, result.response.body)

    def _dial(self, run: TalkRun, body: bytes) -> None:
        """Dial the superior at the address of its answer, if that is its own or one that is allowed."""
        caller = Caller(run.link, run.flow, self._ground.media_networks)
        try:
            self._node.connect_receiver(run.shown.id, *where_it_listens(body, caller))
        except (TalkRefused, MediaError) as error:
            log.info("voice of superior %s: %s", run.link.superior.settings.server_id, error)
            self._end(run, RelayEnd.SUPERIOR_LOST, bye=True)

    # -- called with s=Talk (2016)

    async def _take(
        self, run: TalkRun, sharing: Sharing, offer: TalkOffer, transaction: ServerTransaction
    ) -> None:
        try:
            await self._reach(run, sharing, offer.ours, offer.ssrc or 0)
        except CallFailed as error:
            self._refuse(run, transaction, status_for(error.failure))
            return
        except (CommonviewError, MediaError) as error:
            log.info("voice of superior to %s: %s", run.channel.id, error)
            self._refuse(run, transaction, 486 if isinstance(error, MediaError) else 403)
            return
        local_id, flow = run.link.superior.settings.local_id, transaction.flow
        body = offer.answer(local_id, self._host(flow), run.port)
        contact = self._ground.endpoint.contact(local_id, flow)
        transaction.respond(200, headers=(("Contact", contact), ("Content-Type", SDP)), body=body)
        if transaction.dialog is None:
            self._end(run, RelayEnd.SUPERIOR_LOST)
            return
        self._stand(run, transaction.dialog)
        if offer.dial is not None:
            self._node.connect_receiver(run.shown.id, *offer.dial)
        try:
            await transaction.wait_ack()
        except SipEndpointError:
            self.counters["ack_missing"] += 1
            self._end(run, RelayEnd.SUPERIOR_LOST, bye=True)

    def _refuse(self, run: TalkRun, transaction: ServerTransaction, status: int) -> None:
        self.counters[f"refused_{status}"] += 1
        if not transaction.answered:
            transaction.respond(status)
        self._end(run, RelayEnd.SOURCE_FAILED)

    # -- the call that stands

    def _host(self, flow: Flow) -> str:
        history = self._ground.history
        return advertised_host(history.rtp_public_host, history.rtp_host, flow.peer[0])

    def _stand(self, run: TalkRun, dialog: Any) -> None:
        run.dialog = dialog
        self._ground.endpoint.dialogs.own(dialog, lambda inside: self._inside(run, inside))
        self._ground.history.calls.note(run.link.superior.id, run.link.flow or run.flow, dialog)
        if run.over:
            self._spawn(self._bye(run))
            return
        run.show(state=RelayState.RUNNING)
        self._ground.on_changed(run.link.superior.id)

    def _inside(self, run: TalkRun, transaction: ServerTransaction) -> bool:
        if transaction.request.method != "BYE":
            return False
        transaction.respond(200)
        self._ground.history.calls.noted_end(run.dialog)
        run.dialog = None
        self._end(run, RelayEnd.SUPERIOR_ENDED)
        return True

    def on_media(self, event: MediaEvent) -> bool:
        """An event of the media node; False when it is of no voice here. Silence ends nothing."""
        run = self._runs.get(getattr(event, "stream_id", ""))
        if run is not None and isinstance(event, TcpFailed):
            self._spawn(self._connection_lost(run))
        return run is not None

    async def _connection_lost(self, run: TalkRun) -> None:
        """Many close the connection of the media first and say BYE then."""
        await asyncio.sleep(_BYE_FOLLOWS_S)
        self._end(run, RelayEnd.SUPERIOR_LOST, bye=True)

    # -- ending

    def _end(self, run: TalkRun, end: RelayEnd, *, bye: bool = False) -> None:
        """Once: the loudspeaker is let go, the receiver closes, the superior hears it."""
        if run.over:
            return
        self._shown(run)
        run.show(state=RelayState.ENDED, end=end, ended_at=self._ground.history.clock.now())
        self.counters[f"ended_{end.value}"] += 1
        run.settled.set()
        if run.unspoken:
            failed = end is RelayEnd.SOURCE_FAILED
            self._close_unspoken(run, AccessOutcome.FAILED if failed else AccessOutcome.NEVER_STARTED)
        elif run.shown.access_id:
            self._ground.voice.leave(run.shown.access_id)
        if run.port:
            self._node.close_stream(run.shown.id)
        if run.ssrc:
            self._ssrcs.release(run.ssrc, self._ground.history.clock.monotonic())
        if bye and run.dialog is not None:
            self._spawn(self._bye(run))
        if self._runs.pop(run.shown.id, None) is not None:
            self._ended.append(run.shown)
        self._ground.on_changed(run.link.superior.id)

    def _close_unspoken(self, run: TalkRun, outcome: AccessOutcome) -> None:
        book, run.unspoken = self._cascade.shares.book, False
        if book is not None:
            self._spawn(asyncio.to_thread(book.close_access, run.shown.access_id, outcome))

    async def _bye(self, run: TalkRun) -> None:
        dialog, run.dialog = run.dialog, None
        if dialog is None:
            return
        try:
            way = run.link.flow or run.flow
            await self._ground.endpoint.request(dialog.new_request("BYE"), way, timeout_s=_BYE_S)
            self._ground.history.calls.noted_end(dialog)
        except (SipEndpointError, SipOverload) as error:
            self.counters["bye_unanswered"] += 1
            self._ground.endpoint.end_dialog(dialog)
            log.info("BYE to superior %s: %s", run.link.superior.settings.server_id, error)

    def end_all(self, superior_id: str) -> None:
        """This superior is served no more."""
        for run in list(self._runs.values()):
            if run.link.superior.id == superior_id:
                self._end(run, RelayEnd.SHUTDOWN, bye=True)

    async def close(self) -> None:
        """BYE for every voice, waiting a little for the answers."""
        for run in list(self._runs.values()):
            self._end(run, RelayEnd.SHUTDOWN, bye=True)
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_CLOSE_S)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counters["task_failed"] += 1
            log.error("a task of a relayed voice failed", exc_info=error)


def _answer(message: Broadcast, result: str) -> BroadcastResult:
    return BroadcastResult(sn=max(1, message.sn), device_id=message.target_id, result=result)
