"""The catalogue upward: queries answered page by page, changes told to subscribers (9.3, 9.11, Annex M)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from commonview.foundation.errors import CommonviewError
from commonview.network.cascade.link import NotTaken
from commonview.network.cascade.listing import event_item
from commonview.network.cascade.model import CascadeTransport
from commonview.network.subscription_server import SubscriptionEnded
from commonview.wire.manscdp import Catalog, CatalogNotify, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from commonview.network.cascade.directory import Plan, VirtualDirectories
    from commonview.network.cascade.link import Link
    from commonview.network.cascade.model import Superior
    from commonview.network.cascade.selection import Place
    from commonview.network.subscription_server import Incoming
    from commonview.wire.manscdp import CatalogItem, CatalogQuery

log = logging.getLogger(__name__)

_READ_AT_ONCE: Final = 500
_PAGE_UDP: Final = 2
_PAGE_TCP: Final = 100
"""Two items with Chinese names stay within a datagram of 1300 bytes; many platforms read no fragments."""

_QUERIES: Final = 4
_TRIES: Final = 2
_BATCH_S: Final = 1.0


@dataclass(slots=True)
class _Told:
    """What a subscriber knows, by device and row number: own id, whether it was on, and all else that was
    said."""

    subscription: Incoming
    known: dict[str, dict[int, tuple[str, bool, int]]] = field(default_factory=dict)
    dirty: set[str] = field(default_factory=set)
    all_dirty: bool = False
    ready: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class CatalogueUp:
    """Tells superiors what they are offered. All methods run on the event loop."""

    def __init__(self, directories: VirtualDirectories, *, batch_s: float = _BATCH_S) -> None:
        """``batch_s``: how long changes are gathered before they are told."""
        self._directories = directories
        self._batch_s = batch_s
        self._under_way: Counter[str] = Counter()
        self._told: dict[str, _Told] = {}
        self.offered: dict[str, int] = {}
        self.counters: Counter[str] = Counter()

    def knows(self, superior_id: str) -> bool:
        """Whether a subscriber is told changes from here on."""
        told = self._told.get(superior_id)
        return told is not None and told.ready

    # -- queries

    async def answer(self, link: Link, query: CatalogQuery) -> None:
        """Answer a query, the next page after the former's SIP answer (Annex M)."""
        superior = link.superior
        if self._under_way[superior.id] >= _QUERIES:
            self.counters["query_shed"] += 1
            return
        self._under_way[superior.id] += 1
        try:
            await self._answer(link, query)
        except NotTaken as error:
            self.counters["query_given_up"] += 1
            log.warning("catalogue for superior %s: %s", superior.settings.server_id, error)
        finally:
            self._under_way[superior.id] -= 1

    async def _answer(self, link: Link, query: CatalogQuery) -> None:
        superior = link.superior
        plan = await asyncio.to_thread(self._directories.plan, superior, query.device_id)
        if query.device_id == superior.settings.local_id:
            self.offered[superior.id] = len(plan.places)
        page = Catalog(sn=max(1, query.sn), device_id=query.device_id, sum_num=len(plan))
        self.counters["queries"] += 1
        if not len(plan):
            await link.send(page)
            return
        async for items in self._pages(superior, plan):
            await self._send_page(link, replace(page, items=tuple(items)))
            self.counters["items"] += len(items)

    async def _send_page(self, link: Link, page: Catalog) -> None:
        """A page that was not answered is sent once more: the superior unites items by id."""
        for attempt in range(1, _TRIES + 1):
            try:
                await link.send(page)
            except NotTaken:
                if attempt == _TRIES or not link.speaking:
                    raise
                self.counters["page_repeated"] += 1
            else:
                return

    async def _pages(self, superior: Superior, plan: Plan) -> AsyncIterator[list[CatalogItem]]:
        size = _page_items(superior)
        waiting: list[CatalogItem] = list(plan.nodes)
        for start in range(0, len(plan.places), _READ_AT_ONCE):
            part = plan.places[start : start + _READ_AT_ONCE]
            read = await asyncio.to_thread(self._directories.items, superior, part)
            waiting += [item for _place, item in read]
            while len(waiting) >= size:
                yield waiting[:size]
                waiting = waiting[size:]
        for start in range(0, len(waiting), size):
            yield waiting[start : start + size]

    # -- subscriptions

    def subscribed(self, link: Link, subscription: Incoming) -> bool:
        """A subscription began (True) or was refreshed; run `tell` for a new one."""
        told = self._told.get(link.superior.id)
        if told is not None and told.subscription is subscription:
            return False
        self._told[link.superior.id] = _Told(subscription)
        return True

    def unsubscribed(self, superior_id: str, subscription: Incoming) -> None:
        """It is over."""
        told = self._told.get(superior_id)
        if told is not None and told.subscription is subscription:
            del self._told[superior_id]
            told.wake.set()

    def touched(self, device_id: str) -> None:
        """Channels of a device, or the device itself, changed."""
        for told in self._told.values():
            told.dirty.add(device_id)
            told.wake.set()

    def touched_all(self, superior_id: str | None = None) -> None:
        """What is shared changed, or the groups did."""
        for key, told in self._told.items():
            if superior_id in (None, key):
                told.all_dirty = True
                told.wake.set()

    async def tell(self, link: Link, subscription: Incoming) -> None:
        """Tell changes as long as the subscription runs. What is there at its beginning is known by query."""
        told = self._told.get(link.superior.id)
        if told is None or told.subscription is not subscription:
            return
        try:
            await self._learn(link.superior, told)
            while not subscription.ended and self._told.get(link.superior.id) is told:
                await told.wake.wait()
                await asyncio.sleep(self._batch_s)
                told.wake.clear()
                await self._tell_changes(link, told)
        except SubscriptionEnded as error:
            log.info("catalogue subscription of %s: %s", link.superior.settings.server_id, error)
        except CommonviewError as error:
            self.counters["notify_failed"] += 1
            log.warning("catalogue subscription of %s: %s", link.superior.settings.server_id, error.message)
            await subscription.end("probation")

    async def _learn(self, superior: Superior, told: _Told) -> None:
        places = await asyncio.to_thread(self._directories.offered, superior)
        self.offered[superior.id] = len(places)
        for start in range(0, len(places), _READ_AT_ONCE):
            part = places[start : start + _READ_AT_ONCE]
            for place, item in await asyncio.to_thread(self._directories.items, superior, part):
                told.known.setdefault(place.device_id, {})[place.no] = _mark(item)
        told.ready = True

    async def _tell_changes(self, link: Link, told: _Told) -> None:
        superior = link.superior
        everything, told.all_dirty = told.all_dirty, False
        devices, told.dirty = told.dirty, set()
        places = await asyncio.to_thread(
            self._directories.offered, superior, None if everything else frozenset(devices)
        )
        now: dict[str, dict[int, Place]] = {}
        for place in places:
            now.setdefault(place.device_id, {})[place.no] = place
        events: list[CatalogItem] = []
        for device_id in (told.known.keys() | now.keys()) if everything else devices:
            events += await self._changes_of(superior, told, device_id, now.get(device_id, {}))
        if everything:
            self.offered[superior.id] = len(places)
        await self._notify(link, told.subscription, events)

    async def _changes_of(
        self, superior: Superior, told: _Told, device_id: str, now: dict[int, Place]
    ) -> list[CatalogItem]:
        known = told.known.setdefault(device_id, {})
        events = [event_item(known.pop(number)[0], "DEL") for number in sorted(known.keys() - now.keys())]
        listed = [now[number] for number in sorted(now)]
        for place, item in await asyncio.to_thread(self._directories.items, superior, listed):
            before, mark = known.get(place.no), _mark(item)
            known[place.no] = mark
            if before is None:
                events.append(replace(item, event="ADD"))
            elif before[0] != mark[0]:
                events += [event_item(before[0], "DEL"), replace(item, event="ADD")]
            elif before[2] != mark[2]:
                events.append(replace(item, event="UPDATE"))
            elif before[1] is not mark[1]:
                events.append(event_item(item.device_id, "ON" if mark[1] else "OFF"))
        if not known:
            told.known.pop(device_id, None)
        return events

    async def _notify(self, link: Link, subscription: Incoming, events: list[CatalogItem]) -> None:
        settings, size = link.superior.settings, _page_items(link.superior)
        for start in range(0, len(events), size):
            part = tuple(events[start : start + size])
            notice = CatalogNotify(
                sn=link.next_sn(), device_id=settings.local_id, sum_num=len(part), items=part
            )
            body = encode(notice, settings.written_charset, settings.edition.version)
            await subscription.notify(body)
            self.counters["events"] += len(part)


def _page_items(superior: Superior) -> int:
    return _PAGE_UDP if superior.settings.transport is CascadeTransport.UDP else _PAGE_TCP


def _mark(item: CatalogItem) -> tuple[str, bool, int]:
    """What tells two states of an item apart: its id, whether it is on, and everything else."""
    return item.device_id, item.status == "ON", hash(repr(replace(item, status="")))
