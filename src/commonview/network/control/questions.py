"""What can be asked of a camera or a device beside its catalogue, as plain values (A.2.4, A.2.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from commonview.network.control.editions import require_edition
from commonview.network.control.errors import NotAnswered, RefusedByDevice
from commonview.wire.manscdp import (
    ConfigDownload,
    ConfigDownloadQuery,
    CruiseTrack,
    CruiseTrackList,
    CruiseTrackListQuery,
    CruiseTrackQuery,
    DeviceInfo,
    DeviceInfoQuery,
    DeviceStatus,
    DeviceStatusQuery,
    HomePositionAnswer,
    HomePositionQuery,
    PresetList,
    PresetQuery,
    PtzPosition,
    PtzPositionQuery,
    SDCardStatus,
    SDCardStatusQuery,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from commonview.network.directory import DeviceRecord
    from commonview.network.exchange import Exchange, Items, Reply
    from commonview.wire.manscdp import (
        ConfigBlock,
        ConfigType,
        CruiseTrackName,
        HomePosition,
        Message,
        Preset,
        SDCard,
    )

M = TypeVar("M")


class Questions:
    """Asks one thing at a time and waits for the whole answer.

    Every verb raises `NeedsNewerEdition`, `NotAnswered`, `RefusedByDevice` (Result ERROR) and what
    `Exchange.ask` raises. ``target`` is the id of the device or of a channel of it.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        first_s: float = 10.0,
        quiet_s: float = 3.0,
        on_block: Callable[[DeviceRecord, ConfigBlock], None] = lambda _record, _block: None,
    ) -> None:
        """``on_block`` hears of every block of a configuration that was read."""
        self._exchange = exchange
        self._on_block = on_block
        self._first_s = first_s
        self._quiet_s = quiet_s

    async def presets(self, record: DeviceRecord, target: str) -> dict[str, Preset]:
        """Presets by id. Hikvision sends no SumNum (trap 17): then the list ends by silence."""
        query = PresetQuery(sn=self._exchange.next_sn(), device_id=target)
        reply = await self._ask(
            record,
            query,
            PresetList,
            items=lambda page: [(one.preset_id, one) for one in page.presets],
        )
        return cast("dict[str, Preset]", reply.items)

    async def cruises(self, record: DeviceRecord, target: str) -> dict[str, CruiseTrackName]:
        """Cruise tracks by number."""
        query = CruiseTrackListQuery(sn=self._exchange.next_sn(), device_id=target)
        reply = await self._ask(
            record,
            query,
            CruiseTrackList,
            items=lambda page: [(str(one.number), one) for one in page.tracks],
        )
        return cast("dict[str, CruiseTrackName]", reply.items)

    async def cruise(self, record: DeviceRecord, target: str, number: int) -> CruiseTrack:
        """The points of one cruise track."""
        query = CruiseTrackQuery(sn=self._exchange.next_sn(), device_id=target, number=number)
        return await self._one(record, query, CruiseTrack)

    async def home_position(self, record: DeviceRecord, target: str) -> HomePosition | None:
        """The home position; ``None`` when the device tells none."""
        query = HomePositionQuery(sn=self._exchange.next_sn(), device_id=target)
        return (await self._one(record, query, HomePositionAnswer)).home

    async def position(self, record: DeviceRecord, target: str) -> PtzPosition:
        """Where a dome looks. Raises `RefusedByDevice` also for an answer without any position (trap 24)."""
        query = PtzPositionQuery(sn=self._exchange.next_sn(), device_id=target)
        position = await self._one(record, query, PtzPosition)
        if not position.known:
            raise _refused(record, query, "no position")
        return position

    async def cards(self, record: DeviceRecord, target: str) -> dict[str, SDCard]:
        """Memory cards by number."""
        query = SDCardStatusQuery(sn=self._exchange.next_sn(), device_id=target)
        reply = await self._ask(
            record, query, SDCardStatus, items=lambda page: [(str(one.number), one) for one in page.items]
        )
        return cast("dict[str, SDCard]", reply.items)

    async def status(self, record: DeviceRecord, target: str) -> DeviceStatus:
        """What the device says of itself or of a channel."""
        query = DeviceStatusQuery(sn=self._exchange.next_sn(), device_id=target)
        status = await self._one(record, query, DeviceStatus)
        if status.result.upper() == "ERROR":
            raise _refused(record, query, status.result)
        return status

    async def info(self, record: DeviceRecord, target: str) -> DeviceInfo:
        """Maker, model, firmware."""
        query = DeviceInfoQuery(sn=self._exchange.next_sn(), device_id=target)
        return await self._one(record, query, DeviceInfo)

    async def configuration(
        self, record: DeviceRecord, target: str, types: Iterable[ConfigType]
    ) -> dict[ConfigType, ConfigBlock]:
        """Blocks of the configuration. They may come in several answers with one SN, and some not at all."""
        wanted = tuple(types)
        query = ConfigDownloadQuery(sn=self._exchange.next_sn(), device_id=target, config_types=wanted)
        for one in wanted:
            require_edition(record, one.since, one.value)
        reply = await self._exchange.ask(
            record,
            query,
            expect=ConfigDownload,
            first_s=self._first_s,
            quiet_s=self._quiet_s,
            items=lambda page: [(one.config_type.value, one) for one in page.blocks],
            promised=lambda page: 0 if page.failed and not page.blocks else len(wanted),
        )
        self._require_answer(record, query, reply)
        for block in reply.items.values():
            self._on_block(record, block)
        return {one.config_type: one for one in reply.items.values()}

    # -- asking

    async def _one(self, record: DeviceRecord, query: Message, kind: type[M]) -> M:
        reply = await self._ask(record, query, cast("Any", kind))
        return cast("M", reply.messages[0])

    async def _ask(
        self, record: DeviceRecord, query: Message, kind: type[Any], items: Items | None = None
    ) -> Reply:
        require_edition(record, query.since, query.cmd_type)
        reply = await self._exchange.ask(
            record,
            query,
            expect=kind,
            first_s=self._first_s,
            quiet_s=self._quiet_s,
            items=items,
            promised=lambda page: 0 if page.failed else page.sum_num,
        )
        self._require_answer(record, query, reply)
        return reply

    @staticmethod
    def _require_answer(record: DeviceRecord, query: Message, reply: Reply) -> None:
        if not reply.answered:
            raise NotAnswered(
                f"device {record.id} took {query.cmd_type} and did not answer it",
                device_id=record.id,
                question=query.cmd_type,
            )
        if not reply.items and all(getattr(one, "failed", False) for one in reply.messages):
            raise _refused(record, query, getattr(reply.messages[0], "result", ""))


def _refused(record: DeviceRecord, query: Message, result: str) -> RefusedByDevice:
    return RefusedByDevice(
        f"device {record.id} answered {query.cmd_type} with {result[:32] or 'nothing of use'}",
        device_id=record.id,
        question=query.cmd_type,
        result=result[:32],
    )
