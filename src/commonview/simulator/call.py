"""One call of a simulated camera, live or past: INVITE, answer, media, BYE (GB/T 28181-2022 9.2, 9.8)."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from commonview.network.sip_endpoint import ServerTransaction, SipEndpoint, SipEndpointError
from commonview.simulator.errors import SimulatorError
from commonview.simulator.faults import Fault
from commonview.simulator.link import DialledTcpLink, ListeningTcpLink, MediaLink, UdpLink
from commonview.simulator.recorder import RecordingPlayer
from commonview.simulator.settings import CameraCounters, CameraSettings, Channel, Faults
from commonview.simulator.spoil import spoil_answer
from commonview.simulator.spoil_media import make_framing, make_muxer, make_packetiser
from commonview.wire.manscdp import CONTENT_TYPE as MANSCDP
from commonview.wire.manscdp import MediaStatus, encode
from commonview.wire.mansrtsp import CONTENT_TYPE as MANSRTSP
from commonview.wire.mansrtsp import MansrtspError, MansrtspRequest, parse_mansrtsp
from commonview.wire.sdp import CONTENT_TYPE, GbSdp, MediaTransport, RtpMap, SdpError, Setup
from commonview.wire.sdp_reader import parse_sdp
from commonview.wire.sip.dialog import Dialog
from commonview.wire.sip.message import SipRequest

_BYE_TIMEOUT_S: Final = 3.0
_SESSIONS: Final = ("play", "playback", "download")
_FINISHED_WAIT_S: Final = 8.0
_LATE_S: Final = 3.0
_STALE_S: Final = 5.0


class MediaRole(Enum):
    """Who connects: nobody over UDP; over TCP the side that said active."""

    UDP = "udp"
    DIAL = "tcp, camera dials"
    LISTEN = "tcp, camera listens"


class CallRefused(Exception):
    """An INVITE this camera will not take; carries the SIP status (Annex G note 17)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Offer:
    """A readable INVITE: its description, who connects, and the Subject's sender part (Annex L)."""

    sdp: GbSdp
    role: MediaRole
    payload_type: int
    stream_key: str | None

    @property
    def is_history(self) -> bool:
        """Whether the past is asked for."""
        return self.sdp.session_name.casefold() != "play"


def read_offer(request: SipRequest, channel_id: str, faults: Faults) -> Offer:
    """Take what matters from an INVITE. Raises `CallRefused` 400, 415 or 488 when it cannot be met."""
    sender = (request.headers.get("Subject") or "").partition(",")[0].strip()
    if Fault.SUBJECT_NEEDS_CAMERA in faults.named and sender.partition(":")[0] != channel_id:
        raise CallRefused(400, "Bad Subject")
    if Fault.NEEDS_Y_LAST in faults.named and not request.body.splitlines()[-1].startswith(b"y="):
        raise CallRefused(415, "Unsupported Media Type")
    try:
        sdp = parse_sdp(request.body)
    except SdpError as error:
        raise CallRefused(400, "Bad Request") from error
    if sdp.session_name.casefold() not in _SESSIONS or sdp.media != "video" or sdp.port == 0:
        raise CallRefused(488, "Not Acceptable Here")
    payload_type = next((each.payload_type for each in sdp.rtpmaps if each.encoding.upper() == "PS"), None)
    if payload_type is None:
        raise CallRefused(488, "Not Acceptable Here")
    role = MediaRole.UDP
    if sdp.transport is MediaTransport.TCP:
        role = MediaRole.LISTEN if sdp.setup == "active" else MediaRole.DIAL
    return Offer(sdp, role, payload_type, sender or None)


def compose_answer(
    offer: Offer,
    *,
    channel_id: str,
    host: str,
    port: int,
    ssrc: int,
    faults: Faults,
    file_size_bytes: int | None = None,
) -> GbSdp:
    """The answer to `offer` with our media address."""
    setups: dict[MediaRole, Setup | None] = {
        MediaRole.UDP: None,
        MediaRole.DIAL: "active",
        MediaRole.LISTEN: "passive",
    }
    return GbSdp(
        owner_id=channel_id,
        session_name=offer.sdp.session_name,
        file_size_bytes=file_size_bytes,
        address=host,
        port=port,
        transport=offer.sdp.transport,
        payload_types=(offer.payload_type,),
        rtpmaps=(RtpMap(offer.payload_type, "PS", 90_000),),
        direction="sendonly",
        setup=setups[offer.role],
        connection=None if offer.role is MediaRole.UDP else "new",
        ssrc_text=None if faults.omit_ssrc else f"{ssrc:010d}",
    )


