"""What a device tells when asked: catalogue, information, status, configuration, the rest."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Final

from commonview.conformance.bench import DeviceBench
from commonview.conformance.heard import Heard
from commonview.wire import manscdp
from commonview.wire.gbid import IdKind, classify, is_region
from commonview.wire.manscdp import (
    Catalog,
    CatalogItem,
    CatalogQuery,
    ConfigDownload,
    ConfigDownloadQuery,
    ConfigType,
    CruiseTrackList,
    CruiseTrackListQuery,
    CruiseTrackQuery,
    DeviceInfo,
    DeviceInfoQuery,
    DeviceStatus,
    DeviceStatusQuery,
    HomePositionQuery,
    Message,
    PresetQuery,
    PtzPositionQuery,
    SDCardStatusQuery,
)
from commonview.wire.manscdp.xml import read_document
from commonview.wire.times import parse_time
from commonview.wire.version import GbVersion

_DEVICES: Final = (IdKind.MAIN_DEVICE, IdKind.PERIPHERAL)
_CLOCK_S: Final = 60.0
_UNKNOWN: Final = (
    b'<?xml version="1.0"?>\r\n<Query>\r\n<CmdType>ConformanceProbe</CmdType>\r\n<SN>%d</SN>\r\n'
    b"<DeviceID>%s</DeviceID>\r\n</Query>\r\n"
)
_LONGEST_CATALOGUE_S: Final = 300.0


async def catalogue(bench: DeviceBench) -> None:
    """Ask for everything and judge the list."""
    station, book = bench.station, bench.book
    query = CatalogQuery(sn=station.next_sn(), device_id=station.device_id)
    answer = await station.ask(query, first_s=max(bench.options.answer_s, 8), most_s=_LONGEST_CATALOGUE_S)
    pages = [each for each in answer.heard if isinstance(each.message, Catalog)]
    bench.answered("catalog.answered", answer)
    if not pages:
        return
    messages = [each.message for each in pages if isinstance(each.message, Catalog)]
    items = [item for each in messages for item in each.items]
    refused = sum(each.refused_items for each in messages)
    told = {each.sum_num for each in messages}
    book.judge(
        "catalog.sum-num",
        told == {len(items) + refused},
        f"SumNum {_told(told)}, {len(items) + refused} items came",
        f"SumNum 为 {_told(told)}, 实到 {len(items) + refused} 项",
        messages=_numbers(pages),
    )
    wrong_num = sum(not _num_right(each) for each in pages)
    book.judge(
        "catalog.num",
        not wrong_num,
        f"{wrong_num} of {len(pages)} messages",
        f"{len(pages)} 条消息中 {wrong_num} 条不符",
        messages=_numbers(pages),
    )
    if len(pages) > 1:
        book.judge(
            "catalog.paging",
            not station.page_came_early,
            f"{len(pages)} pages, {'one came too early' if station.page_came_early else 'one by one'}",
            f"共 {len(pages)} 页, {'有页先于前页应答到达' if station.page_came_early else '逐页发送'}",
            messages=_numbers(pages),
        )
    else:
        book.skip("catalog.paging", "the catalogue came in one message", "目录一条消息发完")
    bench.items = list({each.device_id: each for each in items}.values())
    _judge_items(bench, items, refused, _numbers(pages))
    await _one_channel(bench)


def _told(values: set[int | None]) -> str:
    return "/".join("-" if each is None else str(each) for each in sorted(values, key=lambda one: one or -1))


def _numbers(heard: list[Heard]) -> tuple[int, ...]:
    return tuple(each.number for each in heard[:6])


def _num_right(page: Heard) -> bool:
    """Whether the Num attribute is the number of items; an empty answer has no list (Annex M)."""
    steps = read_document(page.request.body)
    try:
        while True:
            next(steps)
    except StopIteration as done:
        root = done.value[0]
    except manscdp.ManscdpError:
        return False
    listed = next((each for each in root.children if each.name == "DeviceList"), None)
    if listed is None:
        return isinstance(page.message, Catalog) and not page.message.items
    return bool(listed.attributes.get("Num", "").strip() == str(len(listed.children)))


def _judge_items(bench: DeviceBench, items: list[CatalogItem], refused: int, notes: tuple[int, ...]) -> None:
    book = bench.book
    counted = Counter(each.device_id for each in items)
    twice = [name for name, count in counted.items() if count > 1]
    odd = [each for each in counted if not ((len(each) == 20 and each.isdigit()) or is_region(each))]
    book.judge(
        "catalog.item-ids",
        not twice and not odd and not refused,
        f"{len(twice)} twice, {len(odd) + refused} malformed{_example(twice or odd)}",
        f"重复 {len(twice)} 个, 不合规 {len(odd) + refused} 个{_example(twice or odd)}",
        messages=notes,
    )
    devices = [each for each in items if classify(each.device_id).kind in _DEVICES]
    lacking = {each.device_id: _missing(each) for each in devices if _missing(each)}
    first = next(iter(lacking.items()), None)
    shown = "" if first is None else f"; {first[0]}: {', '.join(first[1])}"
    book.judge(
        "catalog.item-fields",
        not lacking,
        f"{len(lacking)} of {len(devices)} devices lack fields{shown}",
        f"{len(devices)} 个设备项中 {len(lacking)} 个缺少字段{shown}",
        messages=notes,
    )
    words = {each.status for each in devices if each.status not in ("ON", "OFF")}
    book.judge(
        "catalog.item-status",
        not words,
        f"other words: {', '.join(sorted(each or 'empty' for each in words)) or 'none'}",
        f"其他取值: {', '.join(sorted(each or '空' for each in words)) or '无'}",
        messages=notes,
    )
    orphans = [
        each.device_id
        for each in devices
        if not each.parent_ids and each.device_id != bench.station.device_id
    ]
    book.judge(
        "catalog.item-parent",
        not orphans,
        f"{len(orphans)} without{_example(orphans)}",
        f"{len(orphans)} 项没有{_example(orphans)}",
        messages=notes,
    )


def _example(ids: list[str]) -> str:
    return f" ({ids[0][:40]})" if ids else ""


def _missing(item: CatalogItem) -> list[str]:
    texts = {
        "Name": item.name,
        "Manufacturer": item.manufacturer,
        "Model": item.model,
        "CivilCode": item.civil_code,
        "Address": item.address,
        "Status": item.status,
    }
    numbers = {"Parental": item.parental, "RegisterWay": item.register_way, "Secrecy": item.secrecy}
    return [tag for tag, text in texts.items() if not text] + [
        tag for tag, one in numbers.items() if one is None
    ]


async def _one_channel(bench: DeviceBench) -> None:
    channel = bench.channel
    if channel == bench.station.device_id:
        bench.book.skip("catalog.channel", "there is no channel beside the device", "除设备自身外没有通道")
        return
    answer = await bench.ask(CatalogQuery(sn=bench.station.next_sn(), device_id=channel))
    items = [item.device_id for each in answer.messages if isinstance(each, Catalog) for item in each.items]
    bench.book.judge(
        "catalog.channel",
        channel in items,
        f"{len(items)} item(s) came for {channel}",
        f"查询 {channel} 得到 {len(items)} 项",
    )


async def information(bench: DeviceBench) -> None:
    """DeviceInfo and DeviceStatus."""
    station, book = bench.station, bench.book
    answer = await bench.ask(DeviceInfoQuery(sn=station.next_sn(), device_id=station.device_id))
    if bench.answered("info.answered", answer) and isinstance(answer.last, DeviceInfo):
        bench.info = told = answer.last
        fields = {
            "Result": told.result,
            "Manufacturer": told.manufacturer,
            "Model": told.model,
            "Firmware": told.firmware,
        }
        _judge_fields(bench, "info.fields", fields)
    answer = await bench.ask(DeviceStatusQuery(sn=station.next_sn(), device_id=station.device_id))
    bench.answered("status.answered", answer)
    status = answer.last
    if not isinstance(status, DeviceStatus):
        return
    _judge_fields(
        bench, "status.fields", {"Result": status.result, "Online": status.online, "Status": status.status}
    )
    moment = parse_time(status.device_time) if status.device_time else None
    if moment is None:
        book.skip("status.time", "no DeviceTime told", "未给出 DeviceTime")
        return
    off = (moment - datetime.now(UTC)).total_seconds()
    book.judge("status.time", abs(off) <= _CLOCK_S, f"{off:+.0f} s off", f"相差 {off:+.0f} 秒")


def _judge_fields(bench: DeviceBench, check_id: str, fields: dict[str, str]) -> None:
    missing = [name for name, value in fields.items() if not value]
    told = ", ".join(f"{name} {value}" for name, value in fields.items() if value)[:200]
    bench.book.judge(
        check_id,
        not missing,
        f"missing: {', '.join(missing)}; {told}" if missing else told,
        f"缺少: {', '.join(missing)}; {told}" if missing else told,
    )


async def every_query(bench: DeviceBench) -> None:
    """Configuration, presets and what is new in 2022."""
    sn, device, channel = bench.station.next_sn, bench.station.device_id, bench.channel
    await configuration(bench)
    asked: list[tuple[str, Message]] = [("query.preset", PresetQuery(sn=sn(), device_id=channel))]
    if bench.version >= GbVersion.V2022:
        asked += [
            ("query.home-position", HomePositionQuery(sn=sn(), device_id=channel)),
            ("query.cruise-list", CruiseTrackListQuery(sn=sn(), device_id=channel)),
            ("query.ptz-position", PtzPositionQuery(sn=sn(), device_id=channel)),
            ("query.sd-card", SDCardStatusQuery(sn=sn(), device_id=device)),
        ]
    for check_id, query in asked:
        answer = await bench.ask(query)
        if bench.answered(check_id, answer) and isinstance(answer.last, CruiseTrackList):
            await _one_track(bench, answer.last)
    body = _UNKNOWN % (sn(), device.encode())
    response = await bench.station.send_body(body, device)
    still = await bench.ask(DeviceStatusQuery(sn=sn(), device_id=device))
    status = "no answer" if response is None else str(response.status)
    bench.station.statuses.pop(-2)  # whatever it says to nonsense is no breach of 9.3.3
    bench.book.judge(
        "query.unknown",
        response is not None and still.status == 200,
        f"answered {status}; afterwards DeviceStatus {still.status or 'no answer'}",
        f"应答 {'无' if response is None else status}; 之后设备状态查询 {still.status or '无应答'}",
    )


async def _one_track(bench: DeviceBench, listed: CruiseTrackList) -> None:
    if not listed.tracks:
        bench.book.skip("query.cruise", "the device has no cruise track", "设备没有巡航轨迹")
        return
    query = CruiseTrackQuery(
        sn=bench.station.next_sn(), device_id=bench.channel, number=listed.tracks[0].number
    )
    bench.answered("query.cruise", await bench.ask(query))


async def configuration(bench: DeviceBench) -> None:
    """Read BasicParam, and quietly every other block of the edition for later."""
    types = [each for each in ConfigType if each.since <= bench.version and "SVAC" not in each.value]
    for kind in types:
        basic = kind is ConfigType.BASIC_PARAM
        device = bench.station.device_id if basic else bench.channel
        query = ConfigDownloadQuery(sn=bench.station.next_sn(), device_id=device, config_types=(kind,))
        if not basic and not bench.options.allow_config:
            continue
        answer = await bench.ask(query)
        for message in answer.messages:
            if isinstance(message, ConfigDownload):
                bench.blocks |= {each.config_type.value: each for each in message.blocks}
        if basic and bench.answered("query.config", answer):
            # Our decoder reads other names for the block as well; the bytes tell what was written (trap 22).
            read = any(re.search(rb"<BasicParam[\s/>]", each.request.body) for each in answer.heard)
            bench.book.judge(
                "query.config",
                read,
                "BasicParam told" if read else "answered without BasicParam",
                "给出 BasicParam" if read else "应答中没有 BasicParam",
            )
