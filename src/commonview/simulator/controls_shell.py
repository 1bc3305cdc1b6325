"""What control sets going in a simulated camera: pictures to upload, upgrades, key frames, restarts."""

import asyncio
import http.client
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, runtime_checkable
from urllib.parse import urlsplit

from commonview.simulator import firmware
from commonview.simulator.controls import (
    ERROR,
    OK,
    Controls,
    Effect,
    KeyFrame,
    Restart,
    TakePictures,
    Upgrade,
)
from commonview.simulator.controls_head import Look
from commonview.simulator.inventory import Inventory
from commonview.simulator.settings import Report
from commonview.wire.manscdp import DeviceUpgrade, DeviceUpgradeResult, Message, UploadSnapShotFinished
from commonview.wire.times import BEIJING

_UPLOAD_TIMEOUT_S: Final = 10.0
_TURN_EVERY_S: Final = 0.1
_IMAGE_CODE: Final = "02"


@runtime_checkable
class PictureSource(Protocol):
    """A source that can be asked for a still and for a key frame."""

    def picture(self) -> bytes:
        """A JPEG of this moment; blocks, so call it in a thread."""
        ...

    def want_key(self) -> None:
        """Make the next picture of the streams a key frame."""
        ...


@runtime_checkable
class TurnableSource(Protocol):
    """A source whose view can be turned."""

    def look_at(self, look: Look) -> None:
        """Look there from the next picture on."""
        ...


@dataclass(slots=True)
class ControlsShell:
    """Carries effects out. `send` sends a MANSCDP message, `restart` lets the camera go and come back."""

    controls: Controls
    inventory: Inventory
    send: Callable[[Message], Awaitable[None]]
    next_sn: Callable[[], int]
    restart: Callable[[], Awaitable[None]]
    now: Callable[[], datetime]
    say: Report
    upgrade_failure: Callable[[], str | None]
    upgrade_s: float = 1.0
    _turning: set[str] = field(default_factory=set)

    async def carry_out(self, effect: Effect) -> None:
        """Do what one effect asks for, to its end."""
        match effect:
            case Restart():
                self.say("restarts because it was told to")
                await self.restart()
            case KeyFrame(channel_id):
                source = self._source(channel_id)
                if isinstance(source, PictureSource):
                    source.want_key()
            case TakePictures():
                await self._take_pictures(effect)
            case Upgrade(command):
                await self._upgrade(command)

    async def _upgrade(self, command: DeviceUpgrade) -> None:
        """Fetch the package, install it, tell how it ended (2022 9.13)."""
        failure = self.upgrade_failure() or await self._fetched(command)
        if failure is None:
            await asyncio.sleep(self.upgrade_s)
            self.controls.firmware = command.firmware
        self.controls.upgrading = False
        self.say(f"runs firmware {self.controls.firmware}")
        await self.send(
            DeviceUpgradeResult(
                sn=self.next_sn(),
                device_id=self.controls.camera.device_id,
                session_id=command.session_id,
                upgrade_result=OK if failure is None else ERROR,
                firmware=self.controls.firmware,
                upgrade_failed_reason=failure or "",
            )
        )

    async def _fetched(self, command: DeviceUpgrade) -> str | None:
        """The reason why there is no package of ours now; None when there is one."""
        maker = self.controls.camera.manufacturer
        if command.manufacturer and command.manufacturer != maker:
            self.say("is offered the firmware of another maker")
            return firmware.BAD_PACKAGE
        loop = asyncio.get_running_loop()

        def progress(come: int, whole: int | None) -> None:
            loop.call_soon_threadsafe(self.say, f"has {come} of {whole or '?'} bytes of its firmware")

        try:
            size = await asyncio.to_thread(firmware.fetch, command.file_url, progress)
        except firmware.NotFetched as error:
            self.say(f"could not be upgraded: {error}")
            return error.code
        self.say(f"installs firmware {command.firmware}, {size} bytes")
        return None

    def head_moves(self, channel_id: str) -> bool:
        """Whether a head has begun to move whose picture does not turn with it yet."""
        state = self.controls.channels.get(channel_id)
        return state is not None and state.head.under_way and channel_id not in self._turning

    async def turn_picture(self, channel_id: str) -> None:
        """Let the picture turn with the head for as long as it moves."""
        source = self._source(channel_id)
        if not isinstance(source, TurnableSource):
            return
        head = self.controls.channels[channel_id].head
        clock = asyncio.get_running_loop().time
        self._turning.add(channel_id)
        try:
            while head.under_way:
                source.look_at(head.look(clock()))
                await asyncio.sleep(_TURN_EVERY_S)
            source.look_at(head.look(clock()))
        finally:
            self._turning.discard(channel_id)

    def _source(self, channel_id: str) -> object:
        channel = self.inventory.find(channel_id) or self.inventory.first()
        return None if channel is None else channel.source

    async def _take_pictures(self, effect: TakePictures) -> None:
        """Take each picture, upload it, and tell the ids of those that arrived (2022 9.14)."""
        order = effect.order
        source = self._source(effect.channel_id)
        arrived: list[str] = []
        for number in range(1, (order.snap_num or 1) + 1):
            if number > 1:
                await asyncio.sleep(order.interval_s or 1)
            if not isinstance(source, PictureSource):
                continue
            taken_at = self.now().astimezone(BEIJING)
            stamp = taken_at.strftime("%Y%m%d%H%M%S") + f"{taken_at.microsecond // 1000:03d}"
            file_id = f"{effect.channel_id}{_IMAGE_CODE}{stamp}{number:02d}"
            picture = await asyncio.to_thread(source.picture)
            try:
                status = await asyncio.to_thread(upload, order.upload_url, picture)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.say(f"could not upload a picture: {type(error).__name__}")
                continue
            if 200 <= status < 300:
                arrived.append(file_id)
            else:
                self.say(f"its picture was refused with {status}")
        await self.send(
            UploadSnapShotFinished(
                sn=self.next_sn(),
                device_id=effect.channel_id,
                session_id=order.session_id,
                file_ids=tuple(arrived),
            )
        )


def upload(url: str, picture: bytes) -> int:
    """POST a JPEG; returns the HTTP status. Blocks. Raises `OSError`, `HTTPException`, `ValueError`."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("the upload address is no http address")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=_UPLOAD_TIMEOUT_S)
    path = parts.path or "/"
    try:
        connection.request(
            "POST",
            f"{path}?{parts.query}" if parts.query else path,
            body=picture,
            headers={"Content-Type": "image/jpeg"},
        )
        return connection.getresponse().status
    finally:
        connection.close()
