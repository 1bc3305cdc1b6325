"""An ONVIF device as its client sees it: device management, Media (Profile S) and Media2 (Profile T)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from commonview.network.sources.address import Location, locate, without_credentials
from commonview.network.sources.errors import SourceFailed, SourceInvalid
from commonview.network.sources.exchange import Asker, Credentials
from commonview.network.sources.model import SourceChannel, SourceOutcome, StreamProfile
from commonview.network.sources.onvif import soap
from commonview.network.sources.onvif.model import Information, MediaProfile, Services
from commonview.network.sources.onvif.xml import Node, XmlRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonview.foundation.clock import Clock
    from commonview.foundation.settings import IpNetwork

MAX_PROFILES = 192
_TEXT_CHARS = 128
_STREAMS_OF_A_CHANNEL = 3
_CODECS = {"H264": "h264", "H265": "h265", "HEVC": "h265"}
_UNAUTHORISED = frozenset({"NotAuthorized", "FailedAuthentication", "InvalidSecurity"})
_UNSUPPORTED = frozenset({"ActionNotSupported", "OptionalActionNotImplemented", "UnknownAction"})


class OnvifClient:
    """Speaks to one device. Every failure is a `SourceFailed`."""

    def __init__(self, url: str, who: Credentials, networks: Sequence[IpNetwork], clock: Clock) -> None:
        """``url`` is the device service, such as http://192.0.2.9/onvif/device_service."""
        self._location = locate(url, "http")
        if self._location.path in ("", "/"):
            self._location = replace(self._location, path="/onvif/device_service")
        self._who = who
        self._networks = networks
        self._clock = clock
        self._offset: timedelta | None = None
        self._services: Services | None = None

    @property
    def url(self) -> str:
        """The device service."""
        return self._location.url

    # -- device management

    async def synchronise(self) -> None:
        """Learn the device's clock, which needs no password (Core 5.12.1): its tokens must fit its time."""
        try:
            answer = await self.call(self.url, soap.DEVICE, "GetSystemDateAndTime", signed=False)
        except SourceFailed as error:
            # Some ask for a password even for this (seen: ipycam 1.3); then their clock must be right.
            if error.outcome is not SourceOutcome.UNAUTHORISED or not self._who.username:
                raise
            self._offset = timedelta()
            return
        there = soap.read_time(answer)
        self._offset = there - self._clock.now() if there is not None else timedelta()

    async def information(self) -> Information:
        """Maker, model and firmware."""
        answer = await self.call(self.url, soap.DEVICE, "GetDeviceInformation")
        texts = (
            answer.value(name)[:_TEXT_CHARS]
            for name in ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber")
        )
        return Information(*texts)

    async def services(self) -> Services:
        """Where its services are: GetServices, or GetCapabilities of older devices."""
        if self._services is None:
            try:
                self._services = await self._list_services()
            except SourceFailed as error:
                if error.outcome not in (SourceOutcome.FAULT, SourceOutcome.UNSUPPORTED):
                    raise
                self._services = await self._capabilities()
        return self._services

    async def _list_services(self) -> Services:
        body = "<tds:IncludeCapability>false</tds:IncludeCapability>"
        answer = await self.call(self.url, soap.DEVICE, "GetServices", body, prefix="tds")
        found = {one.value("Namespace"): self.near(one.value("XAddr")) for one in answer.all("Service")}
        return Services(
            media=found.get(soap.MEDIA, ""),
            media2=found.get(soap.MEDIA2, ""),
            ptz=found.get(soap.PTZ, ""),
            events=found.get(soap.EVENTS, ""),
        )

    async def _capabilities(self) -> Services:
        body = "<tds:Category>All</tds:Category>"
        answer = await self.call(self.url, soap.DEVICE, "GetCapabilities", body, prefix="tds")
        found = {
            part: self.near(answer.value("Capabilities", part, "XAddr"))
            for part in ("Media", "PTZ", "Events")
        }
        return Services(media=found["Media"], ptz=found["PTZ"], events=found["Events"])

    def near(self, url: str) -> str:
        """A URL of the device, at the address we know: it may not know its own, and is not to send us on.

        Empty when the text is no HTTP URL.
        """
        try:
            there = locate(without_credentials(url), "http")
        except (SourceInvalid, ValueError):
            return ""
        return Location("http", self._location.host, there.port, there.path).url

    # -- media

    async def channels(self) -> tuple[SourceChannel, ...]:
        """Its pictures: one channel a video source, its profiles by size, with their stream URIs.

        Raises `SourceFailed` with ``no_media`` when no profile is H.264 or H.265.
        """
        by_source: dict[str, list[MediaProfile]] = defaultdict(list)
        for profile in await self.profiles():
            if profile.codec in _CODECS.values():
                by_source[profile.video_source].append(profile)
        channels = [
            await self._channel(number, source, sorted(profiles, key=_size, reverse=True))
            for number, (source, profiles) in enumerate(by_source.items(), start=1)
        ]
        if not channels:
            raise SourceFailed(SourceOutcome.NO_MEDIA, "no media profile has H.264 or H.265 video")
        return tuple(channels)

    async def _channel(self, number: int, source: str, profiles: list[MediaProfile]) -> SourceChannel:
        streams = [
            StreamProfile(
                number=index,
                url=await self.stream_uri(profile.token),
                token=profile.token,
                name=profile.name,
                codec=profile.codec,
                width=profile.width,
                height=profile.height,
            )
            for index, profile in enumerate(profiles[:_STREAMS_OF_A_CHANNEL])
        ]
        steered = next((profile.token for profile in profiles if profile.has_ptz), "")
        return SourceChannel(
            gb_id="",
            name=profiles[0].name or f"camera {number}",
            profiles=tuple(streams),
            video_source=source,
            ptz_profile=steered if (await self.services()).ptz else "",
            snapshot_url=await self.snapshot_uri(profiles[0].token),
        )

    async def profiles(self) -> tuple[MediaProfile, ...]:
        """The media profiles that have video, of Media2 where the device has it."""
        services = await self.services()
        if services.media2:
            answer = await self.call(
                services.media2, soap.MEDIA2, "GetProfiles", "<q:Type>All</q:Type>", prefix="q"
            )
            found = (_profile2(one) for one in answer.all("Profiles")[:MAX_PROFILES])
        else:
            answer = await self.call(self._needed(services.media), soap.MEDIA, "GetProfiles")
            found = (_profile(one) for one in answer.all("Profiles")[:MAX_PROFILES])
        return tuple(profile for profile in found if profile is not None)

    async def stream_uri(self, token: str) -> str:
        """The RTSP URL of a profile, at the address we know and without credentials."""
        services = await self.services()
        if services.media2:
            body = f"<q:Protocol>RTSP</q:Protocol><q:ProfileToken>{escape(token)}</q:ProfileToken>"
            answer = await self.call(services.media2, soap.MEDIA2, "GetStreamUri", body, prefix="q")
            uri = answer.value("Uri")
        else:
            body = (
                "<q:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP</tt:Protocol>"
                f"</tt:Transport></q:StreamSetup><q:ProfileToken>{escape(token)}</q:ProfileToken>"
            )
            answer = await self.call(
                self._needed(services.media), soap.MEDIA, "GetStreamUri", body, prefix="q"
            )
            uri = answer.value("MediaUri", "Uri")
        try:
            there = locate(without_credentials(uri), "rtsp")
        except (SourceInvalid, ValueError):
            raise SourceFailed(SourceOutcome.PROTOCOL, "the device gave no usable stream URI") from None
        return Location("rtsp", self._location.host, there.port, there.path).url

    async def snapshot_uri(self, token: str) -> str:
        """Where a picture of a profile can be fetched; empty when the device offers none."""
        services = await self.services()
        namespace, url = (
            (soap.MEDIA2, services.media2) if services.media2 else (soap.MEDIA, self._needed(services.media))
        )
        body = f"<q:ProfileToken>{escape(token)}</q:ProfileToken>"
        try:
            answer = await self.call(url, namespace, "GetSnapshotUri", body, prefix="q")
        except SourceFailed as error:
            if error.outcome in (SourceOutcome.FAULT, SourceOutcome.UNSUPPORTED):
                return ""
            raise
        return self.near(answer.value("Uri") or answer.value("MediaUri", "Uri"))

    async def snapshot(self, url: str) -> bytes:
        """Fetch a picture by its URI; JPEG as the device made it."""
        answer = await Asker(locate(url, "http"), self._who, self._networks).ask("GET")
        if answer.status != 200 or not answer.body.startswith(b"\xff\xd8"):
            raise SourceFailed(SourceOutcome.PROTOCOL, "the device sent no JPEG", status=answer.status)
        return answer.body

    # -- calling

    @staticmethod
    def _needed(url: str) -> str:
        if not url:
            raise SourceFailed(SourceOutcome.UNSUPPORTED, "the device does not offer this service")
        return url

    async def call(
        self,
        url: str,
        namespace: str,
        operation: str,
        body: str = "",
        *,
        prefix: str = "q",
        signed: bool = True,
        header: str = "",
        wait_s: float = 0.0,
    ) -> Node:
        """One operation; ``body`` is XML with ``prefix`` bound to ``namespace``.

        Raises `SourceFailed`: not reached, not authorised, not supported, or a fault with its reason.
        """
        url = self._needed(url)
        security = await self._security() if signed and self._who.username else ""
        content = f"<{prefix}:{operation} xmlns:{prefix}={quoteattr(namespace)}>{body}</{prefix}:{operation}>"
        headers = [("Content-Type", f'application/soap+xml; charset=utf-8; action="{namespace}/{operation}"')]
        asker = Asker(locate(url, "http"), self._who, self._networks)
        message = soap.envelope(content, header + security)
        answer = await asker.ask("POST", headers, message, wait_s=wait_s)
        try:
            return soap.open_envelope(answer.body)
        except soap.Fault as fault:
            raise _failed(fault, answer.status) from None
        except XmlRefused:
            raise _unreadable(answer.status) from None

    async def _security(self) -> str:
        if self._offset is None:
            await self.synchronise()
        return soap.security_header(self._who, self._clock.now() + (self._offset or timedelta()))


