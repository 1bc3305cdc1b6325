"""The calls of relayed voices: the loudspeaker is reached, the superior called or answered, both ended."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Any, Final, Protocol

from commonview.foundation.errors import CommonviewError
from commonview.media import MediaError, MediaTransport
from commonview.network.calls import CallFailed
from commonview.network.cascade.judging import Caller
from commonview.network.cascade.model import RelayEnd, RelayState
from commonview.network.cascade.relay import status_for
from commonview.network.cascade.talk import (
    TalkOffer,
    TalkRefused,
    TalkRun,
    answer_broadcast,
    ask_superior,
    where_it_listens,
)
from commonview.network.model import Failure, FailureCode
from commonview.network.requests import advertised_host
from commonview.network.sip_endpoint import SipEndpointError, SipOverload
from commonview.network.ssrc import SsrcAllocator, SsrcExhaustedError
from commonview.network.voice import TalkEnd, TalkState, VoiceSource
from commonview.security import AccessOutcome, SharedAction, SharedUse
from commonview.wire.sdp import CONTENT_TYPE as SDP

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Coroutine

    from commonview.network.cascade.ground import RelayGround
    from commonview.network.cascade.service import Cascade
    from commonview.network.sip_endpoint import Flow, ServerTransaction
    from commonview.network.voice import Talk
    from commonview.security import Sharing
    from commonview.wire.manscdp import Broadcast
    from commonview.wire.sip.dialog import Dialog

log = logging.getLogger(__name__)

_CALL_S: Final = 8.0
_BYE_S: Final = 5.0
_ENDS: Final = {
    TalkEnd.DEVICE_ENDED: RelayEnd.SOURCE_ENDED,
    TalkEnd.GRANT_ENDED: RelayEnd.SHARING_ENDED,
    TalkEnd.GRANT_REVOKED: RelayEnd.SHARING_ENDED,
    TalkEnd.SHUTDOWN: RelayEnd.SHUTDOWN,
}


class Keeper(Protocol):
    """Who keeps the voices and ends them."""

    counters: Counter[str]

    def end(self, run: TalkRun, end: RelayEnd, *, bye: bool = False) -> None:
        """Once: the loudspeaker is let go, the receiver closes, the superior hears it."""

    def close_unspoken(self, run: TalkRun, outcome: AccessOutcome) -> None:
        """Close the record of a voice that was never asked for below."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let something go on by itself."""


class TalkCalls:
    """Serves what `SuperiorTalks` lets in. All methods run on the event loop."""

    def __init__(self, cascade: Cascade, ground: RelayGround, keeper: Keeper) -> None:
        self._cascade = cascade
        self._ground = ground
        self._keeper = keeper
        self._node = ground.history.node
        self.ssrcs = SsrcAllocator(ground.domain, first=secrets.randbelow(10_000))
        self.counters = keeper.counters

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
            self._keeper.close_unspoken(run, AccessOutcome.NEVER_STARTED)
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
            self._keeper.end(run, failed if talk.end is None else _ENDS.get(talk.end, failed), bye=True)

    # -- announced: we call (9.12)

    async def call(self, run: TalkRun, sharing: Sharing, message: Broadcast) -> None:
        """Reach the loudspeaker, answer the announcement, call the superior."""
        transport = self._ground.history.default_transport
        try:
            run.ssrc = self.ssrcs.allocate(self._ground.history.clock.monotonic())
            await self._reach(run, sharing, transport, int(run.ssrc))
        except (CallFailed, CommonviewError, MediaError, SsrcExhaustedError) as error:
            self.counters["not_reached"] += 1
            log.info("voice of superior to %s: %s", run.channel.id, error)
            self._keeper.end(run, RelayEnd.SOURCE_FAILED)
            await self._cascade.say(run.link, answer_broadcast(message, "ERROR"))
            return
        await self._cascade.say(run.link, answer_broadcast(message, "OK"))
        flow = run.link.flow
        if flow is None or run.over:
            self._keeper.end(run, RelayEnd.SUPERIOR_LOST)
            return
        request = ask_superior(run, message, flow, self._host(flow), transport)
        try:
            result = await self._ground.endpoint.invite(request, flow, timeout_s=_CALL_S)
        except (SipEndpointError, SipOverload) as error:
            log.info("voice of superior %s: %s", run.link.superior.settings.server_id, error)
            self._keeper.end(run, RelayEnd.SUPERIOR_LOST)
            return
        if result.dialog is None:
            self.counters[f"refused_above_{result.response.status}"] += 1
            self._keeper.end(run, RelayEnd.SUPERIOR_LOST)
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
            self._keeper.end(run, RelayEnd.SUPERIOR_LOST, bye=True)

    # -- called with s=Talk (2016)

    async def take(
        self, run: TalkRun, sharing: Sharing, offer: TalkOffer, transaction: ServerTransaction
    ) -> None:
        """Reach the loudspeaker, and answer the superior's call."""
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
            self._keeper.end(run, RelayEnd.SUPERIOR_LOST)
            return
        self._stand(run, transaction.dialog)
        if offer.dial is not None:
            self._node.connect_receiver(run.shown.id, *offer.dial)
        try:
            await transaction.wait_ack()
        except SipEndpointError:
            self.counters["ack_missing"] += 1
            self._keeper.end(run, RelayEnd.SUPERIOR_LOST, bye=True)

    def _refuse(self, run: TalkRun, transaction: ServerTransaction, status: int) -> None:
        self.counters[f"refused_{status}"] += 1
        if not transaction.answered:
            transaction.respond(status)
        self._keeper.end(run, RelayEnd.SOURCE_FAILED)

    # -- the call that stands

    def _host(self, flow: Flow) -> str:
        history = self._ground.history
        return advertised_host(history.rtp_public_host, history.rtp_host, flow.peer[0])

    def _stand(self, run: TalkRun, dialog: Dialog) -> None:
        run.dialog = dialog
        self._ground.endpoint.dialogs.own(dialog, lambda inside: self._inside(run, inside))
        self._ground.history.calls.note(run.link.superior.id, run.link.flow or run.flow, dialog)
        if run.over:
            self._keeper.spawn(self.bye(run))
            return
        run.show(state=RelayState.RUNNING)
        self._ground.on_changed(run.link.superior.id)

    def _inside(self, run: TalkRun, transaction: ServerTransaction) -> bool:
        if transaction.request.method != "BYE":
            return False
        transaction.respond(200)
        self._ground.history.calls.noted_end(run.dialog)
        run.dialog = None
        self._keeper.end(run, RelayEnd.SUPERIOR_ENDED)
        return True

    async def bye(self, run: TalkRun) -> None:
        """End the call above, if one stands."""
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
