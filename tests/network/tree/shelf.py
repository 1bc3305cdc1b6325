"""A catalogue with a real database and no sockets: pages and notifications are put in by hand."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import cast

from commonview.foundation.clock import SystemClock
from commonview.foundation.database import Database
from commonview.network import store
from commonview.network.aggregation import AggregationLimits
from commonview.network.catalogue import Catalogue, Sync
from commonview.network.directory import DeviceRecord, Directory, Registration
from commonview.network.live_machine import Moment
from commonview.network.model import CatalogueState
from commonview.network.requests import Platform
from commonview.network.sip_endpoint import SipEndpoint
from commonview.network.tree.service import ChannelTree
from commonview.wire.manscdp import Catalog, CatalogItem
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.message import SipRequest, SipResponse
from tests.network.harness import until

PLATFORM = "33010000002000000001"
LIMITS = AggregationLimits(first_page_s=3.0, quiet_s=0.3, settle_s=0.05, linger_s=3.0)


def camera(number: int, **more: object) -> CatalogItem:
    fields: dict[str, object] = {"name": f"camera {number}", "status": "ON", **more}
    return CatalogItem(device_id=f"3301020000132{number:07d}", **fields)  # type: ignore[arg-type]


class TakingEndpoint:
    """Stands where the SIP endpoint stands: every query is taken, and kept."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def request(self, request: SipRequest, flow: Flow, *, timeout_s: float) -> SipResponse:
        self.sent.append(request.body.decode("gb18030"))
        return SipResponse(200, "OK")

    async def calm(self) -> None:
        """Nothing waits here."""


class Shelf:
    """One catalogue room over one database."""

    def __init__(self, database: Database, limits: AggregationLimits = LIMITS) -> None:
        self.behind: Callable[[], bool] = lambda: False
        self.clock = SystemClock()
        self.directory = Directory(
            silence_s=60.0, on_presence=lambda device_id, here: self.tree.presence(device_id, here)
        )
        self.changed: list[str] = []
        self.tree = ChannelTree(
            database, self.directory, self.clock, domain="3301000000", on_channels=self.changed.append
        )
        self.directory.find_channels_in(self.tree)
        self.endpoint = TakingEndpoint()
        self.catalogue = Catalogue(
            self.directory,
            database,
            cast(SipEndpoint, self.endpoint),
            Platform("33010000002000000099", "3301000000"),
            self.clock,
            self.tree,
            next_sn=itertools.count(1000).__next__,
            on_changed=lambda _device_id: None,
            behind=lambda: self.behind(),
            limits=limits,
        )
        self._database = database

    def join(self, device_id: str = PLATFORM) -> DeviceRecord:
        """A device registers."""
        now = Moment(self.clock.monotonic(), self.clock.now())
        flow = Flow("udp", ("192.0.2.10", 5060), ("192.0.2.1", 5060))
        one = Registration(device_id, flow, 3600, now.at, now.at.replace(year=now.at.year + 1), "", "3.0")
        with self._database.begin() as conn:
            store.save_registrations(conn, [one])
        self.directory.apply(one, now)
        record = self.directory.get(device_id)
        assert record is not None
        return record

    async def ask(self, record: DeviceRecord) -> Sync:
        """Ask for the catalogue; the question it became."""
        before = self.catalogue._newest(record.id)
        self.catalogue.refresh(record)
        await until(lambda: self.catalogue._newest(record.id) is not before)
        sync = self.catalogue._newest(record.id)
        assert sync is not None
        return sync

    def page(self, sync: Sync, total: int | None, *items: CatalogItem, sn: int | None = None) -> None:
        """A page of the answer arrives."""
        message = Catalog(
            sn=sync.key.sn if sn is None else sn, device_id=sync.record.id, sum_num=total, items=items
        )
        self.catalogue.on_catalog(sync.record, message)

    async def ended(self, record: DeviceRecord, state: CatalogueState) -> None:
        """Wait for the end of the newest question."""
        await until(lambda: record.catalogue.state is state)

    async def sync(self, record: DeviceRecord, *items: CatalogItem) -> None:
        """One whole catalogue."""
        self.page(await self.ask(record), len(items), *items)
        await self.ended(record, CatalogueState.COMPLETE)

    async def written(self) -> None:
        """Wait until nothing is in line and every settling is over."""
        await until(lambda: self.tree.writer.idle and not self.catalogue._dirty)
        await asyncio.sleep(0.05)
        await until(lambda: self.tree.writer.idle)
