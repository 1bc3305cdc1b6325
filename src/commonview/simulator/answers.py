"""What a simulated camera answers to MANSCDP queries; pure: a query in, the answering messages out."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from commonview.simulator.settings import CameraSettings, Channel
from commonview.wire.gbid import classify
from commonview.wire.manscdp import (
    Catalog,
    CatalogItem,
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
    *,
    now: datetime,
    streaming: bool,
    record_items_max: int | None = None,
) -> list[Message]:
    """The messages that answer `query`; empty when it is none we know, or asks about another device."""
    known = {camera.device_id, *(channel.channel_id for channel in camera.channels)}
    if query.device_id not in known:
        return []
    match query:
        case CatalogQuery():
            return list(_catalogue(query, camera))
        case DeviceInfoQuery():
            return [_device_info(query, camera)]
        case DeviceStatusQuery():
            return [_device_status(query, now, streaming=streaming)]
        case RecordInfoQuery():
            return list(_recordings(query, camera, record_items_max))
        case _:
            return []


def _catalogue(query: CatalogQuery, camera: CameraSettings) -> Iterable[Catalog]:
    """Pages of one SN; SumNum is the grand total in each (GB/T 28181-2022 Annex M)."""
    items = [
        _item(channel, camera)
        for channel in camera.channels
        if query.device_id in {camera.device_id, channel.channel_id}
    ]
    items += [_speaker(speaker_id, camera) for speaker_id in camera.speakers]
    size = camera.page_items
    for at in range(0, len(items), size) if items else (0,):
        yield Catalog(
            sn=query.sn,
            device_id=query.device_id,
            sum_num=len(items),
            items=tuple(items[at : at + size]),
        )


def _recordings(query: RecordInfoQuery, camera: CameraSettings, most: int | None) -> Iterable[RecordInfo]:
    """Pages of what the channel has recorded; with `most`, no more items than that are listed."""
    recorder = next((one.recorder for one in camera.channels if one.channel_id == query.device_id), None)
    if recorder is None:
        yield RecordInfo(sn=query.sn, device_id=query.device_id, sum_num=0)
        return
    listed = 0
    for page in recorder.pages(query, camera.page_items):
        room = len(page.items) if most is None else max(0, most - listed)
        listed += len(page.items)
        if room or not page.items:
            yield replace(page, items=page.items[:room])


def _item(channel: Channel, camera: CameraSettings) -> CatalogItem:
    return CatalogItem(
        device_id=channel.channel_id,
        name=channel.name,
        manufacturer=camera.manufacturer,
        model=camera.model,
        civil_code=classify(channel.channel_id).civil_code or camera.server.domain[:6],
        address="Simulated",
        parental=False,
        parent_ids=(camera.device_id,),
        register_way=1,
        secrecy=0,
        status="ON",
    )


def _speaker(speaker_id: str, camera: CameraSettings) -> CatalogItem:
    """A loudspeaker: a child of type 137 of the main device (9.12)."""
    return CatalogItem(
        device_id=speaker_id,
        name="loudspeaker",
        manufacturer=camera.manufacturer,
        model=camera.model,
        civil_code=classify(speaker_id).civil_code or camera.server.domain[:6],
        address="Simulated",
        parental=False,
        parent_ids=(camera.device_id,),
        register_way=1,
        secrecy=0,
        status="ON",
    )


def _device_info(query: DeviceInfoQuery, camera: CameraSettings) -> DeviceInfo:
    return DeviceInfo(
        sn=query.sn,
        device_id=query.device_id,
        device_name=camera.name,
        manufacturer=camera.manufacturer,
        model=camera.model,
        firmware=camera.firmware,
        channel=len(camera.channels),
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
