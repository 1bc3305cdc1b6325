"""One run against a device: every procedure in order, each bounded, the book filled in any case."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from commonview import __version__
from commonview.conformance.bench import DeviceBench, DeviceOptions, Procedure
from commonview.conformance.book import Book
from commonview.conformance.checks_device import DEVICE_CHECKS
from commonview.conformance.device_control import controls, settings
from commonview.conformance.device_destruction import destroys
from commonview.conformance.device_history import download, playback, recordings
from commonview.conformance.device_joining import judge_every_message, keeps_alive, leaves, manners, registers
from commonview.conformance.device_live import live_over, other_calls
from commonview.conformance.device_pictures import pictures
from commonview.conformance.device_queries import catalogue, every_query, information
from commonview.conformance.device_subscribing import subscriptions
from commonview.conformance.device_voice import broadcast
from commonview.conformance.errors import ConformanceError, Skip
from commonview.conformance.journal import Journal
from commonview.conformance.model import Peer, Report, Role, Text
from commonview.conformance.station import Station, StationSettings
from commonview.wire.version import HEADER

_log = logging.getLogger(__name__)

_WITHOUT_CHANNEL: Final = frozenset({"register", "sip", "info", "status", "keepalive", "xml"})

Progress = Callable[[int, int, Text], None]
"""Called with how many procedures are done, of how many, and what runs now."""

PROCEDURES: Final = (
    Procedure(Text("Registration", "注册"), ("register.",), registers, 3600),
    Procedure(Text("SIP manners", "SIP 基本行为"), ("sip.options", "sip.unknown-dialog"), manners),
    Procedure(Text("Catalogue", "目录"), ("catalog.",), catalogue, 360),
    Procedure(Text("Information and status", "设备信息与状态"), ("info.", "status."), information),
    Procedure(Text("Every query", "全部查询"), ("query.",), every_query, 240),
    Procedure(Text("Live over UDP", "UDP 实时点播"), ("live.udp.", "sdp.", "rtp.", "ps."), live_over("udp")),
    Procedure(
        Text("Live, TCP passive", "TCP 被动实时点播"), ("live.tcp-passive.",), live_over("tcp-passive")
    ),
    Procedure(Text("Live, TCP active", "TCP 主动实时点播"), ("live.tcp-active.",), live_over("tcp-active")),
    Procedure(Text("Other calls", "其他呼叫"), ("live.",), other_calls),
    Procedure(Text("Recordings", "录像检索"), ("record.",), recordings),
    Procedure(Text("Playback", "回放"), ("playback.",), playback, 180),
    Procedure(Text("Download", "下载"), ("download.",), download),
    Procedure(Text("Subscriptions", "订阅"), ("subscribe.",), subscriptions),
    Procedure(Text("Broadcast", "语音广播"), ("voice.",), broadcast),
    Procedure(Text("Control", "控制"), ("control.",), controls, 180),
    Procedure(Text("Configuration", "配置"), ("config.",), settings, 180),
    Procedure(Text("Snapshots", "图像抓拍"), ("snapshot.",), pictures),
    Procedure(Text("Upgrade, format, restart", "升级、格式化、重启"), ("destructive.",), destroys, 700),
    Procedure(Text("Keep-alives", "保活"), ("keepalive.",), keeps_alive, 3600),
    Procedure(Text("Refresh and leaving", "刷新与注销"), ("register.",), leaves, 3600),
)


async def examine_device(
    settings: StationSettings,
    options: DeviceOptions | None = None,
    *,
    progress: Progress | None = None,
    ready: Callable[[Station], None] | None = None,
    stop: asyncio.Event | None = None,
    procedures: Sequence[Procedure] = PROCEDURES,
) -> Report:
    """Wait for a device and put it to the test; returns the report, also of a run that was stopped.

    `ready` is told when the tester listens. `stop` ends the run after what was judged so far. Raises
    `ConformanceError` when the tester cannot listen.
    """
    options = options or DeviceOptions()
    journal = Journal()
    book = Book(DEVICE_CHECKS, settings.version, journal)
    began = datetime.now(UTC)
    stop = stop or asyncio.Event()
    async with Station(settings, journal) as station:
        if ready is not None:
            ready(station)
        bench = DeviceBench(station, book, options)
        work = asyncio.ensure_future(_everything(bench, procedures, progress))
        halt = asyncio.ensure_future(stop.wait())
        await asyncio.wait((work, halt), return_when=asyncio.FIRST_COMPLETED)
        interrupted = not work.done()
        halt.cancel()
        if interrupted:
            work.cancel()
        await asyncio.gather(work, halt, return_exceptions=True)
        _rethrow(work)
        book.begin()
        judge_every_message(bench)
        return Report(
            role=Role.DEVICE,
            version=settings.version,
            transport=settings.transport,
            peer=_peer(bench),
            program=f"Commonview {__version__}",
            started_at=began,
            ended_at=datetime.now(UTC),
            interrupted=interrupted,
            findings=book.findings(),
            messages=tuple(journal.notes),
            messages_left_out=journal.left_out,
        )


def _rethrow(work: asyncio.Future[None]) -> None:
    if work.done() and not work.cancelled() and (error := work.exception()) is not None:
        raise ConformanceError(f"the run broke off: {error}") from error


async def _everything(bench: DeviceBench, procedures: Sequence[Procedure], progress: Progress | None) -> None:
    for number, procedure in enumerate(procedures):
        if progress is not None:
            progress(number, len(procedures), procedure.title)
        if number and not _chosen(procedure, bench.options.only):
            continue
        await run_procedure(bench, procedure)
        if number == 0 and bench.station.registrar.registered is None:
            for name in bench.book.checks:
                bench.book.skip(name, "the device did not register", "设备未能注册")
            break
    if progress is not None:
        progress(len(procedures), len(procedures), Text("done", "完成"))


def _chosen(procedure: Procedure, only: tuple[str, ...]) -> bool:
    """Whether somebody wants it. What calls or asks a channel needs the catalogue first."""
    groups = {each.partition(".")[0] for each in procedure.checks}
    needs_channel = not set(only) <= _WITHOUT_CHANNEL
    return not only or bool(groups & set(only)) or ("catalog" in groups and needs_channel)


async def run_procedure(bench: DeviceBench, procedure: Procedure) -> None:
    """Run one; what it leaves open is skipped with the reason. A fault of ours ends nothing but itself."""
    bench.book.begin()
    reason = Text("not reached", "未进行到")
    try:
        async with asyncio.timeout(procedure.limit_s):
            await procedure.run(bench)
    except Skip as skip:
        reason = Text(skip.en, skip.zh)
    except TimeoutError:
        limit = procedure.limit_s
        reason = Text(f"took longer than {limit:g} s", f"超过 {limit:g} 秒")
    except Exception as error:  # noqa: BLE001 - the other checks go on, and the report says what happened
        _log.exception("procedure %s", procedure.title.en)
        reason = Text(f"the tester failed: {type(error).__name__}", f"测试程序出错: {type(error).__name__}")
    if procedure.title.en in _LEAVES_OPEN and reason.en == "not reached":
        return
    for name in bench.book.checks:
        if any(name == each or (each.endswith(".") and name.startswith(each)) for each in procedure.checks):
            bench.book.skip(name, reason.en, reason.zh)


_LEAVES_OPEN: Final = frozenset({"Registration", "Live over UDP"})
"""Others judge the rest of their groups later."""


def _peer(bench: DeviceBench) -> Peer:
    registered = next((each for each in reversed(bench.station.registrar.attempts)), None)
    info = bench.info
    if registered is None:
        return Peer(id=bench.station.settings.target or "")
    headers = registered.request.headers
    return Peer(
        id=registered.user,
        address=f"{registered.flow.peer[0]}:{registered.flow.peer[1]}",
        manufacturer="" if info is None else info.manufacturer,
        model="" if info is None else info.model,
        firmware="" if info is None else info.firmware,
        user_agent=headers.get("User-Agent") or "",
        declared_version=headers.get(HEADER) or "",
    )
