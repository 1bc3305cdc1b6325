"""Calls of superiors: judged, served from the house's own streams, and ended with all that hangs on them.

A superior is let in by its registration, a channel by a running sharing. The access record is durable before
anything is sent; the sender runs under the grant of the sharing, so that revoking it cuts the relay in the
media core at once, and the BYE follows.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final

from commonview.foundation.ids import new_id
from commonview.network.cascade.judging import Admitted, Caller, admit
from commonview.network.cascade.model import Relay, RelayEnd, RelayState
from commonview.network.cascade.relay import Run
from commonview.network.cascade.relay_media import RelayMedia
from commonview.network.cascade.serving import Serving
from commonview.network.voice.calls import asks_for_voice
from commonview.security import AccessOutcome

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from commonview.media import MediaEvent
    from commonview.network.cascade.ground import RelayGround
    from commonview.network.cascade.link import Link
    from commonview.network.cascade.service import Cascade
    from commonview.network.sip_endpoint import Flow, ServerTransaction
    from commonview.wire.sip.message import SipRequest

log = logging.getLogger(__name__)

_MOST: Final = 256
_REMEMBERED: Final = 500
_CLOSE_S: Final = 1.0
_CLOSE_STEPS: Final = 50


class Relays:
    """Every relay, running and recent; a `CallDesk`. All methods run on the event loop."""

    def __init__(self, cascade: Cascade, ground: RelayGround) -> None:
        self._cascade = cascade
        self._ground = ground
        self._node = ground.history.node
        self._runs: dict[str, Run] = {}
        self._ended: deque[Relay] = deque(maxlen=_REMEMBERED)
        self._tasks: set[asyncio.Task[Any]] = set()
        self.counters: Counter[str] = Counter()
        self._serving = Serving(cascade, ground, self)
        self._media = RelayMedia(cascade, ground, self, self._runs)

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
        link = self._cascade.caller(request, flow)
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
        transaction.on_cancel = lambda: self.end(run, RelayEnd.SUPERIOR_ENDED)
        self.spawn(self._serving.serve(run, admitted.sharing))

    def _replace(self, admitted: Admitted) -> None:
        """The same source for the same receiver again: the former call is dropped (Annex K c)."""
        key = admitted.wish.source_key
        for run in list(self._runs.values()):
            if key and run.link.superior.id == admitted.link.superior.id and run.wish.source_key == key:
                self.counters["replaced"] += 1
                self.end(run, RelayEnd.REPLACED, bye=True)

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
        self.changed(run)
        return run

    # -- ending

    def end(self, run: Run, end: RelayEnd, *, bye: bool = False) -> None:
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
            self._serving.never_sent(run, AccessOutcome.FAILED if failed else AccessOutcome.NEVER_STARTED)
        self._serving.let_go(run)
        if bye and run.dialog is not None:
            self.spawn(self._serving.say(run, "BYE"))
        if not run.sending:
            self.forget(run)
        self.changed(run)

    def forget(self, run: Run) -> None:
        """Nothing more will be said of it: it is among the ended ones."""
        if self._runs.pop(run.shown.id, None) is not None:
            self._ended.append(run.shown)

    def end_all(self, superior_id: str) -> None:
        """This superior is served no more."""
        for run in list(self._runs.values()):
            if run.link.superior.id == superior_id:
                self.end(run, RelayEnd.SHUTDOWN, bye=True)

    async def close(self) -> None:
        """BYE for every relay, waiting a little for the answers, and for what the node says of each."""
        for run in list(self._runs.values()):
            self.end(run, RelayEnd.SHUTDOWN, bye=True)
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
        self._media.session_changed(session_id, channel_id)

    def on_media(self, event: MediaEvent) -> bool:
        """An event of the media node; False when it concerns no relay."""
        return self._media.on_media(event)

    # -- small change

    def changed(self, run: Run) -> None:
        """Tell who looks."""
        self._ground.on_changed(run.link.superior.id)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let something go on by itself; what fails of it is logged and counted."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counters["task_failed"] += 1
            log.error("a task of a relay failed", exc_info=error)
