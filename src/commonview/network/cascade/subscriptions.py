"""What superiors subscribed to: the catalogue, alarms and positions of what is shared (9.11, Annex N)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from commonview.network.registration import user_of
from commonview.wire.manscdp import (
    AlarmQuery,
    CatalogQuery,
    ManscdpError,
    Message,
    MobilePositionQuery,
    decode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from commonview.network.cascade.catalogue import CatalogueUp
    from commonview.network.cascade.link import Link
    from commonview.network.cascade.service import Cascade
    from commonview.network.sip_endpoint import ServerTransaction
    from commonview.network.subscription_server import Incoming
    from commonview.wire.sip.subscription import EventType

log = logging.getLogger(__name__)


class UpwardKind(StrEnum):
    """What a superior can subscribe to."""

    CATALOGUE = "catalogue"
    ALARM = "alarm"
    MOBILE_POSITION = "mobile_position"


_KINDS: dict[type[Message], UpwardKind] = {
    CatalogQuery: UpwardKind.CATALOGUE,
    AlarmQuery: UpwardKind.ALARM,
    MobilePositionQuery: UpwardKind.MOBILE_POSITION,
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
        if self._cascade.find(transaction) is None:
            return None
        return 200 if _read(transaction.request.body, event) is not None else 489

    def on_subscribed(self, subscription: Incoming) -> None:
        """See `SubscriptionDesk.on_subscribed`."""
        link = self._link_of(subscription)
        query = _read(subscription.body, subscription.event)
        kind = None if query is None else _KINDS.get(type(query))
        if link is None or query is None or kind is None:
            return
        self._wanted[id(subscription)] = Wanted(link.superior.id, kind, query, subscription)
        if kind is UpwardKind.CATALOGUE and self._catalogue.subscribed(link, subscription):
            self._spawn(self._catalogue.tell(link, subscription))

    def on_ended(self, subscription: Incoming) -> None:
        """See `SubscriptionDesk.on_ended`."""
        ended = self._wanted.pop(id(subscription), None)
        if ended is not None:
            self._catalogue.unsubscribed(ended.superior_id, subscription)

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
