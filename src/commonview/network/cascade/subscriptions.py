"""What superiors subscribed to: the catalogue, alarms and positions of what is shared (9.11, Annex N).

Alarms and positions are told as this house hears of them. Where a dome looks is asked below for as long as a
superior wants to know it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from commonview.network.events.model import SubscriptionKind
from commonview.network.model import DeviceOrigin
from commonview.network.quirks import peer_profile
from commonview.network.registration import user_of
from commonview.security import SharedAction
from commonview.wire.manscdp import (
    AlarmQuery,
    CatalogQuery,
    ManscdpError,
    Message,
    MobilePositionQuery,
    PtzPositionQuery,
    decode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from commonview.network.cascade.catalogue import CatalogueUp
    from commonview.network.cascade.link import Link
    from commonview.network.cascade.service import Cascade
    from commonview.network.directory import DeviceRecord
    from commonview.network.sip_endpoint import ServerTransaction
    from commonview.network.subscription_server import Incoming
    from commonview.wire.sip.subscription import EventType

log = logging.getLogger(__name__)


class UpwardKind(StrEnum):
    """What a superior can subscribe to."""

    CATALOGUE = "catalogue"
    ALARM = "alarm"
    MOBILE_POSITION = "mobile_position"
    PTZ_POSITION = "ptz_position"


_KINDS: dict[type[Message], UpwardKind] = {
    CatalogQuery: UpwardKind.CATALOGUE,
    AlarmQuery: UpwardKind.ALARM,
    MobilePositionQuery: UpwardKind.MOBILE_POSITION,
    PtzPositionQuery: UpwardKind.PTZ_POSITION,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A subscription of a superior: its kind, and the question that came with it."""

    superior_id: str
    kind: UpwardKind
    query: Message
    incoming: Incoming


class SuperiorSubscriptions:
    """Serves SUBSCRIBE of superiors; see `subscription_server.SubscriptionDesk`."""

    def __init__(
        self,
        cascade: Cascade,
        catalogue: CatalogueUp,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._cascade = cascade
        self._catalogue = catalogue
        self._spawn = spawn
        self._wanted: dict[int, Wanted] = {}
        self._borrowed: dict[int, Callable[[], None]] = {}
        self.borrow: Callable[[DeviceRecord, SubscriptionKind], Callable[[], None]] | None = None
        """Subscribes below to what a superior wants and nobody here does; returns how to end that."""

    def kinds(self, superior_id: str) -> tuple[str, ...]:
        """What a superior is subscribed to."""
        return tuple(sorted({one.kind.value for one in self.of(superior_id)}))

    def of(self, superior_id: str, kind: UpwardKind | None = None) -> list[Wanted]:
        """The running subscriptions of a superior."""
        return [
            one
            for one in self._wanted.values()
            if one.superior_id == superior_id and kind in (None, one.kind) and not one.incoming.ended
        ]

    def all(self, kind: UpwardKind) -> list[Wanted]:
        """Every running subscription of this kind."""
        return [one for one in self._wanted.values() if one.kind is kind and not one.incoming.ended]

    async def end(self, superior_id: str) -> None:
        """Tell a superior that its subscriptions are over."""
        for one in self.of(superior_id):
            await one.incoming.end()

    # -- the desk

    def judge(self, transaction: ServerTransaction, event: EventType) -> int | None:
        """See `SubscriptionDesk.judge`. Without a sharing there is nothing to tell, which may change."""
        link = self._cascade.find(transaction)
        if link is None:
            return None
        query = _read(transaction.request.body, event)
        if query is None or not query.allowed_for(link.superior.settings.edition.version):
            return 489
        if isinstance(query, PtzPositionQuery):
            found = self._dome(link, query)
            return found if isinstance(found, int) else 200
        return 200

    def on_subscribed(self, subscription: Incoming) -> None:
        """See `SubscriptionDesk.on_subscribed`."""
        link = self._link_of(subscription)
        query = _read(subscription.body, subscription.event)
        kind = None if query is None else _KINDS.get(type(query))
        if link is None or query is None or kind is None:
            return
        self._wanted[id(subscription)] = Wanted(link.superior.id, kind, query, subscription)
        if isinstance(query, PtzPositionQuery):
            self._ask_below(link, query, id(subscription))
        if kind is UpwardKind.CATALOGUE and self._catalogue.subscribed(link, subscription):
            self._spawn(self._catalogue.tell(link, subscription))

    def on_ended(self, subscription: Incoming) -> None:
        """See `SubscriptionDesk.on_ended`."""
        ended = self._wanted.pop(id(subscription), None)
        if ended is not None:
            self._catalogue.unsubscribed(ended.superior_id, subscription)
        give_back = self._borrowed.pop(id(subscription), None)
        if give_back is not None:
            give_back()

    def _dome(self, link: Link, query: PtzPositionQuery) -> DeviceRecord | int | None:
        """Whose camera is meant, or the status that refuses it: where it looks is for who may steer it.

        None for the platform itself: then what is known of every shared dome is told.
        """
        if query.device_id == link.superior.settings.local_id:
            return None
        found = self._cascade.offers.meant(link, query.device_id)
        if found is None:
            return 404
        record = found[0]
        if self._cascade.shares.covering(link.superior, found[1], SharedAction.CONTROL) is None:
            return 403
        if record.origin is not DeviceOrigin.GB28181 or not query.allowed_for(peer_profile(record).version):
            return 501  # as to the question: it would never be answered
        return record

    def _ask_below(self, link: Link, query: PtzPositionQuery, number: int) -> None:
        record = self._dome(link, query)
        if record is None or isinstance(record, int) or self.borrow is None:
            return
        if number not in self._borrowed:
            self._borrowed[number] = self.borrow(record, SubscriptionKind.PTZ_POSITION)

    def _link_of(self, subscription: Incoming) -> Link | None:
        dialog = subscription.dialog
        target = None if dialog is None else user_of(dialog.local)
        return self._cascade.find_at(subscription.subscriber, target, subscription.flow)


def _read(body: bytes, event: EventType) -> Message | None:
    """The question of a SUBSCRIBE; one without a readable body asks for what its Event says."""
    if body:
        try:
            message = decode(body)
        except ManscdpError:
            return None
        return message if isinstance(message, Message) and type(message) in _KINDS else None
    return CatalogQuery(sn=1, device_id="0") if event.same_package("Catalog") else None
