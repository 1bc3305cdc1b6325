"""A simulated ONVIF camera: SOAP over HTTP with WS-Security, media, PTZ, events and WS-Discovery.

Its pictures are those of an RTSP server elsewhere (``rtsp_url``); what it is told shows in its attributes.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import re
import signal
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from xml.sax.saxutils import escape

from commonview.network.sources.onvif import soap
from commonview.network.sources.onvif.xml import Node, XmlRefused, read
from commonview.simulator.cli import PASSWORD_VARIABLE, read_password
from commonview.simulator.errors import SimulatorError

if TYPE_CHECKING:
    from types import TracebackType

_HEAD_BYTES: Final = 16 * 1024
_BODY_BYTES: Final = 256 * 1024
_TOKEN_AGE: Final = timedelta(minutes=5)
_OPEN: Final = frozenset({"GetSystemDateAndTime", "GetServices", "GetCapabilities"})
_JPEG: Final = bytes.fromhex("ffd8ffdb0043") + bytes(67) + bytes.fromhex("ffd9")


@dataclass(frozen=True, slots=True)
class OnvifCameraSettings:
    """What the camera is. ``clock_offset_s``: how far its clock is ahead; ``generations``: 1 Media, 2 Media2.

    ``told_host`` is the address it names in its URLs, which need not be the one it is reached at.
    """

    rtsp_url: str
    username: str = "admin"
    password: str = "open sesame"  # noqa: S105 - a simulated camera's
    host: str = "127.0.0.1"
    port: int = 0
    video_sources: int = 1
    generations: tuple[int, ...] = (1, 2)
    clock_offset_s: float = 0.0
    told_host: str = ""
    has_services: bool = True
    has_ptz: bool = True


@dataclass(slots=True)
class _State:
    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    presets: dict[str, tuple[str, tuple[float, float, float]]] = field(default_factory=dict)


class _Refused(Exception):
    def __init__(self, code: str, reason: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason
        self.status = status


class SimulatedOnvifCamera:
    """Serves while it is entered. ``port`` is where; ``asked`` lists the operations in order."""

    def __init__(self, settings: OnvifCameraSettings) -> None:
        self.settings = settings
        self.port = 0
        self.asked: list[str] = []
        self.steering = _State()
        self._events: asyncio.Queue[str] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._nonces: set[str] = set()
        self._connections: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        server = await asyncio.start_server(
            self._serve, self.settings.host, self.settings.port, limit=_HEAD_BYTES
        )
        self._server = server
        self.port = server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._connections):
                writer.close()
            await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Its device service."""
        return f"http://{self.settings.host}:{self.port}/onvif/device_service"

    def say(self, topic: str, *, active: bool, source: str = "source_1", name: str = "State") -> None:
        """Report a property event, such as ``tns1:VideoSource/MotionAlarm``."""
        at = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        self._events.put_nowait(
            f'<b:NotificationMessage xmlns:b="{soap.NOTIFICATION}"><b:Topic>{escape(topic)}</b:Topic>'
            "<b:Message>"
            f'<tt:Message UtcTime="{at}" PropertyOperation="Changed"><tt:Source>'
            f'<tt:SimpleItem Name="Source" Value="{escape(source)}"/></tt:Source><tt:Data>'
            f'<tt:SimpleItem Name="{name}" Value="{str(active).lower()}"/></tt:Data></tt:Message>'
            "</b:Message></b:NotificationMessage>"
        )

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.settings.clock_offset_s)

    # -- HTTP

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            found = re.search(r"(?im)^content-length:\s*([0-9]{1,7})\s*$", head)
            length = min(int(found[1]), _BODY_BYTES) if found else 0
            body = await reader.readexactly(length)
            if head.startswith("GET /snapshot"):
                status, kind, answer = 200, "image/jpeg", _JPEG
            else:
                status, answer = await self._answer(body)
                kind = "application/soap+xml; charset=utf-8"
            fields = f"Content-Type: {kind}\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
            writer.write(f"HTTP/1.1 {status} x\r\n{fields}".encode() + answer)
            await writer.drain()
        except (EOFError, OSError, asyncio.LimitOverrunError):
            pass  # who asks may go at any time
        finally:
            self._connections.discard(writer)
            with contextlib.suppress(OSError):
                writer.close()

    async def _answer(self, body: bytes) -> tuple[int, bytes]:
        try:
            root = read(body)
            operation = _operation(root)
            self.asked.append(operation.name)
            if operation.name not in _OPEN:
                self._authorise(root)
            return 200, soap.envelope(await self._carry_out(operation))
        except XmlRefused:
            return 400, soap.envelope(_fault("ter:WellFormed", "not XML"))
        except _Refused as refused:
            return refused.status, soap.envelope(_fault(refused.code, refused.reason))

    def _authorise(self, root: Node) -> None:
        token = root.find("Header", "Security", "UsernameToken")
        refusal = _Refused("ter:NotAuthorized", "Sender not authorized")
        if token is None:
            raise refusal
        created, nonce = token.value("Created"), token.value("Nonce")
        at = soap.moment(created)
        fresh = at is not None and abs(at - self._now()) <= _TOKEN_AGE and nonce not in self._nonces
        try:
            raw = base64.b64decode(nonce, validate=True)
        except ValueError:
            raise refusal from None
        expected = soap.password_digest(raw, created, self.settings.password)
        if (
            not fresh
            or token.value("Username") != self.settings.username
            or token.value("Password") != expected
        ):
            raise refusal
        self._nonces.add(nonce)

    # -- operations

    async def _carry_out(self, operation: Node) -> str:
        name = operation.name
        if name == "PullMessages":
            return await self._pull()
        plain = {
            "GetSystemDateAndTime": self._date_and_time,
            "GetDeviceInformation": self._information,
            "GetServices": self._services,
            "GetCapabilities": self._capabilities,
            "CreatePullPointSubscription": self._subscribe,
            "Unsubscribe": lambda: "<r:UnsubscribeResponse xmlns:r='urn:r'/>",
            "GetPresets": self._presets,
            "GetStatus": self._status,
        }
        if name in plain:
            return plain[name]()
        told = {
            "GetProfiles": self._profiles,
            "GetStreamUri": self._stream_uri,
            "GetSnapshotUri": lambda _: _response(
                "GetSnapshotUri", f"<r:Uri>{self._base()}/snapshot</r:Uri>"
            ),
            "ContinuousMove": self._move,
            "AbsoluteMove": self._absolute,
            "Stop": self._stop,
            "SetPreset": self._set_preset,
            "GotoPreset": self._go_to_preset,
            "RemovePreset": self._remove_preset,
            "GotoHomePosition": self._home,
        }
        if name not in told:
            raise _Refused("ter:ActionNotSupported", "Optional Action Not Implemented", 500)
        return told[name](operation)

    def _base(self) -> str:
        return f"http://{self.settings.told_host or self.settings.host}:{self.port}"

    def _date_and_time(self) -> str:
        now = self._now()
        return (
            '<r:GetSystemDateAndTimeResponse xmlns:r="urn:r"><r:SystemDateAndTime><tt:UTCDateTime>'
            f"<tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute>"
            f"<tt:Second>{now.second}</tt:Second></tt:Time><tt:Date><tt:Year>{now.year}</tt:Year>"
            f"<tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day></tt:Date></tt:UTCDateTime>"
            "</r:SystemDateAndTime></r:GetSystemDateAndTimeResponse>"
        )

    def _information(self) -> str:
        return _response(
            "GetDeviceInformation",
            "<r:Manufacturer>Commonview</r:Manufacturer><r:Model>Simulated</r:Model>"
            "<r:FirmwareVersion>1.0</r:FirmwareVersion><r:SerialNumber>1</r:SerialNumber>",
        )

    def _where(self) -> dict[str, str]:
        where = {soap.EVENTS: "events"}
        if 1 in self.settings.generations:
            where[soap.MEDIA] = "media"
        if 2 in self.settings.generations:
            where[soap.MEDIA2] = "media2"
        if self.settings.has_ptz:
            where[soap.PTZ] = "ptz"
        return {space: f"{self._base()}/onvif/{path}" for space, path in where.items()}

    def _services(self) -> str:
        if not self.settings.has_services:
            raise _Refused("ter:ActionNotSupported", "Optional Action Not Implemented", 500)
        listed = "".join(
            f"<r:Service><r:Namespace>{space}</r:Namespace><r:XAddr>{url}</r:XAddr></r:Service>"
            for space, url in self._where().items()
        )
        return _response("GetServices", listed)

    def _capabilities(self) -> str:
        where = self._where()
        parts = {"Media": where.get(soap.MEDIA), "PTZ": where.get(soap.PTZ), "Events": where[soap.EVENTS]}
        listed = "".join(
            f"<tt:{part}><tt:XAddr>{url}</tt:XAddr></tt:{part}>" for part, url in parts.items() if url
        )
        return _response("GetCapabilities", f"<r:Capabilities>{listed}</r:Capabilities>")

    def _profiles(self, operation: Node) -> str:
        # Media2 names its request's part; without it the question came to the first Media service.
        second = operation.find("Type") is not None
        listed = []
        for source in range(1, self.settings.video_sources + 1):
            for kind, width, height in (("sub", 640, 360), ("main", 1920, 1080)):
                size = f"<tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height>"
                of = f"<tt:SourceToken>source_{source}</tt:SourceToken>"
                coding = f"<tt:Encoding>H264</tt:Encoding><tt:Resolution>{size}</tt:Resolution>"
                if second:
                    steered = "<r:PTZ token='p'/>" if self.settings.has_ptz else ""
                    inner = (
                        f"<r:Configurations><r:VideoSource>{of}</r:VideoSource>"
                        f"<r:VideoEncoder>{coding}</r:VideoEncoder>{steered}</r:Configurations>"
                    )
                else:
                    steered = "<tt:PTZConfiguration token='p'/>" if self.settings.has_ptz else ""
                    inner = (
                        f"<tt:VideoSourceConfiguration>{of}</tt:VideoSourceConfiguration>"
                        f"<tt:VideoEncoderConfiguration>{coding}</tt:VideoEncoderConfiguration>{steered}"
                    )
                token = f"{kind}_{source}"
                listed.append(f'<r:Profiles token="{token}"><tt:Name>{token}</tt:Name>{inner}</r:Profiles>')
        jpeg = '<r:Profiles token="jpeg"><tt:Name>jpeg</tt:Name></r:Profiles>'
        return _response("GetProfiles", "".join(listed) + jpeg)

    def _stream_uri(self, operation: Node) -> str:
        uri = self.settings.rtsp_url
        if self.settings.told_host:
            uri = re.sub(r"//[^/:]+", f"//{self.settings.told_host}", uri, count=1)
        inner = f"<r:Uri>{escape(uri)}</r:Uri>"
        if operation.find("StreamSetup") is not None:
            inner = f"<r:MediaUri><tt:Uri>{escape(uri)}</tt:Uri></r:MediaUri>"
        return _response("GetStreamUri", inner)

    # -- PTZ

    def _move(self, operation: Node) -> str:
        self._needs_ptz()
        self.steering.velocity = _vector(operation.find("Velocity"))
        return _response("ContinuousMove")

    def _absolute(self, operation: Node) -> str:
        self._needs_ptz()
        self._place(_vector(operation.find("Position")))
        return _response("AbsoluteMove")

    def _stop(self, _operation: Node) -> str:
        self._needs_ptz()
        self.steering.velocity = (0.0, 0.0, 0.0)
        return _response("Stop")

    def _home(self, _operation: Node) -> str:
        self._needs_ptz()
        self._place((0.0, 0.0, 0.0))
        return _response("GotoHomePosition")

    def _status(self) -> str:
        self._needs_ptz()
        now = self.steering
        position = f'<tt:PanTilt x="{now.pan}" y="{now.tilt}"/><tt:Zoom x="{now.zoom}"/>'
        return _response("GetStatus", f"<r:PTZStatus><tt:Position>{position}</tt:Position></r:PTZStatus>")

    def _presets(self) -> str:
        self._needs_ptz()
        listed = "".join(
            f'<r:Preset token="{token}"><tt:Name>{escape(name)}</tt:Name></r:Preset>'
            for token, (name, _) in self.steering.presets.items()
        )
        return _response("GetPresets", listed)

    def _set_preset(self, operation: Node) -> str:
        self._needs_ptz()
        now = self.steering
        token = operation.value("PresetToken") or f"preset_{len(now.presets) + 1}"
        now.presets[token] = (operation.value("PresetName"), (now.pan, now.tilt, now.zoom))
        return _response("SetPreset", f"<r:PresetToken>{escape(token)}</r:PresetToken>")

    def _go_to_preset(self, operation: Node) -> str:
        self._place(self._preset(operation)[1])
        return _response("GotoPreset")

    def _remove_preset(self, operation: Node) -> str:
        self._preset(operation)
        del self.steering.presets[operation.value("PresetToken")]
        return _response("RemovePreset")

    def _preset(self, operation: Node) -> tuple[str, tuple[float, float, float]]:
        self._needs_ptz()
        known = self.steering.presets.get(operation.value("PresetToken"))
        if known is None:
            raise _Refused("ter:NoToken", "The requested preset token does not exist")
        return known

    def _place(self, position: tuple[float, float, float]) -> None:
        self.steering.pan, self.steering.tilt, self.steering.zoom = position

    def _needs_ptz(self) -> None:
        if not self.settings.has_ptz:
            raise _Refused("ter:ActionNotSupported", "Optional Action Not Implemented", 500)

    # -- events

    def _subscribe(self) -> str:
        address = f"{self._base()}/onvif/subscription"
        inner = f"<r:SubscriptionReference><wsa:Address>{address}</wsa:Address></r:SubscriptionReference>"
        return _response("CreatePullPointSubscription", inner)

    async def _pull(self) -> str:
        messages = []
        with contextlib.suppress(TimeoutError):
            messages.append(await asyncio.wait_for(self._events.get(), 1.0))
        while not self._events.empty():
            messages.append(self._events.get_nowait())
        return _response("PullMessages", "".join(messages))