class Call:
    """One call from INVITE to BYE. `run` is a task of its own; whoever ends it awaits it."""

    def __init__(
        self,
        transaction: ServerTransaction,
        offer: Offer,
        channel: Channel,
        *,
        camera: CameraSettings,
        faults: Callable[[], Faults],
        endpoint: SipEndpoint,
        counters: CameraCounters,
        contact: str,
    ) -> None:
        self.call_id = transaction.request.headers.get("Call-ID") or ""
        self.offer = offer
        self.channel = channel
        self.streaming = False
        self.paused = False
        self.ended_because = ""
        self._transaction = transaction
        self._camera = camera
        self._faults = faults
        self._endpoint = endpoint
        self._counters = counters
        self._contact = contact
        self._dialog: Dialog | None = None
        self._task: asyncio.Task[None] | None = None
        self._on_stream: Callable[[], None] = lambda: None
        self._ended = asyncio.Event()
        self.player = self._make_player()

    def _make_player(self) -> RecordingPlayer | None:
        if not self.offer.is_history:
            return None
        if self.channel.recorder is None:
            raise CallRefused(404, "No recordings")
        sdp = self.offer.sdp
        speed = (sdp.download_speed or 1) if sdp.session_name.casefold() == "download" else 0
        start = datetime.fromtimestamp(sdp.start_time_s, UTC)
        end = datetime.fromtimestamp(sdp.stop_time_s, UTC)
        return RecordingPlayer(self.channel.recorder, start, end, speed, self._faults())

    def take_info(self, transaction: ServerTransaction) -> None:
        """MANSRTSP inside the call (Annex B): steer the playback, answer in the body of the 200."""
        try:
            request = parse_mansrtsp(transaction.request.body)
        except MansrtspError:
            transaction.respond(400)
            return
        if self.player is None or not isinstance(request, MansrtspRequest):
            transaction.respond(400)
            return
        answer = self.player.steer(request)
        if not answer.ok:
            transaction.respond(answer.status)
            return
        transaction.respond(200, headers=[("Content-Type", MANSRTSP)], body=answer.encode())

    def start(self, *, on_stream: Callable[[], None], on_end: Callable[["Call"], None]) -> None:
        """Begin answering; `on_stream` is called when media flows, `on_end` once when the call is over."""
        self._on_stream = on_stream
        self._transaction.on_cancel = self._cancelled
        self._task = asyncio.ensure_future(self._run())
        self._task.add_done_callback(lambda _task: on_end(self))

    def _cancelled(self) -> None:
        self.ended_because = "cancelled by the platform"
        if self._task is not None and self._dialog is None:
            self._task.cancel()

    def taken_down(self) -> None:
        """The platform sent BYE: stop sending."""
        self._ended.set()
        self.ended_because = "ended by the platform"
        if self._task is None:
            return
        if Fault.STREAM_AFTER_BYE in self._faults().named:
            asyncio.get_running_loop().call_later(_STALE_S, self._task.cancel)
        else:
            self._task.cancel()

    @property
    def over(self) -> bool:
        """Whether the platform has ended it, even if the stream goes on (trap 35)."""
        return self._ended.is_set()

    async def hang_up(self, reason: str, *, silently: bool = False) -> None:
        """Stop sending and, unless `silently`, tell the platform with BYE."""
        self.ended_because = self.ended_because or reason
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if silently:
            return
        if not self._transaction.answered:
            self._transaction.respond(480)
        await self._send_bye()

    async def _send_bye(self) -> None:
        dialog, self._dialog = self._dialog, None
        if dialog is None or dialog.ended:
            return
        with contextlib.suppress(SipEndpointError):
            request = dialog.new_request("BYE")
            await self._endpoint.request(request, self._transaction.flow, timeout_s=_BYE_TIMEOUT_S)

    async def _run(self) -> None:
        link: MediaLink | None = None
        try:
            await asyncio.sleep(self._faults().invite_delay_s)
            link = await self._make_link()
            ssrc = self._answer(link)
            await self._connect(link)
            await self._stream(link, ssrc)
        except (SimulatorError, SipEndpointError) as error:
            self.ended_because = self.ended_because or str(error) or type(error).__name__
            await self._send_bye()
        except OSError as error:
            self.ended_because = f"no socket for media: {error.strerror or error}"
            self._transaction.respond(500)
        finally:
            if link is not None:
                link.close()
            if self.streaming:
                self.streaming = False
                self._counters.streams_ended += 1

    async def _connect(self, link: MediaLink) -> None:
        """Connect while the ACK is on its way, as cameras do (trap 44); stream once both are there."""
        if link.framed and Fault.LATE_TCP in self._faults().named:
            await asyncio.sleep(_LATE_S)
        opening = asyncio.ensure_future(link.open())
        try:
            await self._transaction.wait_ack()
            await opening
        finally:
            opening.cancel()

    async def _make_link(self) -> MediaLink:
        host = self._camera.local_host
        peer = (self.offer.sdp.address, self.offer.sdp.port)
        match self.offer.role:
            case MediaRole.UDP:
                return UdpLink(host, peer, self._counters, self._faults())
            case MediaRole.DIAL:
                return DialledTcpLink(host, peer)
            case MediaRole.LISTEN:
                return await ListeningTcpLink.listen(host)

    def _answer(self, link: MediaLink) -> int:
        """Send the 200 and return the SSRC the stream will carry."""
        faults = self._faults()
        ssrc = faults.answered_ssrc
        if ssrc is None:
            ssrc = self.offer.sdp.ssrc
        if ssrc is None:
            ssrc = secrets.randbelow(1_000_000_000)  # an offer without y=: ours is chosen (trap 33)
        answer = compose_answer(
            self.offer,
            channel_id=self.channel.channel_id,
            host=self._camera.local_host,
            port=link.local_port,
            ssrc=ssrc,
            faults=faults,
            file_size_bytes=self.player.size_bytes if self.player and self.player.download_speed else None,
        )
        self._transaction.respond(
            200,
            headers=[("Contact", self._contact), ("Content-Type", CONTENT_TYPE)],
            body=spoil_answer(answer.encode(), faults),
        )
        self._dialog = self._transaction.dialog
        return ssrc if faults.sent_ssrc is None else faults.sent_ssrc

    async def _stream(self, link: MediaLink, ssrc: int) -> None:
        sub = self.channel.sub if self.offer.sdp.stream_number else None
        source = self.player or sub or self.channel.source
        faults = self._faults()
        muxer = make_muxer(source.format, faults)
        packetiser = make_packetiser(ssrc, self.offer.payload_type, faults)
        framing = make_framing(faults) if link.framed else None
        self.streaming = True
        self._counters.streams_started += 1
        self._on_stream()
        async with contextlib.aclosing(source.frames()) as frames:
            async for frame in frames:
                if self.paused or self._faults().send_nothing:
                    continue
                packets = packetiser.packets_of(muxer.pack(frame), frame.dts_90k, framed=link.framed)
                await link.send(packets if framing is None else framing(packets))
                self._counters.frames_sent += 1
                self._counters.packets_sent += len(packets)
                self._counters.bytes_sent += sum(map(len, packets))
        self.ended_because = "the source ended"
        if self.player is not None:
            await self._say_finished()
        await self._send_bye()

    async def _say_finished(self) -> None:
        """MediaStatus 121 inside the dialog; the platform then says BYE (9.8)."""
        faults, dialog = self._faults(), self._dialog
        if dialog is not None and not faults.finishes_silently:
            notice = MediaStatus(sn=1, device_id=self.channel.channel_id)
            body = encode(notice, self._camera.charset)
            request = dialog.new_request("MESSAGE", (("Content-Type", MANSCDP),), body)
            if faults.finishes_as is not None:
                sender = f"<sip:{faults.finishes_as}@elsewhere.example>;tag={dialog.local_tag}"
                request.headers.set("From", sender)
            with contextlib.suppress(SipEndpointError):
                await self._endpoint.request(request, self._transaction.flow, timeout_s=_BYE_TIMEOUT_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FINISHED_WAIT_S):
                await self._ended.wait()
