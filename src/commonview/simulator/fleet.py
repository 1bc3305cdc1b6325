"""Several simulated cameras in one process, sharing one file or each drawing its own street."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from commonview.simulator.camera import CameraState, SimulatedCamera
from commonview.simulator.frames import FrameSource
from commonview.simulator.names import camera_name, channel_name
from commonview.simulator.recorder import Recorder, past_day
from commonview.simulator.route import RING_ROAD
from commonview.simulator.settings import (
    CameraSettings,
    Channel,
    Faults,
    Report,
    Server,
    SignallingTransport,
    say_nothing,
)
from commonview.simulator.sources import CodecChoice, SoundChoice, open_painter, open_scene, open_video
from commonview.simulator.voice import Voice
from commonview.wire.gbid import TypeCode, classify, compose, successor
from commonview.wire.version import GbVersion

_PREPARED_SCENES: Final = 32
SUB_SIZE: Final = (352, 288)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """What to simulate. `first_id` names the first device; channels are cameras (type 131) of its domain.

    A `mobile` fleet drives round a ring road. Without `video` every channel draws its own scene of `size`
    pixels at `fps`.
    """

    server: Server
    password: str
    first_id: str = "34020000001320000001"
    count: int = 1
    channels_per_device: int = 1
    name_prefix: str | None = None
    transport: SignallingTransport = "udp"
    local_host: str = "127.0.0.1"
    expires_s: int = 3600
    keepalive_s: float = 60.0
    video: Path | None = None
    codec: CodecChoice = "as-is"
    size: tuple[int, int] = (1280, 720)
    fps: int = 15
    sound: SoundChoice = "none"
    sub: bool = False
    version: GbVersion = GbVersion.V2022
    mobile: bool = False
    tls_ca: Path | None = None

    def __repr__(self) -> str:
        return f"FleetSettings({self.count} cameras from {self.first_id})"


class SimulatedFleet:
    """Cameras that start and stop together. `async with SimulatedFleet(settings) as fleet:`."""

    def __init__(
        self, settings: FleetSettings, *, faults: Faults | None = None, report: Report = say_nothing
    ) -> None:
        self.settings = settings
        self.cameras: list[SimulatedCamera] = []
        self._faults = faults
        self._report = report
        self._sources: list[FrameSource] = []
        self._preparing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the sources and start every camera; registering goes on in the background.

        Raises `SimulatorError` for a file that cannot be used or a missing extra, `ValueError` for an
        identifier that cannot be counted up.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        shared = await self._shared_source()
        for index in range(self.settings.count):
            camera = SimulatedCamera(
                self._camera_settings(index, shared), faults=self._faults, report=self._report
            )
            self.cameras.append(camera)
        for camera in self.cameras:
            await camera.start()
        self._preparing = asyncio.ensure_future(self._prepare())

    async def _prepare(self) -> None:
        """Draw the first scenes while cameras register; the rest are drawn when somebody looks."""
        for source in self._sources[:_PREPARED_SCENES]:
            await asyncio.to_thread(source.prepare)

    async def stop(self) -> None:
        """Stop every camera (BYE, unregister) and the sources."""
        if self._preparing is not None:
            self._preparing.cancel()
            await asyncio.gather(self._preparing, return_exceptions=True)
        await asyncio.gather(*(camera.stop() for camera in self.cameras))
        await asyncio.gather(*(source.close() for source in self._sources))

    async def wait_registered(self, timeout_s: float = 10.0) -> None:
        """Wait until every camera is registered. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout_s):
            for camera in self.cameras:
                await camera.wait_for(CameraState.REGISTERED, timeout_s)

    async def _shared_source(self) -> FrameSource | None:
        if self.settings.video is None:
            return None
        source = await open_video(self.settings.video, self.settings.codec, self._report)
        self._sources.append(source)
        return source

    def _camera_settings(self, index: int, shared: FrameSource | None) -> CameraSettings:
        fleet = self.settings
        device_id = successor(fleet.first_id, index)
        name = camera_name(index, fleet.name_prefix)
        channels = []
        for number in range(fleet.channels_per_device):
            place = index * fleet.channels_per_device + number
            label = channel_name(name, number, fleet.channels_per_device)
            source = shared or self._scene(label, place)
            sub = self._sub_scene(label, place) if fleet.sub else None
            recorder = self._recorder(label, place)
            channels.append(Channel(self._channel_id(place), label, source, recorder, sub=sub))
        return CameraSettings(
            device_id=device_id,
            name=name,
            server=fleet.server,
            password=fleet.password,
            channels=tuple(channels),
            transport=fleet.transport,
            local_host=fleet.local_host,
            expires_s=fleet.expires_s,
            keepalive_s=fleet.keepalive_s,
            version=fleet.version,
            charset=fleet.version.charset,
            route=RING_ROAD if fleet.mobile else None,
            tls_ca=fleet.tls_ca,
            voice=Voice(),
        )

    def _channel_id(self, place: int) -> str:
        first = classify(self.settings.first_id)
        if first.serial is None or first.network is None:
            raise ValueError(f"--first-id {self.settings.first_id!r} does not have 20 digits")
        serial = int(first.serial) + place
        return compose(self.settings.first_id[:10], TypeCode.CAMERA, int(first.network), serial)

    def _recorder(self, name: str, seed: int) -> Recorder | None:
        """A drawn camera has recorded its last day; of a file's past nothing is known."""
        if self.settings.video is not None:
            return None
        return Recorder(past_day(datetime.now(UTC)), open_painter(name, seed=seed, sound=self.settings.sound))

    def _sub_scene(self, name: str, seed: int) -> FrameSource:
        """The same street, small and in H.264 whatever the main stream is, as cameras are set up."""
        source = open_scene(name, size=SUB_SIZE, fps=self.settings.fps, seed=seed, sound=self.settings.sound)
        self._sources.append(source)
        return source

    def _scene(self, name: str, seed: int) -> FrameSource:
        source = open_scene(
            name,
            size=self.settings.size,
            fps=self.settings.fps,
            codec=self.settings.codec,
            seed=seed,
            sound=self.settings.sound,
        )
        self._sources.append(source)
        return source
