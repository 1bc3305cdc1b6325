"""Upgrade, format, restart: only with leave, for the device is not what it was afterwards (9.3, 9.13)."""

from __future__ import annotations

import secrets
from typing import Final

from commonview.conformance.bench import DeviceBench
from commonview.conformance.errors import Skip
from commonview.conformance.registrar import Step
from commonview.conformance.web_desk import WebDesk
from commonview.wire.manscdp import (
    DeviceControl,
    DeviceUpgrade,
    DeviceUpgradeResult,
    FormatSDCard,
    SDCardStatus,
    SDCardStatusQuery,
    TeleBoot,
)
from commonview.wire.version import GbVersion

_REBOOT_S: Final = 240.0
_UPGRADE_S: Final = 300.0


async def destroys(bench: DeviceBench) -> None:
    """Upgrade, format and restart: the device is not what it was afterwards."""
    if not bench.options.allow_destructive:
        raise Skip("needs --allow-destructive", "需要 --allow-destructive")
    if bench.version >= GbVersion.V2022:
        await _formats(bench)
        await _upgrades(bench)
    before = len(bench.station.steps(Step.ACCEPTED))
    bench.restarted_at_s = bench.station.journal.now()
    boot = DeviceControl(sn=bench.station.next_sn(), device_id=bench.station.device_id, command=TeleBoot())
    response = await bench.station.send(boot)
    began = bench.station.journal.now()
    back = await bench.station.until(
        lambda: len(bench.station.steps(Step.ACCEPTED)) > before, min(_REBOOT_S, bench.options.wait_s)
    )
    seconds = bench.station.journal.now() - began
    status = "-" if response is None else str(response.status)
    bench.book.judge(
        "destructive.reboot",
        back,
        f"SIP {status}; {f'back after {seconds:.0f} s' if back else 'did not come back'}",
        f"SIP {status}; {f'{seconds:.0f} 秒后重新注册' if back else '未重新注册'}",
    )


async def _formats(bench: DeviceBench) -> None:
    device = bench.station.device_id
    sn = bench.station.next_sn
    cards = (await bench.ask(SDCardStatusQuery(sn=sn(), device_id=device))).last
    if not isinstance(cards, SDCardStatus) or not cards.items:
        bench.book.skip("destructive.format", "the device has no memory card", "设备没有存储卡")
        return
    number = cards.items[0].number
    response = await bench.station.send(
        DeviceControl(sn=sn(), device_id=device, command=FormatSDCard(number=number))
    )
    after = (await bench.ask(SDCardStatusQuery(sn=sn(), device_id=device))).last
    told = isinstance(after, SDCardStatus) and bool(after.items)
    state = after.items[0].status if isinstance(after, SDCardStatus) and after.items else None
    word = "-" if state is None else state.value
    bench.book.judge(
        "destructive.format",
        response is not None and response.status == 200 and told,
        f"card {number}: {word}",
        f"存储卡 {number}: {word}",
    )


async def _upgrades(bench: DeviceBench) -> None:
    given = bench.options
    if not (given.firmware_url or given.firmware) or bench.info is None:
        bench.book.skip(
            "destructive.upgrade", "needs --firmware or --firmware-url", "需要 --firmware 或 --firmware-url"
        )
        return
    settings = bench.station.settings
    async with WebDesk(settings.host, settings.media_host or settings.host, given.firmware) as desk:
        url = given.firmware_url or desk.firmware_url
        told = await _upgraded(bench, url)
    if given.firmware_url:
        bench.book.skip("destructive.upgrade-fetch", "the package lies elsewhere", "升级包不在测试程序处")
    else:
        bench.book.judge(
            "destructive.upgrade-fetch",
            desk.fetched > 0,
            f"fetched {desk.fetched} times" if desk.fetched else "never fetched",
            f"获取 {desk.fetched} 次" if desk.fetched else "未获取",
        )
    if told is not None:
        whole = bool(told.firmware) if told.ok else told.failed_reason != ""
        word = f"{told.upgrade_result or '-'}, {told.firmware or '-'}, {told.failed_reason or '-'}"
        bench.book.judge("destructive.upgrade-result", whole, word, word)


async def _upgraded(bench: DeviceBench, url: str) -> DeviceUpgradeResult | None:
    """Order it and wait for its result."""
    assert bench.info is not None  # noqa: S101 - looked at by the caller
    session = secrets.token_hex(16)
    command = DeviceUpgrade(
        firmware=bench.info.firmware or "unknown",
        file_url=url,
        manufacturer=bench.info.manufacturer,
        session_id=session,
    )
    order = DeviceControl(sn=bench.station.next_sn(), device_id=bench.station.device_id, command=command)
    if not bench.answered("destructive.upgrade", await bench.ask(order)):
        return None

    def results() -> list[DeviceUpgradeResult]:
        heard = [each.message for each in bench.heard_of(DeviceUpgradeResult)]
        return [
            each for each in heard if isinstance(each, DeviceUpgradeResult) and each.session_id == session
        ]

    await bench.station.until(lambda: bool(results()), _UPGRADE_S)
    told = results()
    bench.book.judge(
        "destructive.upgrade",
        bool(told),
        f"result {told[0].upgrade_result or '-'}" if told else "no result notified",
        f"结果 {told[0].upgrade_result or '-'}" if told else "未通知结果",
    )
    return told[0] if told else None
