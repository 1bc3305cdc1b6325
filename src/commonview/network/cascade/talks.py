"""Voices of superiors: announced by Broadcast or called with `s=Talk`, and spoken at the camera (9.12).

The loudspeaker below is reached first and the superior is told only then, so that nobody speaks to a wall.
The access record is durable before the camera is asked; the voice runs under the grant of the sharing, so
that revoking it silences the superior in the media core at once. The sound passes the media core as it came.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final

from commonview.foundation.ids import new_id
from commonview.media import TcpFailed
from commonview.network.cascade.judging import Caller, is_call_for_talk
from commonview.network.cascade.model import Relay, RelayEnd, RelayKind, RelayState
from commonview.network.cascade.talk import (
    TalkRefused,
    TalkRun,
    answer_broadcast,
    read_talk,
)
from commonview.network.cascade.talk_calls import TalkCalls
from commonview.network.cascade.wish import meant_id
from commonview.network.user_identity import HEADER, passed_on, readable_user
from commonview.security import AccessOutcome, SharedAction
from commonview.wire.manscdp import Broadcast

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from commonview.media import MediaEvent
    from commonview.network.cascade.ground import RelayGround
    from commonview.network.cascade.link import Link
    from commonview.network.cascade.service import Cascade
    from commonview.network.directory import DeviceRecord
    from commonview.network.model import Channel
    from commonview.network.sip_endpoint import Flow, ServerTransaction
    from commonview.security import Sharing
    from commonview.wire.sip.message import SipRequest

log = logging.getLogger(__name__)

_REMEMBERED: Final = 200
_BYE_FOLLOWS_S: Final = 1.0
_CLOSE_S: Final = 1.0


class SuperiorTalks:
    """Every relayed voice, running and recent; a `CallDesk`. All methods run on the event loop."""

    def __init__(self, cascade: Cascade, ground: RelayGround) -> None:
        self._cascade = cascade
        self._ground = ground
        self._node = ground.history.node
        self._runs: dict[str, TalkRun] = {}
        self._ended: deque[Relay] = deque(maxlen=_REMEMBERED)
        self._tasks: set[asyncio.Task[Any]] = set()
        self.counters: Counter[str] = Counter()
        self._calls = TalkCalls(cascade, ground, self)
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
        if self._former(link, channel) is None and self._is_busy(channel):
            self.counters["busy"] += 1
            return 486
        return record, channel, sharing

    def _former(self, link: Link, channel: Channel) -> TalkRun | None:
        """The voice of this superior at this camera: asked for again, it is replaced (Annex K c)."""
        for run in self._runs.values():
            if run.link.superior.id == link.superior.id and run.channel.id == channel.id:
                return run
        return None

    def _is_busy(self, channel: Channel) -> bool:
        """Whether somebody speaks to this device, or is about to."""
        about_to = any(run.channel.device_id == channel.device_id for run in self._runs.values())
        return about_to or self._ground.voice.is_busy(channel.id)

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
        transaction.on_cancel = lambda: self.end(run, RelayEnd.SUPERIOR_ENDED)
        self.spawn(self._calls.take(run, admitted[2], offer, transaction))

    def _announced(self, link: Link, message: Broadcast, transaction: ServerTransaction) -> int:
        """The business answer comes when the loudspeaker is reached: the superior waits to be called."""
        admitted = self._admit(link, message.target_id)
        if isinstance(admitted, int):
            self.counters["broadcast_refused"] += 1
            self._cascade.commands.note(link, transaction, message.target_id, "Broadcast", "denied")
            self.spawn(self._cascade.say(link, answer_broadcast(message, "ERROR")))
            return 200
        run = self._enter(link, message.target_id, admitted, transaction)
        self.spawn(self._calls.call(run, admitted[2], message))
        return 200

    def _enter(
        self,
        link: Link,
        own_id: str,
        admitted: tuple[DeviceRecord, Channel, Sharing],
        transaction: ServerTransaction,
    ) -> TalkRun:
        record, channel, _sharing = admitted
        former = self._former(link, channel)
        if former is not None:
            self.end(former, RelayEnd.REPLACED, bye=True)
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

    def on_media(self, event: MediaEvent) -> bool:
        """An event of the media node; False when it is of no voice here. Silence ends nothing."""
        run = self._runs.get(getattr(event, "stream_id", ""))
        if run is not None and isinstance(event, TcpFailed):
            self.spawn(self._connection_lost(run))
        return run is not None

    async def _connection_lost(self, run: TalkRun) -> None:
        """Many close the connection of the media first and say BYE then."""
        await asyncio.sleep(_BYE_FOLLOWS_S)
        self.end(run, RelayEnd.SUPERIOR_LOST, bye=True)

    # -- ending

    def end(self, run: TalkRun, end: RelayEnd, *, bye: bool = False) -> None:
        """Once: the loudspeaker is let go, the receiver closes, the superior hears it."""
        if run.over:
            return
        self._shown(run)
        run.show(state=RelayState.ENDED, end=end, ended_at=self._ground.history.clock.now())
        self.counters[f"ended_{end.value}"] += 1
        run.settled.set()
        if run.unspoken:
            failed = end is RelayEnd.SOURCE_FAILED
            self.close_unspoken(run, AccessOutcome.FAILED if failed else AccessOutcome.NEVER_STARTED)
        elif run.shown.access_id:
            self._ground.voice.leave(run.shown.access_id)
        if run.port:
            self._node.close_stream(run.shown.id)
        if run.ssrc:
            self._calls.ssrcs.release(run.ssrc, self._ground.history.clock.monotonic())
        if bye and run.dialog is not None:
            self.spawn(self._calls.bye(run))
        if self._runs.pop(run.shown.id, None) is not None:
            self._ended.append(run.shown)
        self._ground.on_changed(run.link.superior.id)

    def close_unspoken(self, run: TalkRun, outcome: AccessOutcome) -> None:
        """Close the record of a voice that was never asked for below."""
        book, run.unspoken = self._cascade.shares.book, False
        if book is not None:
            self.spawn(asyncio.to_thread(book.close_access, run.shown.access_id, outcome))

    def end_all(self, superior_id: str) -> None:
        """This superior is served no more."""
        for run in list(self._runs.values()):
            if run.link.superior.id == superior_id:
                self.end(run, RelayEnd.SHUTDOWN, bye=True)

    async def close(self) -> None:
        """BYE for every voice, waiting a little for the answers."""
        for run in list(self._runs.values()):
            self.end(run, RelayEnd.SHUTDOWN, bye=True)
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_CLOSE_S)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let something go on by itself; what fails of it is logged and counted."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counters["task_failed"] += 1
            log.error("a task of a relayed voice failed", exc_info=error)
