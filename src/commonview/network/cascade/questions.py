"""Questions of superiors about shared channels: asked below under the lower id, answered above under theirs.

What a question tells must be shared: recordings and the cards they lie on with recordings, how a camera is
set with control. The address that a device uploads its snapshots to is between it and us: the block that
holds it is not asked for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

from commonview.network.cascade.model import CascadeTransport
from commonview.network.model import DeviceOrigin
from commonview.network.quirks import peer_profile
from commonview.network.user_identity import HEADER, passed_on
from commonview.security import SharedAction
from commonview.wire.manscdp import (
    ConfigDownload,
    ConfigDownloadQuery,
    ConfigType,
    CruiseTrack,
    CruiseTrackList,
    CruiseTrackListQuery,
    CruiseTrackQuery,
    HomePositionAnswer,
    HomePositionQuery,
    Message,
    PresetList,
    PresetQuery,
    PtzPosition,
    PtzPositionQuery,
    RecordInfo,
    RecordInfoQuery,
    SDCardStatus,
    SDCardStatusQuery,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from commonview.network.cascade.link import Link
    from commonview.network.cascade.service import Cascade
    from commonview.network.directory import DeviceRecord
    from commonview.network.exchange import Exchange, Reply
    from commonview.network.model import Channel
    from commonview.network.sip_endpoint import ServerTransaction
    from commonview.wire.sip.message import SipRequest

_RECORDS_UDP: Final = 2
_RECORDS_TCP: Final = 50

Items: TypeAlias = "Callable[[Any], Iterable[tuple[str, Any]]]"


@dataclass(frozen=True, slots=True)
class _Question:
    """How a question is asked below: what answers it, and of a list its items and where they stand."""

    answer: type[Message]
    action: SharedAction
    items: Items | None = None
    list_field: str = ""


_QUESTIONS: Final[dict[type[Message], _Question]] = {
    RecordInfoQuery: _Question(
        RecordInfo,
        SharedAction.RECORDING,
        lambda page: ((f"{one.start_time} {one.end_time} {one.file_path}", one) for one in page.items),
        "items",
    ),
    SDCardStatusQuery: _Question(
        SDCardStatus,
        SharedAction.RECORDING,
        lambda page: ((str(one.number), one) for one in page.items),
        "items",
    ),
    ConfigDownloadQuery: _Question(
        ConfigDownload,
        SharedAction.CONTROL,
        lambda page: ((one.config_type.value, one) for one in page.blocks),
        "blocks",
    ),
    PresetQuery: _Question(
        PresetList,
        SharedAction.CONTROL,
        lambda page: ((one.preset_id, one) for one in page.presets),
        "presets",
    ),
    HomePositionQuery: _Question(HomePositionAnswer, SharedAction.CONTROL),
    CruiseTrackListQuery: _Question(
        CruiseTrackList,
        SharedAction.CONTROL,
        lambda page: ((str(one.number), one) for one in page.tracks),
        "tracks",
    ),
    CruiseTrackQuery: _Question(CruiseTrack, SharedAction.CONTROL),
    PtzPositionQuery: _Question(PtzPosition, SharedAction.CONTROL),
}


class Doorkeeper(Protocol):
    """Who lets superiors ask, and keeps count of what goes on for them."""

    counters: Counter[str]

    def admit(self, link: Link, own_id: str, action: SharedAction) -> tuple[DeviceRecord, Channel] | int:
        """The channel that is meant, or the status that refuses it."""

    def spawn(self, link: Link, work: Coroutine[Any, Any, Any]) -> None:
        """Let something go on for a superior."""


class SuperiorQuestions:
    """Asks below what superiors ask. All methods run on the event loop."""

    def __init__(self, cascade: Cascade, exchange: Exchange, doorkeeper: Doorkeeper) -> None:
        self._cascade = cascade
        self._exchange = exchange
        self._doorkeeper = doorkeeper
        self.counters = doorkeeper.counters
        for kind in _QUESTIONS:
            cascade.messages.enter(kind, self._asked)

    def _asked(self, link: Link, query: Message, transaction: ServerTransaction) -> int:
        question = _QUESTIONS[type(query)]
        found = self._doorkeeper.admit(link, query.device_id, question.action)
        if isinstance(found, int):
            return found
        record = found[0]
        asked = _without_secrets(query)
        if asked is None:
            self.counters["unknown_to_device"] += 1
            self._doorkeeper.spawn(link, self._cascade.say(link, _failed(query)))
            return 200
        if record.origin is not DeviceOrigin.GB28181 or not asked.allowed_for(peer_profile(record).version):
            self.counters["unknown_to_device"] += 1
            return 501
        self.counters["questions"] += 1
        headers = named_below(transaction.request, link, record)
        self._doorkeeper.spawn(link, self._ask_below(link, asked, question, *found, headers))
        return 200

    async def _ask_below(
        self,
        link: Link,
        query: Message,
        question: _Question,
        record: DeviceRecord,
        channel: Channel,
        headers: tuple[tuple[str, str], ...],
    ) -> None:
        below = replace(query, sn=self._exchange.next_sn(), device_id=channel.gb_id, extra=(), repairs=())
        reply = await self._exchange.ask(
            record,
            below,
            expect=question.answer,
            items=question.items,
            promised=None if question.items is None else lambda page: _promised(page, query),
            headers=headers,
        )
        if not reply.answered:
            self.counters["unanswered_below"] += 1
            return
        for answer in self._answers(link, query, question, reply):
            await self._cascade.say(link, answer)

    def _answers(self, link: Link, query: Message, question: _Question, reply: Reply) -> list[Message]:
        """The answer under the superior's SN and id; of a list its pages, with a total that is true."""
        first = cast("Any", reply.messages[0])
        if question.items is None or not reply.items:
            return [upward(first, query)]
        items = [_renamed(one, query.device_id) for one in reply.items.values()]
        udp = link.superior.settings.transport is CascadeTransport.UDP
        size = _RECORDS_UDP if udp else _RECORDS_TCP
        if isinstance(first, ConfigDownload):
            # Several answers may share an SN (A.2.4.8); the blocks that nobody asked for stay here.
            return [replace(upward(first, query), blocks=(one,)) for one in items if _is_asked(one, query)]
        if not isinstance(first, RecordInfo):
            size = len(items)
        head = replace(upward(first, query), sum_num=len(items))
        return [
            replace(head, **{question.list_field: tuple(items[at : at + size])})
            for at in range(0, len(items), size)
        ]


