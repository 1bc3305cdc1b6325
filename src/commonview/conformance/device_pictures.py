"""Pictures that the device takes and uploads to a one-time address (GB/T 28181-2022 9.14, A.2.3.2.12)."""

from __future__ import annotations

import secrets
from typing import Final

from commonview.conformance.bench import DeviceBench
from commonview.conformance.errors import Skip
from commonview.conformance.web_desk import WebDesk
from commonview.wire.manscdp import DeviceConfig, SnapShotConfig, UploadSnapShotFinished
from commonview.wire.version import GbVersion

_COUNT: Final = 2
_INTERVAL_S: Final = 1
_GRACE_S: Final = 20.0


async def pictures(bench: DeviceBench) -> None:
    """Ask for two pictures, a second apart; they are counted, not kept. Nothing of 2016."""
    if bench.version < GbVersion.V2022:
        return
    if not bench.options.allow_control:
        raise Skip("needs --allow-control", "需要 --allow-control")
    session = secrets.token_hex(16)
    settings = bench.station.settings
    async with WebDesk(settings.host, settings.media_host or settings.host) as desk:
        block = SnapShotConfig(
            snap_num=_COUNT, interval_s=_INTERVAL_S, upload_url=desk.upload_url, session_id=session
        )
        order = DeviceConfig(sn=bench.station.next_sn(), device_id=bench.channel, blocks=(block,))
        if not bench.answered("snapshot.answered", await bench.ask(order)):
            raise Skip("the order was not accepted", "设备未接受抓拍配置")
        limit = min(_GRACE_S, bench.options.answer_s * 4) + _COUNT * _INTERVAL_S
        told = await _finished(bench, session, limit)
        judge_pictures(bench, desk)
    ids = set() if told is None else set(told.file_ids)
    seen = "no notice" if told is None else f"{len(ids)} ids"
    seen_zh = "无通知" if told is None else f"{len(ids)} 个编码"
    bench.book.judge("snapshot.finished", told is not None, seen, seen_zh)
    if told is not None:
        bench.book.judge("snapshot.ids", len(ids) == desk.pictures, *_both(len(ids), desk.pictures))


def judge_pictures(bench: DeviceBench, desk: WebDesk) -> None:
    """What came to the address."""
    kinds = ", ".join(sorted({f"{one.method} {one.content_type or '-'}" for one in desk.uploads})) or "-"
    bench.book.judge(
        "snapshot.uploaded",
        desk.pictures == _COUNT,
        f"{desk.pictures} of {_COUNT} pictures ({kinds}); {desk.strays} other requests",
        f"收到 {desk.pictures}/{_COUNT} 张 ({kinds}); 其他请求 {desk.strays} 个",
    )


async def _finished(bench: DeviceBench, session: str, limit_s: float) -> UploadSnapShotFinished | None:
    def told() -> UploadSnapShotFinished | None:
        heard = (each.message for each in bench.heard_of(UploadSnapShotFinished))
        return next(
            (one for one in heard if isinstance(one, UploadSnapShotFinished) and one.session_id == session),
            None,
        )

    await bench.station.until(lambda: told() is not None, limit_s)
    return told()


def _both(ids: int, pictures: int) -> tuple[str, str]:
    return f"{ids} ids for {pictures} pictures", f"{ids} 个编码, {pictures} 张图片"
