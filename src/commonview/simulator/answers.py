"""What a simulated camera answers to MANSCDP queries; pure: a query in, the answering messages out."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import Final

from commonview.simulator.faults import Fault
from commonview.simulator.inventory import Inventory
from commonview.simulator.settings import CameraSettings, Faults
from commonview.wire.manscdp import (
    Catalog,
    CatalogQuery,
    DeviceInfo,
    DeviceInfoQuery,
    DeviceStatus,
    DeviceStatusQuery,
    Message,
    RecordInfo,
    RecordInfoQuery,
)

_BEIJING: Final = timezone(timedelta(hours=8))


def answers_to(
    query: Message,
    camera: CameraSettings,
    inventory: Inventory,
    *,
    now: datetime,
    streaming: bool,
    faults: Faults,
) -> Iterator[Message]:
    """The messages that answer `query`; none when it is none we know, or asks about another device.

    Made one after the other, for a platform's catalogue is long.
    """
    if not inventory.knows(query.device_id):
        return
    match query:
        case CatalogQuery():
            yield from _catalogue(query, camera, inventory)
        case DeviceInfoQuery():
            yield _device_info(query, camera, sum(1 for _ in inventory.channels()))
        case DeviceStatusQuery():
            yield _device_status(query, now, streaming=streaming)
        case RecordInfoQuery():
            if query.type or Fault.RECORD_TYPE_REQUIRED not in faults.named:
                yield from _recordings(query, camera, inventory, faults.record_items_max)


def _catalogue(query: CatalogQuery, camera: CameraSettings, inventory: Inventory) -> Iterator[Catalog]:
    """Pages of one SN; SumNum is the grand total in each (GB/T 28181-2022 Annex M)."""
    total = inventory.count(query.device_id)
    items = inventory.items(query.device_id)
    for _ in range(max(1, -(-total // camera.page_items))):
        page = tuple(islice(items, camera.page_items))
        yield Catalog(sn=query.sn, device_id=query.device_id, sum_num=total, items=page)


def _recordings(
    query: RecordInfoQuery, camera: CameraSettings, inventory: Inventory, most: int | None
) -> Iterator[RecordInfo]:
    """Pages of what the channel has recorded; with `most`, no more items than that are listed."""
    channel = inventory.find(query.device_id)
    if channel is None or channel.recorder is None:
        yield RecordInfo(sn=query.sn, device_id=query.device_id, sum_num=0)
        return
    listed = 0
    for page in channel.recorder.pages(query, camera.page_items):
        room = len(page.items) if most is None else max(0, most - listed)
        listed += len(page.items)
        if room or not page.items:
            yield replace(page, items=page.items[:room])


def _device_info(query: DeviceInfoQuery, camera: CameraSettings, channels: int) -> DeviceInfo:
    return DeviceInfo(
        sn=query.sn,
        device_id=query.device_id,
        device_name=camera.name,
        manufacturer=camera.manufacturer,
        model=camera.model,
        firmware=camera.firmware,
        channel=channels,
    )


def _device_status(query: DeviceStatusQuery, now: datetime, *, streaming: bool) -> DeviceStatus:
    local = now.astimezone(UTC).astimezone(_BEIJING)  # GB/T 28181-2022 9.10: Beijing time
    return DeviceStatus(
        sn=query.sn,
        device_id=query.device_id,
        encode="ON" if streaming else "OFF",
        record="OFF",
        device_time=local.strftime("%Y-%m-%dT%H:%M:%S"),
    )