def named_below(request: SipRequest, link: Link, record: DeviceRecord) -> tuple[tuple[str, str], ...]:
    """The user that a superior names, as a platform below is told of him (8.3)."""
    return passed_on(record, link.superior.settings.local_id, request.headers.get(HEADER) or "")


def _without_secrets(query: Message) -> Message | None:
    """What of a question may be asked; None when nothing of it is left."""
    if not isinstance(query, ConfigDownloadQuery):
        return query
    types = tuple(one for one in query.config_types if one is not ConfigType.SNAP_SHOT_CONFIG)
    return replace(query, config_types=types, unknown_types=()) if types else None


def _failed(query: Message) -> ConfigDownload:
    return ConfigDownload(sn=max(1, query.sn), device_id=query.device_id, result="ERROR")


def _promised(page: Any, query: Message) -> int | None:
    if isinstance(query, ConfigDownloadQuery):
        return 0 if page.failed and not page.blocks else len(query.config_types)
    return cast("int | None", page.sum_num)


def _is_asked(block: Any, query: Message) -> bool:
    return isinstance(query, ConfigDownloadQuery) and block.config_type in query.config_types


def upward(answer: Any, asked: Message) -> Any:
    """An answer from below as the superior asked for it: its SN, its id."""
    return replace(answer, sn=max(1, asked.sn), device_id=asked.device_id, extra=(), repairs=())


def _renamed(item: Any, own_id: str) -> Any:
    """An item of a list that says whose it is says so by the superior's id."""
    return replace(item, device_id=own_id) if getattr(item, "device_id", "") else item
