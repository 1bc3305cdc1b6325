"""What a simulated superior collects: the pages of an answer, the events of a subscription, RTP packets."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from commonview.network.sip_endpoint import Flow, ServerTransaction
from commonview.network.subscription_client import EventType, Phase
from commonview.wire import manscdp
from commonview.wire.sip.message import SipRequest

_SETTLED: Final = frozenset({Phase.ACTIVE, Phase.REFUSED, Phase.WAITING, Phase.STOPPED})


@dataclass(slots=True)
class Asking:
    """The messages of one SN so far; items united by id, whatever the pages promise (trap 17)."""

    expect: type[manscdp.Message]
    messages: int = 0
    promised: int | None = None
    items: dict[str, manscdp.CatalogItem] = field(default_factory=dict)
    last: manscdp.Message | None = None

    @property
    def complete(self) -> bool:
        """Whether as much came as was promised."""
        return self.messages > 0 and len(self.items) >= (self.promised or 0)

    def take(self, message: manscdp.Message) -> None:
        """One more message."""
        self.messages += 1
        self.last = message
        if isinstance(message, manscdp.Catalog):
            self.promised = max(self.promised or 0, message.sum_num or 0)
            self.items.update({item.device_id: item for item in message.items})


class CatalogueWish:
    """One subscription to catalogue events: see `subscription_client.Subject`."""

    def __init__(
        self,
        compose: Callable[[], tuple[SipRequest, Flow]],
        on_message: Callable[[manscdp.Message], None],
        on_change: Callable[[], None],
    ) -> None:
        self.event = EventType("Catalog", "1")
        self.period_s = 600
        self.phase = Phase.IDLE
        self._compose = compose
        self._on_message = on_message
        self._on_change = on_change

    @property
    def settled(self) -> bool:
        """Whether the first SUBSCRIBE was answered, or will not be."""
        return self.phase in _SETTLED

    @property
    def active(self) -> bool:
        """Whether it runs."""
        return self.phase is Phase.ACTIVE

    def compose(self) -> tuple[SipRequest, Flow] | None:
        """The SUBSCRIBE."""
        return self._compose()

    def on_notify(self, transaction: ServerTransaction) -> None:
        """Answer a NOTIFY and hand on what it says."""
        transaction.respond(200)
        body = transaction.request.body
        if not body.strip():
            return
        try:
            message = manscdp.decode(body, transaction.request.headers.get("Content-Type"))
        except manscdp.ManscdpError:
            return
        if isinstance(message, manscdp.Message):
            self._on_message(message)

    def on_phase(self, phase: Phase, status: int | None) -> None:
        """It stands differently now."""
        self.phase = phase
        self._on_change()


class RtpSink(asyncio.DatagramProtocol):
    """Counts what arrives at a UDP port of its own."""

    def __init__(self) -> None:
        self.port = 0
        self.packets = 0
        self.bytes = 0
        self.ssrcs: set[int] = set()
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def open(cls, host: str) -> Self:
        """Bind. Raises `OSError`."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        loop = asyncio.get_running_loop()
        transport, sink = await loop.create_datagram_endpoint(cls, local_addr=(host, 0), family=family)
        sink._transport = transport
        sink.port = int(transport.get_extra_info("sockname")[1])
        return sink

    def datagram_received(self, data: bytes, _address: object) -> None:
        """One packet."""
        self.packets += 1
        self.bytes += len(data)
        if len(data) >= 12 and len(self.ssrcs) < 16:
            self.ssrcs.add(int.from_bytes(data[8:12], "big"))

    def close(self) -> None:
        """Release the port."""
        if self._transport is not None:
            self._transport.close()
