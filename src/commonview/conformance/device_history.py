"""Recordings: the list, playback with its controls, download (GB/T 28181-2022 9.7 to 9.9, Annex B)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from commonview.conformance.bench import DeviceBench
from commonview.conformance.calling import Call, calling, judge_answer, judge_end, judge_media
from commonview.conformance.errors import Skip
from commonview.conformance.stream import parse_packet
from commonview.wire.manscdp import FILE_FINISHED, MediaStatus, RecordInfo, RecordInfoQuery, RecordItem
from commonview.wire.mansrtsp import CONTENT_TYPE as MANSRTSP
from commonview.wire.mansrtsp import MansrtspRequest, Method

_SEARCH: Final = timedelta(days=1)
_PLAYED_S: Final = 120
_SHORT_S: Final = 8
_DOWNLOAD_S: Final = 12
_FINISH_S: Final = 30.0
_SEEK_S: Final = 20
_MEASURE_S: Final = 2.0


async def recordings(bench: DeviceBench) -> None:
    """Ask what was recorded in the last day."""
    station, book = bench.station, bench.book
    now = datetime.now(UTC).replace(microsecond=0)
    query = RecordInfoQuery(
        sn=station.next_sn(), device_id=bench.channel, start_time=now - _SEARCH, end_time=now
    )
    answer = await bench.ask(query)
    bench.answered("record.answered", answer)
    pages = [each for each in answer.messages if isinstance(each, RecordInfo)]
    if not pages:
        return
    items = [item for each in pages for item in each.items]
    told = {each.sum_num for each in pages}
    book.judge(
        "record.sum-num",
        told == {len(items)},
        f"SumNum {'/'.join(map(str, told))}, {len(items)} came",
        f"SumNum 为 {'/'.join(map(str, told))}, 实到 {len(items)} 条",
    )
    if not items:
        book.skip("record.items", "no recording in the last day", "最近一天没有录像")
        return
    bad = [each for each in items if not _sound(each, query)]
    book.judge(
        "record.items",
        not bad,
        f"{len(bad)} of {len(items)} are not",
        f"{len(items)} 条中 {len(bad)} 条不符",
    )
    bench.recordings = [each for each in items if _sound(each, query)]


def _sound(item: RecordItem, query: RecordInfoQuery) -> bool:
    if item.start_time is None or item.end_time is None or not item.device_id:
        return False
    slack = timedelta(hours=24)  # a file that began before may reach in
    ordered = item.start_time < item.end_time
    return ordered and item.end_time > query.start_time and item.start_time < query.end_time + slack


def _stretch(bench: DeviceBench, seconds: int) -> tuple[int, int]:
    """Seconds since 1970 of a stretch that was recorded. Raises `Skip`."""
    for item in bench.recordings:
        if item.start_time is None or item.end_time is None:
            continue
        start, end = int(item.start_time.timestamp()), int(item.end_time.timestamp())
        if end - start >= min(seconds, _SHORT_S):
            return start, min(end, start + seconds)
    raise Skip("no recording to play", "没有可回放的录像")


async def playback(bench: DeviceBench) -> None:
    """Play, pause, resume, speed, seek, end."""
    times = _stretch(bench, _PLAYED_S)
    async with calling(bench, "udp", session="Playback", times=times) as call:
        if not judge_answer(bench, "playback.answer", call):
            raise Skip("the playback was not answered", "回放未成功")
        if await judge_media(bench, "playback.media", call):
            await _steer(bench, call, times)
        await judge_end(bench, "playback.end", call)


async def _info(bench: DeviceBench, call: Call, request: MansrtspRequest) -> int | None:
    """Send one MANSRTSP request; the status, that of the body where it tells one."""
    assert call.dialog is not None  # noqa: S101 - the call is up
    response = await bench.station.inside(
        call.dialog, "INFO", (("Content-Type", MANSRTSP),), request.encode()
    )
    return None if response is None else response.status


async def _pace(call: Call) -> float:
    """How fast the recorded time passes: timestamp seconds a second."""
    collector = call.receiver.collector
    collector.forget()
    await collector.falls_silent(_MEASURE_S + 1, _MEASURE_S)
    packets = [each for each in (parse_packet(at, data) for at, data in collector.packets) if each]
    if len(packets) < 2:
        return 0.0
    units = (packets[-1].timestamp - packets[0].timestamp) % (1 << 32)
    if units > 1 << 31:
        units = (1 << 32) - units
    return units / 90_000 / max(0.2, packets[-1].at_s - packets[0].at_s)


async def _steer(bench: DeviceBench, call: Call, times: tuple[int, int]) -> None:
    collector = call.receiver.collector
    status = await _info(bench, call, MansrtspRequest(method=Method.PAUSE, cseq=1, pause_now=True))
    silent = await collector.falls_silent(1.0, 4.0)
    _judged(
        bench,
        "playback.pause",
        status,
        silent,
        ("the stream stopped", "the stream goes on"),
        ("码流已停", "码流未停"),
    )
    status = await _info(bench, call, MansrtspRequest(method=Method.PLAY, cseq=2, range_now=True))
    goes = await collector.arrives(4.0)
    _judged(
        bench, "playback.resume", status, goes, ("it goes on", "nothing more came"), ("码流继续", "没有码流")
    )
    normal = await _amount(call)
    status = await _info(bench, call, MansrtspRequest(method=Method.PLAY, cseq=3, scale=2.0))
    await asyncio.sleep(0.5)
    fast, pace = await _amount(call), await _pace(call)
    faster = fast > 1.4 * normal or pace > 1.4
    en = (
        f"{fast / max(normal, 1):.1f} times the packets",
        f"only {fast / max(normal, 1):.1f} times the packets",
    )
    zh = (f"包数为 {fast / max(normal, 1):.1f} 倍", f"包数仅为 {fast / max(normal, 1):.1f} 倍")
    _judged(bench, "playback.scale", status, faster, en, zh)
    await _info(bench, call, MansrtspRequest(method=Method.PLAY, cseq=4, scale=1.0))
    start = min(_SEEK_S, max(1, (times[1] - times[0]) // 2))
    status = await _info(bench, call, MansrtspRequest(method=Method.PLAY, cseq=5, range_start_s=float(start)))
    goes = await collector.arrives(4.0)
    _judged(
        bench, "playback.seek", status, goes, ("it goes on", "nothing more came"), ("码流继续", "没有码流")
    )
    left = times[1] - times[0]
    if left <= 2 * _PLAYED_S:
        began = bench.station.journal.now()
        near_end = float(max(0, left - 3))
        await _info(bench, call, MansrtspRequest(method=Method.PLAY, cseq=6, range_start_s=near_end))
        await _finished(bench, "playback.finished", call, began)
    collector.forget()


async def _amount(call: Call) -> int:
    before = call.receiver.collector.total
    await asyncio.sleep(_MEASURE_S)
    return call.receiver.collector.total - before


def _judged(
    bench: DeviceBench,
    check_id: str,
    status: int | None,
    done: bool,
    en: tuple[str, str],
    zh: tuple[str, str],
) -> None:
    shown = "no answer" if status is None else str(status)
    bench.book.judge(
        check_id,
        status == 200 and done,
        f"INFO {shown}; {en[0] if done else en[1]}",
        f"INFO {'无应答' if status is None else shown}; {zh[0] if done else zh[1]}",
    )


async def _finished(bench: DeviceBench, check_id: str, call: Call, began: float) -> None:
    """MediaStatus 121 since `began`, inside the call: outside it nobody knows which one it means."""
    call_id = "" if call.dialog is None else call.dialog.call_id

    def told() -> list[bool]:
        return [
            each.request.headers.get("Call-ID") == call_id
            for each in bench.heard_of(MediaStatus)
            if each.at_s >= began
            and isinstance(each.message, MediaStatus)
            and each.message.notify_type == FILE_FINISHED
        ]

    await bench.station.until(lambda: bool(told()), _FINISH_S)
    found = told()
    bench.book.judge(
        check_id,
        bool(found) and any(found),
        ("inside the call" if any(found) else "outside the call")
        if found
        else f"not told within {_FINISH_S:g} s",
        ("在会话内" if any(found) else "在会话外") if found else f"{_FINISH_S:g} 秒内未通知",
    )


async def download(bench: DeviceBench) -> None:
    """Fetch a short stretch at four times the speed."""
    times = _stretch(bench, _DOWNLOAD_S)
    began = bench.station.journal.now()
    async with calling(bench, "udp", session="Download", times=times, download_speed=4) as call:
        if not judge_answer(bench, "download.answer", call):
            raise Skip("the download was not answered", "下载未成功")
        size = call.answer.file_size_bytes if call.answer is not None else None
        bench.book.judge(
            "download.file-size",
            bool(size),
            f"filesize {size if size is not None else 'absent'}",
            f"filesize {size if size is not None else '缺失'}",
        )
        came = await call.receiver.collector.wait(1, 10.0)
        await _finished(bench, "download.finished", call, began)
        total = call.receiver.collector.total
        bench.book.judge("download.media", came, f"{total} packets", f"{total} 个包")
