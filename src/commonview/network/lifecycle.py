"""The order in which the rooms of the network begin and end their work."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from commonview.foundation.errors import CommonviewError, StartupError
from commonview.network import store
from commonview.network.live_machine import Moment
from commonview.network.model import PresenceReason, SignallingTransport
from commonview.network.sip_tls import server_context

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from commonview.network.composition import Rooms
    from commonview.network.directory import DeviceRecord

log = logging.getLogger(__name__)


class Lifecycle:
    """Reads back what was durable, listens, keeps what goes on by itself running, and ends all of it."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._tasks: set[asyncio.Task[None]] = set()
        self.sip_port = rooms.settings.sip_port
        self.counters: Counter[str] = Counter()

    async def start(self) -> None:
        """Restore what was known, listen, then begin to work.

        Raises:
            StartupError: an address or port cannot be bound.
            StorageUnavailable: the database cannot be read.
        """
        rooms = self._rooms
        await self._read_back()
        try:
            await self._listen()
            await self._listen_tls()
        except StartupError:
            await rooms.registrar.close()
            await rooms.events.close()
            await rooms.endpoint.close()
            raise
        rooms.calls.end_leftovers()
        rooms.catalogue.start()
        await rooms.control.start()
        await rooms.history.prepare()
        await rooms.imports.prepare()
        self._spawn(rooms.imports.work(), rooms.history.run())
        await asyncio.to_thread(rooms.events.load)
        self._spawn(*rooms.events.work())
        await rooms.sources.start()
        await rooms.cascade.start()
        # Everything is read back by now: what is under way from here on finds the rooms complete.
        self._spawn(
            rooms.sources.watch(),
            rooms.presence.ask_restored(
                self._within_reach(), rooms.catalogue.ask_status, rooms.reactions.back
            ),
            rooms.desk.read_long(),
            rooms.presence.watch(),
            rooms.admission.work(),
            rooms.subscribers.watch(),
            rooms.presence.save_now_and_then(),
            rooms.reactions.read_media(),
        )
        settings = rooms.settings
        log.info("SIP on %s:%d (udp, tcp) as %s", settings.sip_host, self.sip_port, settings.sip_id)

    async def close(self) -> None:
        """Send BYE for every session, write what is only in memory, close the listeners."""
        rooms = self._rooms
        await rooms.cascade.close()
        await asyncio.gather(rooms.subscribers.close(), rooms.subscribing.close())
        await rooms.transcodes.close()
        await rooms.live.close()
        await rooms.voice.close()
        await rooms.history.close()
        await rooms.imports.close()
        await rooms.sources.close()
        await rooms.control.close()
        await rooms.calls.close()
        await rooms.catalogue.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await rooms.registrar.close()
        for write_down in (rooms.events.close, rooms.presence.save, rooms.admission.save):
            with suppress(CommonviewError):
                await write_down()
        rooms.channel_tree.close()
        await rooms.endpoint.close()

    async def _read_back(self) -> None:
        rooms = self._rooms

        def load() -> list[DeviceRecord]:
            with rooms.ground.database.read() as conn:
                return store.load(conn)

        now = Moment(rooms.clock.monotonic(), rooms.clock.now())
        for record in await asyncio.to_thread(load):
            rooms.directory.restore(record, now)
        await asyncio.to_thread(rooms.channel_tree.load)
        await asyncio.to_thread(rooms.admission.load)

    def _within_reach(self) -> list[DeviceRecord]:
        """Restored devices that can be spoken to at once; one on TCP must open its connection anew first."""
        reachable = []
        for record in self._rooms.directory.records():
            unheard = record.reason is PresenceReason.NOT_HEARD_SINCE_START
            if unheard and record.transport is SignallingTransport.UDP and record.peer is not None:
                record.flow = self._rooms.endpoint.udp_flow(*record.peer)
                reachable.append(record)
        return reachable

    async def _listen(self) -> None:
        host, port = self._rooms.settings.sip_host, self._rooms.settings.sip_port
        try:
            self.sip_port = await self._rooms.endpoint.listen_on_both(host, port)
        except OSError as error:
            raise StartupError(
                f"cannot listen for SIP on {host}:{port} ({error.strerror}); set sip_host and sip_port",
                code="sip_port_unavailable",
                port=port,
            ) from error

    async def _listen_tls(self) -> None:
        settings = self._rooms.settings
        certificate, key = settings.sip_tls_certificate, settings.sip_tls_key
        if not settings.sip_tls_port or certificate is None or key is None:
            return
        try:
            context = server_context(certificate, key, settings.sip_tls_client_ca)
            await self._rooms.endpoint.listen_tls(settings.sip_host, settings.sip_tls_port, context)
        except OSError as error:  # ssl.SSLError among them
            raise StartupError(
                f"cannot listen for SIP over TLS on {settings.sip_host}:{settings.sip_tls_port} with "
                f"{certificate} and {key}: {error.strerror or error}",
                code="sip_tls_unavailable",
                port=settings.sip_tls_port,
            ) from error

    def _spawn(self, *works: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.get_running_loop()
        for work in works:
            task = loop.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counters["task_failed"] += 1
            log.critical("a task of the network room ended: %r", error, exc_info=error)
