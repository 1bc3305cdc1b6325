"""The verbs of the trace room: stories of a device or a session, as values, as text and as pcap."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Final

from commonview.explain import (
    Canvas,
    Exchange,
    ExchangeKind,
    PcapWriter,
    Recording,
    Report,
    Sighting,
    Words,
    tell,
)
from commonview.network.errors import DeviceUnknown, NetworkError
from commonview.network.trace.media_trail import MediaTrails, Trail
from commonview.network.trace.recorder import TraceRecorder
from commonview.network.trace.sightings import add_media, sighting_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from commonview.explain import Address
    from commonview.foundation.clock import Clock
    from commonview.media import MediaEvent, MediaNode
    from commonview.network.model import LiveSession
    from commonview.network.sip_endpoint import Flow
    from commonview.network.trace.ring import Entry

MAX_TOLD: Final = 50_000
TEXT_COLUMNS: Final = 120
MAX_EXPORT_BYTES: Final = 32 * 1024 * 1024


class ExchangeUnknown(NetworkError):
    """No such exchange is remembered (any more)."""

    default_code = "exchange_unknown"
    http_status = 404


class TraceService:
    """Records for ever, tells on demand. Telling works on a copy, in a thread of its own."""

    def __init__(
        self,
        clock: Clock,
        node: MediaNode,
        budget: int,
        *,
        local: Callable[[Flow], str],
        peer_of: Callable[[str], tuple[bool, Address | None]],
    ) -> None:
        """``local`` names our own address towards the peer of a flow, ``peer_of`` whether a device is known
        and its bound address."""
        self._clock = clock
        self._local = local
        self._peer_of = peer_of
        self.recorder = TraceRecorder(budget, clock.monotonic)
        self._media = MediaTrails(node)
        self._offset = 0.0

    def on_media(self, event: MediaEvent) -> None:
        """An event of the media node."""
        self._media.on_media(event)

    def proved(self, peer: Address | None, device_id: str) -> None:
        """A device has registered from `peer`."""
        if peer is not None:
            self.recorder.proved(peer, device_id)

    async def exchanges(self, device_id: str) -> tuple[Exchange, ...]:
        """The stories of a device, newest first; also of one that never got in.

        Raises `DeviceUnknown` when neither the device nor anything it said is known.
        """
        known, peer = self._peer_of(device_id)
        entries = self.recorder.entries_of(device_id, peer)[-MAX_TOLD:]
        if not entries and not known:
            raise DeviceUnknown.of(device_id)
        told = await asyncio.to_thread(self._tell, entries, self._media.snapshot(self._now()))
        return tuple(each for each in reversed(told) if each.device_id == device_id)

    async def exchange(self, device_id: str, exchange_id: str) -> Exchange:
        """One story with its messages. Raises `DeviceUnknown`, `ExchangeUnknown`."""
        for each in await self.exchanges(device_id):
            if each.id == exchange_id:
                return each
        raise ExchangeUnknown("this exchange is not remembered any more", exchange_id=exchange_id[:40])

    async def of_session(self, session: LiveSession, channel_gb_id: str) -> tuple[Exchange, ...]:
        """The calls of one live session, oldest first."""
        begin = session.started_at.timestamp() - 1.0
        end = (session.ended_at.timestamp() if session.ended_at is not None else self._now()) + 40.0
        told = await self.exchanges(session.device_id)
        return tuple(
            each
            for each in reversed(told)
            if each.kind is ExchangeKind.SESSION
            and each.subject == channel_gb_id
            and begin <= each.started_at <= end
        )

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _wall_offset(self) -> float:
        """Wall time minus monotonic time; the same from telling to telling unless the wall clock stepped."""
        offset = self._now() - self._clock.monotonic()
        if abs(offset - self._offset) > 1.0:
            self._offset = offset
        return self._offset

    def _tell(self, entries: list[Entry], trails: list[Trail]) -> tuple[Exchange, ...]:
        recording = Recording(begins=0.0, ends=self._now(), sees_sent=False)
        offset = self._wall_offset()
        for entry in entries:
            recording.sightings += sighting_of(entry, offset, self._local)
        recording.sightings.sort(key=lambda each: (each.at, each.number))
        if recording.sightings:
            recording.begins = recording.sightings[0].at
        add_media(recording, trails)
        return tell(recording).exchanges


def as_text(exchanges: Iterable[Exchange], *, language: str, bodies: bool) -> str:
    """Stories as a text file: findings and ladders in plain characters."""
    page = Report(Words(language), Canvas(TEXT_COLUMNS), ascii_only=True, bodies=bodies)
    return page.exchanges(exchanges)[:MAX_EXPORT_BYTES]


def as_pcap(exchanges: Iterable[Exchange]) -> bytes:
    """The redacted messages as a capture any dissector reads. Media is not in it: only signalling is kept."""
    file = io.BytesIO()
    writer = PcapWriter(file)
    messages = {each.number: each for exchange in exchanges for each in exchange.messages}
    for sighting in sorted(messages.values(), key=lambda each: (each.at, each.number)):
        if file.tell() > MAX_EXPORT_BYTES:
            break
        _write(writer, sighting)
    return file.getvalue()


def _write(writer: PcapWriter, sighting: Sighting) -> None:
    if not sighting.raw:
        return
    if sighting.transport == "udp":
        writer.udp(sighting.at, sighting.source, sighting.target, sighting.raw)
    else:
        writer.tcp(sighting.at, sighting.source, sighting.target, sighting.raw)
