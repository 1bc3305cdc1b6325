"""A tester with a simulated camera in front of it, over real sockets."""

from __future__ import annotations

import asyncio
import atexit
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from commonview.conformance import DeviceOptions, Finding, Report, Station, StationSettings, examine_device
from commonview.network.sip_tls import server_context
from commonview.simulator import (
    CameraSettings,
    Channel,
    Faults,
    Recorder,
    Segment,
    Server,
    SimulatedCamera,
    StillPainter,
)
from commonview.wire.version import GbVersion
from tests.network.harness import StillSource
from tests.network.test_sip_tls import certificate

SERVER_ID = "34020000002000000001"
DOMAIN = "3402000000"
DEVICE = "34020000001320000001"
PASSWORD = "correct horse"
PATIENT = DeviceOptions(
    wait_s=10, answer_s=1.5, keepalive_s=8, watch_s=1.2, allow_control=True, allow_config=True
)


@cache
def papers() -> tuple[Path, Path]:
    """The tester's certificate and key, made once."""
    folder = tempfile.TemporaryDirectory(prefix="commonview-tests-")
    atexit.register(folder.cleanup)
    return certificate(Path(folder.name), "tester")


class Photographed(StillSource):
    """A still that can be photographed."""

    def picture(self) -> bytes:
        return b"\xff\xd8\xff\xe0" + bytes(500) + b"\xff\xd9"

    def want_key(self) -> None:
        pass


@dataclass(frozen=True)
class Misbehaviour:
    """How the camera differs from a right one."""

    faults: Faults = field(default_factory=Faults)
    settings: tuple[tuple[str, object], ...] = ()


RIGHT = Misbehaviour()


def camera_at(port: int, transport: str, version: GbVersion, behaviour: Misbehaviour) -> CameraSettings:
    """A camera of six channels with two recorded minutes, pointed at the tester."""
    now = datetime.now(UTC).replace(microsecond=0)
    recorder = Recorder(
        (Segment(now - timedelta(hours=2), now - timedelta(hours=2) + timedelta(seconds=60)),
         Segment(now - timedelta(hours=1), now - timedelta(hours=1) + timedelta(seconds=60))),
        StillPainter(),
    )  # fmt: skip
    settings = CameraSettings(
        device_id=DEVICE,
        name="东门 East Gate",
        server=Server(host="127.0.0.1", port=port, server_id=SERVER_ID, domain=DOMAIN),
        password=PASSWORD,
        channels=tuple(
            Channel(f"3402000000131000000{number}", f"东门 {number}", Photographed(), recorder)
            for number in range(1, 7)
        ),
        transport=transport,  # type: ignore[arg-type]  # one of the three
        tls_ca=papers()[0],
        keepalive_s=1.0,
        version=version,
        charset=version.charset,
        retry_min_s=0.2,
        retry_max_s=0.3,
        reboot_s=0.3,
        upgrade_s=0.1,
    )
    return replace(settings, **dict(behaviour.settings))  # type: ignore[arg-type]


async def examined(
    *,
    transport: str = "udp",
    version: GbVersion = GbVersion.V2022,
    behaviour: Misbehaviour = RIGHT,
    only: Sequence[str] = (),
    options: DeviceOptions = PATIENT,
    camera_transport: str | None = None,
) -> Report:
    """One run of the tester against one camera."""
    cameras: list[SimulatedCamera] = []
    starting: list[asyncio.Task[None]] = []

    def ready(station: Station) -> None:
        port = station.tls_port if transport == "tls" else station.port
        settings = camera_at(port, camera_transport or transport, version, behaviour)
        cameras.append(SimulatedCamera(settings, faults=behaviour.faults))
        starting.append(asyncio.ensure_future(cameras[0].start()))

    settings = StationSettings(
        server_id=SERVER_ID,
        domain=DOMAIN,
        password=PASSWORD,
        port=0,
        transport=transport,
        version=version,
        tls=server_context(*papers()) if transport == "tls" else None,
    )
    try:
        return await examine_device(settings, replace(options, only=tuple(only)), ready=ready)
    finally:
        await asyncio.gather(*starting)
        await cameras[0].stop(unregister=False)


def found(report: Report, check_id: str) -> Finding:
    return next(each for each in report.findings if each.check.id == check_id)


def failed(report: Report) -> set[str]:
    return {each.check.id for each in report.findings if each.verdict.value == "failed"}