def _operation(root: Node) -> Node:
    body = root.find("Body")
    if body is None or not body.children:
        raise _Refused("ter:WellFormed", "no operation")
    return body.children[0]


def _response(operation: str, inner: str = "") -> str:
    return f'<r:{operation}Response xmlns:r="urn:r">{inner}</r:{operation}Response>'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `commonview simulate onvif`."""
    parser.description = (
        "A simulated ONVIF camera whose pictures come from an RTSP server. Its password is read from "
        f"--password-file or from {PASSWORD_VARIABLE}, never from a flag."
    )
    parser.add_argument(
        "--rtsp", required=True, metavar="URL", help="where its pictures are: rtsp://HOST:PORT/PATH"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address it listens on (%(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="0 picks a free one (%(default)s)")
    parser.add_argument("--username", default="admin", help="(%(default)s)")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="file holding the password")
    parser.add_argument(
        "--video-sources", type=int, default=1, metavar="N", help="pictures it has (%(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Simulate until SIGINT or SIGTERM; raises `SimulatorError` with a sentence for the terminal."""
    settings = OnvifCameraSettings(
        arguments.rtsp,
        username=arguments.username,
        password=read_password(arguments.password_file),
        host=arguments.host,
        port=arguments.port,
        video_sources=arguments.video_sources,
    )
    try:
        asyncio.run(_simulate(settings))
    except (ValueError, OSError, OverflowError) as error:
        raise SimulatorError(f"cannot simulate: {error}") from error
    return 0


async def _simulate(settings: OnvifCameraSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with SimulatedOnvifCamera(settings) as camera:
        print(f"a simulated ONVIF camera at {camera.url}, Ctrl-C stops it", flush=True)  # noqa: T201 - it speaks
        await stop.wait()


def _fault(code: str, reason: str) -> str:
    return (
        "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>"
        f"{code}</s:Value></s:Subcode></s:Code><s:Reason><s:Text>{escape(reason)}</s:Text></s:Reason></s:Fault>"
    )


def _vector(node: Node | None) -> tuple[float, float, float]:
    def number(part: str, axis: str) -> float:
        found = node.find(part) if node is not None else None
        return float(found.attributes.get(axis, "0")) if found is not None else 0.0

    try:
        return number("PanTilt", "x"), number("PanTilt", "y"), number("Zoom", "x")
    except ValueError:
        raise _Refused("ter:InvalidArgVal", "not a number") from None
