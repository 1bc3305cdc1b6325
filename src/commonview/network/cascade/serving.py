"""One relay served: access opened, source begun, call answered, and what is said inside the call."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Final

from commonview.foundation.errors import StorageUnavailable
from commonview.media import MediaError, PortsExhausted, StreamUnknown
from commonview.network.calls import CallFailed
from commonview.network.cascade.judging import ACTIONS, onward_headers, taken_path
from commonview.network.cascade.model import RelayEnd, RelayKind, RelayState
from commonview.network.cascade.relay import HistoryRelaySource, LiveRelaySource, status_for
from commonview.network.cascade.steering import steer
from commonview.network.cascade.wish import WishRefused, write_answer
from commonview.network.requests import advertised_host
from commonview.network.sip_endpoint import SipEndpointError, SipOverload
from commonview.network.ssrc import SsrcAllocator, SsrcExhaustedError
from commonview.security import AccessOutcome, SecurityError, SharedUse
from commonview.wire.manscdp import CONTENT_TYPE as MANSCDP
from commonview.wire.manscdp import MediaStatus, encode
from commonview.wire.sdp import CONTENT_TYPE as SDP

if TYPE_CHECKING:
    from commonview.network.cascade.ground import RelayGround
    from commonview.network.cascade.relay import Keeper, Run
    from commonview.network.cascade.service import Cascade
    from commonview.network.sip_endpoint import Flow, ServerTransaction
    from commonview.security import Sharing

log = logging.getLogger(__name__)

_BYE_S: Final = 5.0
_AFTER_121_S: Final = 5.0


class Serving:
    """Serves what `Relays` let in. All methods run on the event loop."""

    def __init__(self, cascade: Cascade, ground: RelayGround, keeper: Keeper) -> None:
        self._cascade = cascade
        self._ground = ground
        self._keeper = keeper
        self._node = ground.history.node
        self.counters = keeper.counters
        first = secrets.randbelow(10_000)
        self._ssrcs = {
            False: SsrcAllocator(ground.domain, first=first),
            True: SsrcAllocator(ground.domain, first=first, history=True),
        }

    async def serve(self, run: Run, sharing: Sharing) -> None:
        """From the access record to the ACK; refused with a status when it cannot be."""
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
            self.never_sent(run, AccessOutcome.NEVER_STARTED)

    async def _begin(self, run: Run) -> None:
        """Find or call the source, with the sender in place before its first picture."""
        if run.over:
            return
        wish, ground = run.wish, self._ground
        run.ssrc = wish.ssrc or self._own_ssrc(run)
        headers = onward_headers(run.transaction.request, run.link, run.record)
        if wish.kind is RelayKind.LIVE:
            run.source = LiveRelaySource(
                ground.live,
                run.record,
                run.channel,
                run.shown.access_id,
                wish.stream_number,
                headers,
            )
        else:
            past = HistoryRelaySource(
                ground.history,
                run.shown.id,
                run.record,
                run.channel,
                wish,
                headers=headers,
                on_hung_up=lambda: self._source_hung_up(run),
                on_finished=lambda: self._keeper.spawn(self._file_finished(run)),
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
            self._keeper.end(run, RelayEnd.SUPERIOR_LOST)
            return
        self._ground.endpoint.dialogs.own(dialog, lambda inside: self.inside(run, inside))
        self._ground.history.calls.note(run.link.superior.id, self._way(run), dialog)
        run.show(state=RelayState.RUNNING)
        self._keeper.changed(run)
        try:
            await transaction.wait_ack()
        except SipEndpointError as error:
            log.info("no ACK of superior %s: %s", settings.server_id, error)
            self.counters["ack_missing"] += 1
            self._keeper.end(run, RelayEnd.SUPERIOR_LOST, bye=True)

    def _refuse(self, run: Run, status: int, why: str) -> None:
        self.counters[f"refused_{status}"] += 1
        log.info("relay of %s refused with %d: %s", run.channel.id, status, why)
        if not run.transaction.answered:
            run.transaction.respond(status)
        self._keeper.end(run, RelayEnd.SOURCE_FAILED)

    # -- inside the dialog

    def inside(self, run: Run, transaction: ServerTransaction) -> bool:
        """A request inside the call; False for one that is not expected there."""
        method = transaction.request.method
        if method == "BYE":
            transaction.respond(200)
            self._ground.history.calls.noted_end(run.dialog)
            run.dialog = None
            self._keeper.end(run, RelayEnd.SUPERIOR_ENDED)
            return True
        if method == "INFO" and isinstance(run.source, HistoryRelaySource):
            self._keeper.spawn(self._steer(run, run.source, transaction))
            return True
        return False

    async def _steer(self, run: Run, source: HistoryRelaySource, transaction: ServerTransaction) -> None:
        if await steer(run, source, transaction, self._ground.history, self.counters):
            self._keeper.end(run, RelayEnd.SUPERIOR_ENDED, bye=True)

    async def _file_finished(self, run: Run) -> None:
        """MediaStatus 121 goes up inside the call; the superior answers with BYE, or we do (9.8)."""
        if run.over or run.finished or run.dialog is None:
            return
        run.finished = True
        settings = run.link.superior.settings
        notice = MediaStatus(sn=run.link.next_sn(), device_id=run.wish.own_id)
        body = encode(notice, settings.written_charset, settings.edition.version)
        self.counters["media_status"] += 1
        await self.say(run, "MESSAGE", (("Content-Type", MANSCDP),), body)
        await asyncio.sleep(_AFTER_121_S)
        self._keeper.end(run, RelayEnd.SOURCE_ENDED, bye=True)

    async def say(
        self, run: Run, method: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b""
    ) -> None:
        """A request of ours inside the call; one that is not answered is counted."""
        dialog = run.dialog
        if dialog is None:
            return
        request = dialog.new_request(method, headers, body)
        try:
            await self._ground.endpoint.request(request, self._way(run), timeout_s=_BYE_S)
            if method == "BYE":
                self._ground.history.calls.noted_end(dialog)
        except (SipEndpointError, SipOverload) as error:
            self.counters[f"{method.lower()}_unanswered"] += 1
            log.info("%s to superior %s: %s", method, run.link.superior.settings.server_id, error)
            if method == "BYE":
                self._ground.endpoint.end_dialog(dialog)

    @staticmethod
    def _way(run: Run) -> Flow:
        return run.link.flow or run.transaction.flow

    # -- ending

    def let_go(self, run: Run) -> None:
        """Its number is given back and its source is wanted no more."""
        if run.own_ssrc:
            allocator = self._ssrcs[run.wish.kind is not RelayKind.LIVE]
            allocator.release(run.ssrc, self._ground.history.clock.monotonic())
        if run.source is not None and isinstance(run.source, HistoryRelaySource):
            run.source.end()
        if run.source is not None:
            run.source.nudge()

    def never_sent(self, run: Run, outcome: AccessOutcome) -> None:
        """The record of an access that showed nothing is closed here; of all others by what the node says."""
        book, access_id = self._cascade.shares.book, run.shown.access_id
        if isinstance(run.source, LiveRelaySource):
            run.source.end()
        if book is not None:
            self._keeper.spawn(asyncio.to_thread(book.close_access, access_id, outcome))

    def _source_hung_up(self, run: Run) -> None:
        if not run.finished:
            self._keeper.end(run, RelayEnd.SOURCE_ENDED, bye=True)
