"""What the scenes stand on: the newer orders with their blocks, and who takes pictures and has firmware."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from commonview.network.control import Order, orders
from commonview.wire.manscdp import ConfigType
from tests.network.harness import Room

FIRMWARE: Final = "/firmware/2.0"

NEWER_BLOCKS: Final[tuple[tuple[Order, ConfigType], ...]] = (
    (
        orders.VideoParameters(
            streams=[
                orders.VideoStream(
                    stream=0,
                    video_format=2,
                    resolution="1280x720",
                    frame_rate=25,
                    bit_rate_type=2,
                    video_bit_rate_kbps=2048,
                )
            ]
        ),
        ConfigType.VIDEO_PARAM_ATTRIBUTE,
    ),
    (
        orders.RecordPlan(
            enabled=True,
            days=[orders.DaySchedule(weekday=1, segments=[orders.TimeSegment(start_s=3600, stop_s=7200)])],
        ),
        ConfigType.VIDEO_RECORD_PLAN,
    ),
    (orders.AlarmRecord(enabled=True, record_s=60, pre_record_s=10), ConfigType.VIDEO_ALARM_RECORD),
    (
        orders.PictureMask(enabled=True, regions=[orders.MaskRegion(left=0, top=0, right=100, bottom=50)]),
        ConfigType.PICTURE_MASK,
    ),
    (orders.FrameMirror(mirror=2), ConfigType.FRAME_MIRROR),
    (orders.AlarmReport(motion_detection=False, field_detection=True), ConfigType.ALARM_REPORT),
    (
        orders.Osd(
            window_length=704,
            window_width=576,
            time_enabled=True,
            time_x=16,
            time_y=16,
            text_enabled=True,
            texts=[orders.OsdText(text="东门 East Gate", x=16, y=500)],
        ),
        ConfigType.OSD_CONFIG,
    ),
)


@asynccontextmanager
async def http_desk(room: Room) -> AsyncIterator[str]:
    """Takes pictures as the API does, and gives out firmware."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
        answer = b"firmware" * 100
        if head.startswith("POST "):
            body, answer = await reader.readexactly(int(fields["content-length"])), b""

            async def pieces() -> AsyncIterator[bytes]:
                yield body

            token = head.partition("/api/device-upload/")[2].partition(" ")[0]
            await room.service.control.snapshots.receive(token, fields["content-type"], pieces())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(answer))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
