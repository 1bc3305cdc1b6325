"""The verbs of the sources: add, update, remove, test, list; and the watch over their presence."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from commonview.foundation.errors import CommonviewError
from commonview.network.model import CatalogueProgress, CatalogueState, DeviceOrigin, PresenceReason
from commonview.network.sources import records, rtsp
from commonview.network.sources.address import locate
from commonview.network.sources.errors import SourceFailed, SourceUnknown
from commonview.network.sources.exchange import Asker, Credentials
from commonview.network.sources.failures import presence_of
from commonview.network.sources.model import (
    ChannelPlan,
    Source,
    SourceChannel,
    SourceCheck,
    SourceKind,
    SourceOutcome,
    SourceTest,
    SourceTransport,
)
from commonview.network.sources.onvif import OnvifDesk, discover
from commonview.network.sources.plans import bounded, edited, planned, require_safe
from commonview.network.sources.shelf import SourceShelf
from commonview.network.sources.streams import SourceStreams
from commonview.network.sources.tls import TlsTrust, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.foundation.settings import IpNetwork
    from commonview.media import MediaNode
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.registrar import PasswordVault
    from commonview.network.sources.onvif import Discovered, OnvifPtz

log = logging.getLogger(__name__)

_CHECKS_AT_ONCE = 16
_LOOK_EVERY_S = 1.0
_JITTER = 0.2


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """``networks`` may be dialled; every source is asked each ``check_s`` seconds; ids are of ``domain``.

    ``trust`` holds for servers inside TLS, unless a source has a certificate of its own.
    """

    networks: tuple[IpNetwork, ...]
    check_s: float
    domain: str
    trust: TlsTrust


class Sources:
    """Every source. Verbs that change something return once the change is durable."""

    def __init__(
        self,
        settings: SourceSettings,
        directory: Directory,
        database: Database,
        vault: PasswordVault,
        node: MediaNode,
        clock: Clock,
        *,
        listing: records.Listing,
        on_changed: Callable[[str], None],
        on_gone: Callable[[str], None],
    ) -> None:
        """The listeners hear of a device id: that it changed, that it is not to be watched any more."""
        self._settings = settings
        self._directory = directory
        self._shelf = SourceShelf(database, vault, directory, settings.domain)
        self._clock = clock
        self._on_changed = on_changed
        self._listing = listing
        self._on_gone = on_gone
        self._sources: dict[str, Source] = {}
        self._due: dict[str, float] = {}
        self._checks: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()
        self.onvif = OnvifDesk(settings.networks, clock)
        self.streams = SourceStreams(
            node, settings.networks, self._sources.get, self._shelf.credentials, settings.trust
        )

    async def start(self) -> None:
        """Take the sources back from the database; their devices are in the directory already."""
        for source in await asyncio.to_thread(self._shelf.load):
            record = self._directory.get(source.id)
            if record is None:
                continue
            self._keep(source, record)
            if record.cameras != len(source.channels):
                # Stopped between storing a source and its channels.
                await self._listing.write(record, records.items_of(source))
        for record in list(self._directory.records()):
            if record.origin is not DeviceOrigin.GB28181 and record.id not in self._sources:
                self._directory.forget(record.id)

    async def close(self) -> None:
        """End the checks under way."""
        for task in list(self._checks):
            task.cancel()
        await asyncio.gather(*self._checks, self.onvif.close(), return_exceptions=True)

    # -- seen from outside

    def list(self) -> tuple[Source, ...]:
        """Every source, by id."""
        return tuple(self._sources[source_id] for source_id in sorted(self._sources))

    def get(self, source_id: str) -> Source:
        """One source. Raises `SourceUnknown`."""
        source = self._sources.get(source_id)
        if source is None:
            raise SourceUnknown(f"no source {source_id[:40]!r}", source_id=source_id[:40])
        return source

    # -- verbs

    async def add(
        self,
        kind: SourceKind,
        name: str,
        *,
        plans: Sequence[ChannelPlan] = (),
        url: str = "",
        username: str = "",
        password: str = "",
        transport: SourceTransport = SourceTransport.TCP,
        certificate_sha256: str = "",
    ) -> Source:
        """Add a source. RTSP needs ``plans`` and need not answer yet; ONVIF needs ``url`` and must.

        Raises `SourceInvalid`, `SourceFailed`, `StorageUnavailable`.
        """
        name, username = bounded("name", name, least=1), bounded("username", username)
        bounded("password", password)
        who = Credentials(username, password)
        tested = SourceTest(SourceOutcome.ANSWERED)
        if kind is SourceKind.RTSP:
            channels = planned(plans)
            url = channels[0].profiles[0].url
        else:
            tested = await self.onvif.ask(url, who)
            channels, url = tested.channels, tested.url
        source = Source(
            id="",
            kind=kind,
            name=name,
            url=url,
            username=username,
            has_password=bool(password),
            transport=transport,
            enabled=True,
            channels=channels,
            created_at=self._clock.now(),
            certificate_sha256=fingerprint(certificate_sha256),
        )
        if kind is SourceKind.RTSP:
            require_safe(source, self._settings.trust)
        source, record = await asyncio.to_thread(self._shelf.add, source, password, tested)
        self._directory.adopt(record)
        self._keep(source, record)
        await self._listing.write(record, records.items_of(source))
        self._on_changed(source.id)
        return self._sources[source.id]

    async def update(
        self,
        source_id: str,
        *,
        name: str | None = None,
        plans: Sequence[ChannelPlan] | None = None,
        username: str | None = None,
        password: str | None = None,
        transport: SourceTransport | None = None,
        enabled: bool | None = None,
        certificate_sha256: str | None = None,
    ) -> Source:
        """Change what is given; an empty password forgets the one that is kept.

        New ``plans`` of an RTSP source must have as many channels as it has, which keep their ids. Running
        streams go on as they were, except that those of a disabled source end.
        Raises `SourceUnknown`, `SourceInvalid`, `StorageUnavailable`.
        """
        source = self.get(source_id)
        record = self._directory.get(source_id)
        if record is None:
            raise SourceUnknown(f"no source {source_id[:40]!r}", source_id=source_id[:40])
        changed = edited(
            source,
            self._settings.trust,
            name=name,
            plans=plans,
            username=username,
            transport=transport,
            enabled=enabled,
            certificate_sha256=certificate_sha256,
        )
        if password is not None:
            bounded("password", password)
            changed = self._shelf.sealed(changed, password)
        before, record.name = record.name, changed.name
        try:
            await asyncio.to_thread(self._shelf.change, changed, record)
        except CommonviewError:
            record.name = before
            raise
        if plans is not None:
            await self._listing.write(record, records.items_of(changed))
        if source.enabled and not changed.enabled:
            self._on_gone(source_id)
        self._keep(changed, record)
        self._on_changed(source_id)
        return self._sources[source_id]

    async def remove(self, source_id: str) -> None:
        """Forget a source with its channels; its streams end. Its ids are not given again.

        Raises `SourceUnknown`, `StorageUnavailable`.
        """
        self.get(source_id)
        await asyncio.to_thread(self._shelf.remove, source_id)
        self._sources.pop(source_id, None)
        self._due.pop(source_id, None)
        self.onvif.forget(source_id)
        self._on_gone(source_id)
        record = self._directory.get(source_id)
        if record is not None:
            await self._listing.write(record, [])
        self._directory.forget(source_id)
        self._on_changed(source_id)

    async def test(
        self,
        kind: SourceKind,
        *,
        plans: Sequence[ChannelPlan] = (),
        url: str = "",
        username: str = "",
        password: str = "",
        certificate_sha256: str = "",
    ) -> SourceTest:
        """Ask a source that is not added (yet), and keep nothing. Raises `SourceInvalid` only.

        A server inside TLS that nobody vouches for is asked nothing; the answer says what it showed.
        """
        trust = self._settings.trust.only(fingerprint(certificate_sha256))
        who = Credentials(bounded("username", username), bounded("password", password))
        try:
            if kind is SourceKind.ONVIF:
                return await self.onvif.ask(url, who)
            return await self._ask_rtsp(planned(plans), who, trust)
        except SourceFailed as error:
            return SourceTest(error.outcome, error.message, certificate_sha256=error.shown)

    async def test_known(self, source_id: str) -> SourceTest:
        """Ask a source with what is kept of it; its presence shows the outcome. Raises `SourceUnknown`."""
        source = self.get(source_id)
        try:
            if source.kind is SourceKind.ONVIF:
                tested = await self.onvif.ask(source.url, self._shelf.credentials(source))
            else:
                trust = self._settings.trust.only(source.certificate_sha256)
                tested = await self._ask_rtsp(source.channels, self._shelf.credentials(source), trust)
        except SourceFailed as error:
            tested = SourceTest(error.outcome, error.message, certificate_sha256=error.shown)
        self._note(source_id, tested.outcome, tested.detail)
        return tested

    async def refresh(self, source_id: str) -> None:
        """Read anew what an ONVIF device has; an RTSP source is asked whether it is there.

        A picture that is known by its video source keeps its id. What came of it shows as the presence.
        Raises `SourceUnknown`, `SourceInvalid`, `StorageUnavailable`.
        """
        tested = await self.test_known(source_id)
        source, record = self._sources.get(source_id), self._directory.get(source_id)
        if tested.outcome is not SourceOutcome.ANSWERED or source is None or record is None:
            return
        if source.kind is SourceKind.RTSP:
            return
        record.manufacturer, record.model = tested.manufacturer, tested.model
        record.firmware = tested.firmware
        source = await asyncio.to_thread(self._shelf.refresh, source, record, tested.channels)
        self._keep(source, record)
        await self._listing.write(record, records.items_of(source))
        self._on_changed(source_id)

    async def _ask_rtsp(
        self, channels: Sequence[SourceChannel], who: Credentials, trust: TlsTrust
    ) -> SourceTest:
        found = []
        for channel in channels:
            profiles = []
            for profile in channel.profiles:
                asker = Asker(locate(profile.url, "rtsp"), who, self._settings.networks, trust=trust)
                profiles.append(replace(profile, codec=await rtsp.describe(asker)))
            found.append(replace(channel, profiles=tuple(profiles)))
        return SourceTest(SourceOutcome.ANSWERED, channels=tuple(found))

    async def discover(self, *, interface: str = "", address: str = "") -> tuple[Discovered, ...]:
        """ONVIF devices that answer a probe on the network of one of our addresses, or at one address.

        Raises `SourceInvalid`.
        """
        return await discover(self._settings.networks, interface=interface, address=address)

    def steer(self, channel_id: str) -> OnvifPtz | None:
        """What steers a channel by its house-wide id; None when it is no source's or cannot be steered."""
        source_id, _, gb_id = channel_id.partition("-")
        source = self._sources.get(source_id)
        channel = next((one for one in source.channels if one.gb_id == gb_id), None) if source else None
        if source is None or channel is None or not source.enabled:
            return None
        return self.onvif.steer(source, channel, self._shelf.credentials(source))

    # -- presence

    async def watch(self) -> None:
        """Ask every enabled source again and again, spread over time; ends when it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self.check_due()

    def check_due(self) -> None:
        """Begin the checks that are due, a few at once."""
        now = self._clock.monotonic()
        for source_id, due in list(self._due.items()):
            if len(self._checks) >= _CHECKS_AT_ONCE:
                return
            if due <= now:
                spread = 1.0 + random.uniform(-_JITTER, _JITTER)  # noqa: S311 - spreads load, hides nothing
                self._due[source_id] = now + self._settings.check_s * spread
                task = asyncio.get_running_loop().create_task(self._check(source_id))
                self._checks.add(task)
                task.add_done_callback(self._checks.discard)

    async def _check(self, source_id: str) -> None:
        source = self._sources.get(source_id)
        if source is None or not source.enabled:
            return
        self.counters["checks"] += 1
        try:
            await self._look(source)
        except SourceFailed as error:
            self.counters[f"checks_{error.outcome.value}"] += 1
            self._note(source_id, error.outcome, error.message)
        except CommonviewError as error:
            log.warning("source %s cannot be asked: %s", source_id, error.message)
        else:
            self._note(source_id, SourceOutcome.ANSWERED, "")

    async def _look(self, source: Source) -> None:
        who = self._shelf.credentials(source)
        if source.kind is SourceKind.RTSP:
            trust = self._settings.trust.only(source.certificate_sha256)
            asker = Asker(locate(source.url, "rtsp"), who, self._settings.networks, trust=trust)
            await rtsp.is_alive(asker)
        else:
            await self.onvif.look(source, who)
            self.onvif.listen(source, who)

    def _note(self, source_id: str, outcome: SourceOutcome, detail: str) -> None:
        source, record = self._sources.get(source_id), self._directory.get(source_id)
        if source is None or record is None:
            return
        self._sources[source_id] = replace(source, check=SourceCheck(outcome, self._clock.now(), detail))
        reason = presence_of(outcome) if source.enabled else PresenceReason.SOURCE_DISABLED
        if self._directory.judge(record, reason, online=reason is PresenceReason.SOURCE_ANSWERED):
            log.info("source %s: %s", source_id, reason.value)
            self._on_changed(source_id)

    def _keep(self, source: Source, record: DeviceRecord) -> None:
        """A source is known or was changed: it is asked soon."""
        self._sources[source.id] = source
        self.onvif.forget(source.id)
        location = locate(source.url, "rtsp" if source.kind is SourceKind.RTSP else "http")
        record.peer = (location.host, location.port)
        record.catalogue = CatalogueProgress(CatalogueState.COMPLETE, received=len(source.channels))
        if source.enabled:
            self._due[source.id] = self._clock.monotonic()
            if not record.online:
                self._directory.judge(record, PresenceReason.SOURCE_UNCHECKED, online=False)
        else:
            self._due.pop(source.id, None)
            self._directory.judge(record, PresenceReason.SOURCE_DISABLED, online=False)