def _failed(fault: soap.Fault, status: int) -> SourceFailed:
    reason = fault.reason or fault.code or "no reason given"
    if fault.code in _UNAUTHORISED:
        return SourceFailed(SourceOutcome.UNAUTHORISED, f"the device refused: {reason}", status=status)
    if fault.code in _UNSUPPORTED:
        return SourceFailed(
            SourceOutcome.UNSUPPORTED, f"the device does not offer this: {reason}", status=status
        )
    return SourceFailed(SourceOutcome.FAULT, f"the device reported a fault: {reason}", status=status)


def _unreadable(status: int) -> SourceFailed:
    if status == 403:
        return SourceFailed(SourceOutcome.UNAUTHORISED, "the device forbids this", status=status)
    if status == 404:
        return SourceFailed(SourceOutcome.NOT_FOUND, "there is no ONVIF service at this URL", status=status)
    return SourceFailed(SourceOutcome.PROTOCOL, f"the answer ({status}) is no SOAP message", status=status)


def _profile(node: Node) -> MediaProfile | None:
    encoder = node.find("VideoEncoderConfiguration")
    if encoder is None:
        return None
    return _made(
        node, node.value("VideoSourceConfiguration", "SourceToken"), encoder, "PTZConfiguration", node
    )


def _profile2(node: Node) -> MediaProfile | None:
    configurations = node.find("Configurations")
    encoder = configurations.find("VideoEncoder") if configurations is not None else None
    if configurations is None or encoder is None:
        return None
    return _made(node, configurations.value("VideoSource", "SourceToken"), encoder, "PTZ", configurations)


def _made(node: Node, source: str, encoder: Node, ptz: str, within: Node) -> MediaProfile | None:
    token = node.attributes.get("token", "")
    if not 0 < len(token) <= _TEXT_CHARS:
        return None
    encoding = encoder.value("Encoding").upper()
    return MediaProfile(
        token=token,
        name=node.value("Name")[:_TEXT_CHARS],
        video_source=source[:_TEXT_CHARS],
        codec=_CODECS.get(encoding, encoding.lower()[:16]),
        width=_number(encoder.value("Resolution", "Width")),
        height=_number(encoder.value("Resolution", "Height")),
        has_ptz=within.find(ptz) is not None,
    )


def _size(profile: MediaProfile) -> int:
    return profile.width * profile.height


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
