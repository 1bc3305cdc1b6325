"""The calls of one simulated device: which there are, who may have one, whose request is whose."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from commonview.network.sip_endpoint import Flow, ServerTransaction, SipEndpoint
from commonview.simulator.call import Call, CallRefused, Offer, read_offer
from commonview.simulator.inventory import Inventory
from commonview.simulator.settings import CameraCounters, CameraSettings, Channel, Faults, Report
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.uri import NameAddr, SipUri


class Calls:
    """Takes INVITE, BYE and INFO. `tell` wakes whoever waits for a change, `spawn` runs something beside."""

    def __init__(
        self,
        camera: CameraSettings,
        inventory: Inventory,
        counters: CameraCounters,
        *,
        faults: Callable[[], Faults],
        endpoint: Callable[[], SipEndpoint],
        contact: Callable[[Flow], str],
        say: Report,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        tell: Callable[[], Coroutine[Any, Any, None]],
        on_stream: Callable[[], None],
    ) -> None:
        self.settings = camera
        self.inventory = inventory
        self.counters = counters
        self._faults = faults
        self._sip = endpoint
        self._contact = contact
        self._say = say
        self._spawn = spawn
        self._tell = tell
        self._on_stream = on_stream
        self._calls: dict[str, Call] = {}

    @property
    def running(self) -> tuple[Call, ...]:
        """Those that are not over yet."""
        return tuple(self._calls.values())

    def take(self, transaction: ServerTransaction) -> None:
        """Answer a request of a call."""
        method = transaction.request.method
        if method == "INVITE":
            self._take_invite(transaction)
            return
        call = self._calls.get(transaction.request.headers.get("Call-ID") or "")
        if call is None:
            transaction.respond(481)
        elif method == "INFO":
            call.take_info(transaction)
        else:
            transaction.respond(200)
            call.taken_down()

    def _take_invite(self, transaction: ServerTransaction) -> None:
        self.counters.invites += 1
        try:
            channel = self._called_channel(transaction)
            offer = read_offer(transaction.request, channel.channel_id, self._faults())
            self._make_room(channel, offer.stream_key)
            call = self._make_call(transaction, offer, channel)
        except CallRefused as refusal:
            self.counters.invites_refused += 1
            self._say(f"refuses a call: {refusal.status} {refusal.reason}")
            transaction.respond(refusal.status, refusal.reason)
            return
        self._calls[call.call_id] = call
        self._spawn(self._tell())
        self._say(f"is asked for {channel.name} over {offer.role.value}")
        call.start(on_stream=self._on_stream, on_end=self._call_over)

    def _make_call(self, transaction: ServerTransaction, offer: Offer, channel: Channel) -> Call:
        return Call(
            transaction,
            offer,
            channel,
            camera=self.settings,
            faults=self._faults,
            endpoint=self._sip(),
            counters=self.counters,
            contact=self._contact(transaction.flow),
        )

    def _called_channel(self, transaction: ServerTransaction) -> Channel:
        """The channel an INVITE names: by Request-URI, else by To. The device's own id means its first."""
        request = transaction.request
        users: list[str | None] = []
        with contextlib.suppress(SipParseError):
            users.append(SipUri.parse(request.uri).user)
        with contextlib.suppress(SipParseError):
            users.append(NameAddr.parse(request.headers.get("To") or "").sip_uri().user)
        for user in users:
            channel = None if user is None else self.inventory.find(user)
            if channel is not None:
                return channel
        first = self.inventory.first()
        if self.settings.device_id in users and first is not None:
            return first
        raise CallRefused(404, "Not Found")

    def _make_room(self, channel: Channel, stream_key: str | None) -> None:
        """Annex K c: a new INVITE for a source being sent replaces the old call; else 486 when full."""
        for call in list(self._calls.values()):
            same = stream_key is not None and call.offer.stream_key == stream_key
            if same and call.channel is channel and not call.over:
                self._calls.pop(call.call_id, None)
                self._spawn(call.hang_up("replaced by a new call for the same source"))
        if len(self._calls) >= self.settings.max_streams:
            raise CallRefused(486, "Busy Here")

    def _call_over(self, call: Call) -> None:
        if self._calls.get(call.call_id) is call:
            del self._calls[call.call_id]
        self._spawn(self._tell())
        self._say(f"stops sending {call.channel.name}: {call.ended_because or 'the call is over'}")

    async def end_all(self, reason: str, *, silently: bool) -> None:
        """End every call, with BYE unless `silently`."""
        calls = list(self._calls.values())
        await asyncio.gather(*(call.hang_up(reason, silently=silently) for call in calls))
