"""What a simulated camera is, where it registers, and which faults it shows."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from commonview.simulator.frames import FrameSource
from commonview.wire.version import GbVersion

if TYPE_CHECKING:
    from commonview.simulator.controls import ControlFault
    from commonview.simulator.faults import Fault
    from commonview.simulator.recorder import Recorder
    from commonview.simulator.route import Route
    from commonview.simulator.voice import Voice

SignallingTransport = Literal["udp", "tcp", "tls"]
Report = Callable[[str], None]


def say_nothing(_line: str) -> None:
    """The default report: nobody listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The platform a camera registers with: its numeric address, its 20-digit id and its domain.

    Raises `ValueError` for a host that is a name: signalling flows are between numeric addresses.
    """

    host: str
    port: int
    server_id: str
    domain: str

    def __post_init__(self) -> None:
        ipaddress.ip_address(self.host)


@dataclass(frozen=True, slots=True)
class Channel:
    """One video input: its id, the name people read, what it shows and what was recorded of it."""

    channel_id: str
    name: str
    source: FrameSource
    recorder: "Recorder | None" = None
    sub: FrameSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings:
    """One GB/T 28181 device.

    `password` never appears in `repr`. Times in seconds; after a failure the camera waits `retry_min_s`,
    doubling up to `retry_max_s`, plus a random part (the standard asks for 60 s and more, 9.1.2.3; a
    simulator is kinder to the person waiting). A device busy with `max_streams` answers 486.
    `catalogue_page_items` None means 4 items a message over UDP and 100 over TCP. `version` is the edition
    the camera was built for: one of before 2022 sends no X-GB-Ver and knows none of the newer messages.
    `voice` None: it has no loudspeaker; `speakers` are the loudspeakers it lists as its children (9.12).
    Over TLS the platform's certificate must be signed by `tls_ca`, or by an authority of this machine. With a
    `route` the device moves. An alarm is sent again every `alarm_repeat_s` until it is answered.
    """

    device_id: str
    name: str
    server: Server
    password: str = field(repr=False)
    channels: tuple[Channel, ...]
    transport: SignallingTransport = "udp"
    local_host: str = "127.0.0.1"
    expires_s: int = 3600
    keepalive_s: float = 60.0
    keepalive_misses: int = 3
    request_timeout_s: float = 8.0
    retry_min_s: float = 2.0
    retry_max_s: float = 20.0
    max_streams: int = 4
    catalogue_page_items: int | None = None
    charset: str = "GB2312"
    version: GbVersion = GbVersion.V2022
    tls_ca: Path | None = None
    route: "Route | None" = None
    alarm_repeat_s: float = 5.0
    reboot_s: float = 3.0
    upgrade_s: float = 2.0
    manufacturer: str = "Commonview"
    model: str = "Simulated Camera"
    voice: "Voice | None" = None
    speakers: tuple[str, ...] = ()
    firmware: str = "1.0"

    @property
    def page_items(self) -> int:
        """How many catalogue items go into one message."""
        if self.catalogue_page_items is not None:
            return max(1, self.catalogue_page_items)
        return 4 if self.transport == "udp" else 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How a camera misbehaves; the default is not at all. Shares are between 0 and 1.

    `answered_ssrc` is announced in `y=` and sent; `sent_ssrc` is sent whatever was announced (trap 34).
    `omit_ssrc` leaves `y=` out of the answer (trap 33), `omit_stream_map` the PSM out of the stream
    (trap 39). `faulty_channels` are told in every keep-alive; `upgrade_failure` is the UpgradeFailedReason
    that every upgrade ends with.

    Recorders: `record_items_max` is how many recordings one answer lists at most, whatever it promises (trap
    18); `refuses_unusual_scale` answers 400 to a Scale other than 1 and 2, `timestamps_unscaled` sends faster
    without scaling time stamps (trap 47); `finishes_silently` sends no MediaStatus 121, `finishes_as` sends
    it under this id (trap 8); a download is `download_short_s` short (trap 48).

    `controls` is what control does wrong; `named` are those of the catalogue in `faults.py`, whose
    `commit(["ssrc-zero"])` is the usual way to make one.
    """

    wrong_password: bool = False
    invite_delay_s: float = 0.0
    answer_delay_s: float = 0.0
    omit_ssrc: bool = False
    answered_ssrc: int | None = None
    sent_ssrc: int | None = None
    omit_stream_map: bool = False
    send_nothing: bool = False
    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    page_delay_s: float = 0.0
    pages_twice: bool = False
    faulty_channels: tuple[str, ...] = ()
    upgrade_failure: str | None = None
    record_items_max: int | None = None
    refuses_unusual_scale: bool = False
    refuses_seek: bool = False
    ignores_seek: bool = False
    timestamps_unscaled: bool = False
    finishes_silently: bool = False
    finishes_as: str | None = None
    download_short_s: float = 0.0
    controls: "frozenset[ControlFault]" = frozenset()
    named: "frozenset[Fault]" = frozenset()


@dataclass(slots=True)
class CameraCounters:
    """What one camera did since it started."""

    registrations: int = 0
    registrations_refused: int = 0
    keepalives: int = 0
    keepalives_missed: int = 0
    queries: int = 0
    messages_refused: int = 0
    strangers_refused: int = 0
    invites: int = 0
    invites_refused: int = 0
    streams_started: int = 0
    streams_ended: int = 0
    frames_sent: int = 0
    packets_sent: int = 0
    bytes_sent: int = 0
    packets_dropped: int = 0
    alarms_sent: int = 0
    alarms_answered: int = 0
    notices_sent: int = 0
