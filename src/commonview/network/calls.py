"""Calls to devices: INVITE, ACK, CANCEL, BYE and what is said inside a dialog.

Live video, playback, download and talk differ in what they offer and in what they do with the answer; how a
call begins and ends is the same for all and stands here once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonview.network.model import Failure, FailureCode, PresenceReason
from commonview.network.sip_endpoint import FlowClosed, SipEndpointError, SipOverload, SipTimeout
from commonview.wire.charset import readable
from commonview.wire.manscdp import ManscdpError, MediaStatus, decode
from commonview.wire.manscdp.media_status import FILE_FINISHED
from commonview.wire.sip.dialog import Dialog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from commonview.network.call_journal import CallJournal, Leftover
    from commonview.network.directory import DeviceRecord
    from commonview.network.requests import Platform
    from commonview.network.sip_endpoint import ServerTransaction, SipEndpoint
    from commonview.wire.sip.flow import Flow
    from commonview.wire.sip.message import SipRequest, SipResponse

log = logging.getLogger(__name__)

_BYE_TIMEOUT_S = 5.0
_RETRY_AFTER_MAX_S = 60.0
_ENDED_AT_ONCE = 16


class CallFailed(Exception):
    """The device was not reached or did not take the call; ``failure`` says it in the house's words.

    ``retry_after_s`` is the device's own wish (Retry-After), bounded.
    """

    def __init__(self, failure: Failure, retry_after_s: float | None = None) -> None:
        super().__init__(failure.code.value)
        self.failure = failure
        self.retry_after_s = retry_after_s


@dataclass(slots=True, eq=False)
class Call:
    """One call. ``hung_up`` is set when the device's BYE came, perhaps on the heels of its 2xx.

    ``owner`` is whoever placed the call: told by ``on_hung_up`` of a BYE, unless it came while the answer was
    still being taken in; then it finds ``hung_up`` set.
    """

    record: DeviceRecord
    flow: Flow
    request: SipRequest
    on_hung_up: Callable[[], None]
    on_finished: Callable[[], None] | None = None
    dialog: Dialog | None = None
    hung_up: bool = False

    @property
    def call_id(self) -> str:
        """What every message of the call carries."""
        return self.request.headers.first["Call-ID"]


def obstacle(record: DeviceRecord) -> Failure | None:
    """What stands in the way of a call before it is placed.

    A restored device that has not been heard since the start may well be there: its answer will tell.
    """
    perhaps = record.online or record.reason is PresenceReason.NOT_HEARD_SINCE_START
    if perhaps and record.flow is not None:
        return None
    return Failure(FailureCode.DEVICE_OFFLINE, {"reason": record.reason.value})


class Calls:
    """Every call to a device that stands or is being placed, by Call-ID."""

    def __init__(
        self,
        endpoint: SipEndpoint,
        platform: Platform,
        *,
        invite_timeout_s: float,
        journal: CallJournal | None = None,
    ) -> None:
        """``journal``: where calls are noted, so that the next process can end what this one leaves."""
        self._journal = journal
        self._leftovers: dict[str, list[Leftover]] = {}
        self._ending = asyncio.Semaphore(_ENDED_AT_ONCE)
        self._endpoint = endpoint
        self._platform = platform
        self._timeout_s = invite_timeout_s
        self._by_id: dict[str, Call] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.counters: Counter[str] = Counter()

    @property
    def platform_id(self) -> str:
        """Who calls."""
        return self._platform.sip_id

    def prepare(
        self,
        record: DeviceRecord,
        gb_id: str,
        offer: bytes,
        subject: str,
        *,
        on_hung_up: Callable[[], None],
        on_finished: Callable[[], None] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Call:
        """A call that is about to be placed; from now on its BYE is recognised.

        ``on_finished`` hears of MediaStatus 121: the file has been sent to its end.
        Raises `CallFailed` when the device is not there.
        """
        flow, absent = record.flow, obstacle(record)
        if flow is None or absent is not None:
            raise CallFailed(absent or Failure(FailureCode.DEVICE_OFFLINE, {"reason": record.reason.value}))
        request = self._platform.invite(gb_id, flow, offer, subject)
        for name, value in headers:
            request.headers.add(name, value)
        call = Call(record, flow, request, on_hung_up, on_finished)
        self._by_id[call.call_id] = call
        return call

    async def place(self, call: Call, on_provisional: Callable[[SipResponse], None]) -> SipResponse:
        """Send the INVITE and acknowledge its 2xx; returns that answer.

        Cancelling sends CANCEL; a 2xx that still comes is acknowledged and ended. Raises `CallFailed`.
        """
        try:
            result = await self._endpoint.invite(
                call.request,
                call.flow,
                timeout_s=self._timeout_s,
                on_provisional=on_provisional,
                before=lambda request: self._about_to_leave(call, request),
            )
        except SipTimeout:
            raise CallFailed(
                Failure(FailureCode.INVITE_TIMEOUT, {"seconds": round(self._timeout_s)})
            ) from None
        except FlowClosed:
            raise CallFailed(Failure(FailureCode.SIGNALLING_LOST, {})) from None
        except SipOverload:
            raise CallFailed(Failure(FailureCode.SIGNALLING_BUSY, {})) from None
        else:
            call.dialog = result.dialog
            if result.dialog is None:
                raise _refused(result.response)
            if self._journal is not None:
                self._journal.began(call.record.id, call.flow, result.dialog)
            await result.ack()
            return result.response
        finally:
            if call.dialog is None or call.hung_up:
                self._forget(call)

    def _about_to_leave(self, call: Call, request: SipRequest) -> None:
        """The device may take the call and this process not live to hear it."""
        if self._journal is not None:
            self._journal.began(call.record.id, call.flow, request)

    def on_bye(self, transaction: ServerTransaction) -> bool:
        """A BYE from a device; False when it belongs to no call. Matched by Call-ID first (trap 8)."""
        call = self._by_id.get(transaction.request.headers.first.get("Call-ID", ""))
        if call is None or (call.dialog is None and transaction.dialog is None):
            return False
        if not self._is_from(call, transaction):
            self.counters["bye_from_elsewhere"] += 1
            return False
        transaction.respond(200)
        if call.dialog is None:
            # It came on the heels of its 2xx, which waits for its turn in `place`.
            call.hung_up = True
            return True
        self._forget(call)
        call.hung_up = True
        call.dialog = None
        call.on_hung_up()
        return True

    def on_message(self, transaction: ServerTransaction) -> bool:
        """MediaStatus 121 in a MESSAGE with the Call-ID of a call: told to that call. False for all others.

        Its From may be anybody (Hikvision names its own domain, trap 8): the Call-ID of the dialog says whose
        it is, and only the address of the call's device is believed.
        """
        call = self._by_id.get(transaction.request.headers.first.get("Call-ID", ""))
        if call is None or call.on_finished is None:
            return False
        if not self._is_from(call, transaction):
            self.counters["media_status_from_elsewhere"] += 1
            return False
        try:
            message = decode(transaction.request.body, transaction.request.headers.first.get("Content-Type"))
        except ManscdpError:
            return False
        if not isinstance(message, MediaStatus) or message.notify_type != FILE_FINISHED:
            return False
        transaction.respond(200)
        self.counters["media_status"] += 1
        call.on_finished()
        return True

    def finished(self, record: DeviceRecord, channel_gb_id: str) -> bool:
        """MediaStatus 121 came outside every dialog: it ends the only history call that it can mean."""
        meant = [
            call
            for call in self._by_id.values()
            if call.record is record and call.on_finished is not None and call.dialog is not None
        ]
        named = [call for call in meant if f":{channel_gb_id}@" in call.request.uri]
        found = named or meant
        if len(found) != 1:
            self.counters["media_status_ambiguous"] += 1
            return False
        self.counters["media_status"] += 1
        callback = found[0].on_finished
        if callback is not None:
            callback()
        return True

    @staticmethod
    def _is_from(call: Call, transaction: ServerTransaction) -> bool:
        return transaction.flow.peer[0] == (call.record.flow or call.flow).peer[0]

    async def say(
        self, call: Call, method: str, content_type: str, body: bytes, *, timeout_s: float = 5.0
    ) -> SipResponse:
        """Send a request inside the call's dialog. Raises `CallFailed` when it gets no answer."""
        if call.dialog is None:
            raise CallFailed(Failure(FailureCode.DEVICE_ENDED, {}))
        request = call.dialog.new_request(method, (("Content-Type", content_type),), body)
        try:
            return await self._endpoint.request(request, call.record.flow or call.flow, timeout_s=timeout_s)
        except (SipEndpointError, SipOverload) as error:
            log.info("%s to %s: %s", method, call.record.id, error)
            raise CallFailed(Failure(FailureCode.SIGNALLING_LOST, {})) from error

    def hang_up(self, call: Call) -> None:
        """End the call with BYE, in the background; nothing when there is no dialog (any more)."""
        self._forget(call)
        dialog, call.dialog = call.dialog, None
        if dialog is not None:
            self._spawn(self._send_bye(dialog, call.record.flow or call.flow))

    async def _send_bye(self, dialog: Dialog, flow: Flow) -> bool:
        """True when it was answered."""
        try:
            await self._endpoint.request(dialog.new_request("BYE"), flow, timeout_s=_BYE_TIMEOUT_S)
        except (SipEndpointError, SipOverload) as error:
            self.counters["bye_unanswered"] += 1
            self._endpoint.end_dialog(dialog)
            log.info("BYE to %s:%d: %s", *flow.peer, error)
            return False
        return True

    # -- what a process before this one left

    def end_leftovers(self) -> None:
        """Say BYE in the calls that stood when the server was killed, so that no device stays busy.

        Over UDP at once; a device on a connection is told when it is back (`joined`).
        """
        for left in self._journal.load() if self._journal is not None else ():
            self.counters["calls_left_over"] += 1
            if left.transport == "udp":
                self._spawn(self._end(left, self._endpoint.udp_flow(*left.peer)))
            else:
                self._leftovers.setdefault(left.device_id, []).append(left)

    def joined(self, peer_id: str, flow: Flow | None) -> None:
        """A device registered, or we with a superior: calls left over with it can be ended now."""
        if self._leftovers and flow is not None:
            for left in self._leftovers.pop(peer_id, ()):
                self._spawn(self._end(left, flow))

    def note(self, peer_id: str, flow: Flow, dialog: Dialog) -> None:
        """A call stands that was placed by the other side: the next process ends it if this one cannot."""
        if self._journal is not None:
            self._journal.began(peer_id, flow, dialog)

    def noted_end(self, dialog: Dialog | None) -> None:
        """It is over; one that was not noted is no error."""
        if self._journal is not None and dialog is not None:
            self._journal.ended(dialog.call_id)

    async def _end(self, left: Leftover, flow: Flow) -> None:
        async with self._ending:
            answered = await self._end_there(left, flow)
        if not answered:
            # It is away itself. Perhaps it stays busy all the same: it is told when it registers.
            self._leftovers.setdefault(left.device_id, []).append(left)
        elif self._journal is not None:
            self._journal.ended(left.call_id)

    async def _end_there(self, left: Leftover, flow: Flow) -> bool:
        if isinstance(left.call, Dialog):
            return await self._send_bye(left.call, flow)
        try:
            self._endpoint.withdraw(left.call, flow)
        except (SipEndpointError, SipOverload) as error:
            log.info("INVITE to %s:%d: %s", *flow.peer, error)
            return False
        return True

    async def close(self) -> None:
        """Wait a little for the answers to what was said last."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_BYE_TIMEOUT_S)
        for task in list(self._tasks):
            task.cancel()

    def _forget(self, call: Call) -> None:
        if self._by_id.get(call.call_id) is call:
            del self._by_id[call.call_id]
        if self._journal is not None:
            self._journal.ended(call.call_id)

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _refused(response: SipResponse) -> CallFailed:
    failure = Failure(
        FailureCode.INVITE_REFUSED, {"status": response.status, "reason": readable(response.reason, 64)}
    )
    return CallFailed(failure, _retry_after(response))


def _retry_after(response: SipResponse) -> float | None:
    """Seconds of Retry-After (RFC 3261 20.33), at most a minute; None when there is none to read."""
    text = (response.headers.get("Retry-After") or "").partition(";")[0].partition("(")[0].strip()
    return min(float(text), _RETRY_AFTER_MAX_S) if text.isascii() and text.isdigit() else None
