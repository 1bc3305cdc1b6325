"""Every setting of the program: one model, with the explanation an operator reads.

Values come from command-line flags, then `COMMONVIEW_*` variables, then a TOML file, then the defaults
below; the earlier named wins.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from commonview.foundation.errors import StartupError

ENV_PREFIX = "COMMONVIEW_"
CONFIG_ENV = "COMMONVIEW_CONFIG"

IpNetwork = IPv4Network | IPv6Network
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[int, Field(ge=1, le=86400)]
GbId = Annotated[str, Field(pattern=r"^[0-9]{20}$")]

_DATA, _WEB, _SIP, _MEDIA, _RECORDING, _RENDERING, _ACCESS, _LOG = (
    "Data directory",
    "Console and HTTP API",
    "SIP signalling (GB/T 28181)",
    "Media",
    "Recordings",
    "Stills and exports",
    "Accountable access",
    "Logging",
)


def _field(default: Any, group: str, description: str, **more: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"group": group}, **more)


class Settings(BaseModel):
    """The settings of one instance. Several instances run side by side when addresses and data_dir differ."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    data_dir: Path = _field(
        Path("data"),
        _DATA,
        "Where this instance keeps its database, keys and audit log; created when absent.",
    )
    database_cache_bytes: int = _field(
        16 * 2**20,
        _DATA,
        "Memory each of about ten connections may keep of the database, in bytes. Indexes of a million "
        "channels do not fit into 2 MiB.",
        ge=2**18,
        le=2**34,
    )

    http_host: str = _field("127.0.0.1", _WEB, "Address the console and the API listen on.")
    http_port: Port = _field(8000, _WEB, "Port of the console and the API; 0 picks a free one.")
    public_url: str = _field(
        "",
        _WEB,
        "Address users type, when it differs from http_host and http_port (a proxy, TLS), such as "
        "https://video.example.org. With https the session cookie is marked Secure.",
        pattern=r"^(https?://[^/\s]+)?/?$",
    )
    trusted_proxies: str = _field(
        "",
        _WEB,
        "Addresses or networks of proxies, separated by commas, whose X-Forwarded-For is believed, so that "
        "access records and sign-in limits know the users behind a proxy apart.",
    )
    web_dir: Path | None = _field(
        None, _WEB, "Folder of the built console; by default the one that came with the program."
    )

    metrics_token_file: Path | None = _field(
        None,
        _WEB,
        "File with the token, 16 characters or more, that Prometheus shows as `Authorization: Bearer` to "
        "read /metrics. Without it there is no such page.",
    )

    sip_host: str = _field("127.0.0.1", _SIP, "Address SIP listens on, UDP and TCP.")
    sip_port: Port = _field(5060, _SIP, "Port SIP listens on, UDP and TCP; 0 picks a free one.")
    sip_tls_port: Port = _field(
        0,
        _SIP,
        "Port SIP listens on for TLS, usually 5061; 0 for none. Needs sip_tls_certificate and sip_tls_key.",
    )
    sip_tls_certificate: Path | None = _field(
        None, _SIP, "Certificate shown to peers over TLS, with its chain, as a PEM file."
    )
    sip_tls_key: Path | None = _field(None, _SIP, "Private key of sip_tls_certificate, as a PEM file.")
    sip_tls_client_ca: Path | None = _field(
        None,
        _SIP,
        "Certificate authorities, as a PEM file: peers must show a certificate that one of them signed.",
    )
    sip_public_host: str = _field(
        "", _SIP, "Address told to devices in Via, Contact and SDP, when it differs from sip_host."
    )
    sip_id: GbId = _field("34020000002000000001", _SIP, "The 20-digit id of this platform.")
    sip_domain: str = _field(
        "3402000000", _SIP, "SIP domain and digest realm.", pattern=r"^[0-9]{10}([0-9]{10})?$"
    )
    sip_digest_algorithms: str = _field(
        "MD5",
        _SIP,
        "Digest algorithms offered to registering devices, in order, separated by commas: MD5, SHA-256, SM3. "
        "Many devices refuse a choice; credentials with an algorithm that is not offered are not accepted. "
        "A device's profile may say otherwise.",
        pattern=r"(?i)^\s*(MD5|SHA-256|SM3)(\s*,\s*(MD5|SHA-256|SM3)){0,2}\s*$",
    )
    sip_digest_qop: bool = _field(
        False, _SIP, "Offer qop=auth with the digest; devices before 2022 do not know it."
    )
    sip_redirects: str = _field(
        "",
        _SIP,
        "Devices that register elsewhere (302), by the first digits of their ids, separated by commas: "
        "DIGITS=SERVER_ID@HOST:PORT, such as 340200000113=34020000002000000002@192.0.2.20:5060.",
    )
    sip_note_policies: str = _field(
        "",
        _SIP,
        "Peers whose requests carry a keyed digest (Note, GB/T 28181-2022 8.3), by the first digits of their "
        "ids, separated by commas: DIGITS=accept (a wrong one is refused) or DIGITS=require.",
    )
    keepalive_interval_s: Seconds = _field(60, _SIP, "Expected seconds between keep-alives of a device.")
    keepalive_misses: int = _field(
        3, _SIP, "A device is offline after this many missed keep-alives.", ge=1, le=100
    )
    trace_bytes: int = _field(
        64 * 2**20,
        _SIP,
        "Memory for the latest signalling of all devices, kept without passwords for diagnosis, in bytes; "
        "0 keeps none.",
        ge=0,
        le=16 * 2**30,
    )
    device_subscriptions: str = _field(
        "catalogue,alarm",
        _SIP,
        "What every device is subscribed to, separated by commas: catalogue, alarm, mobile_position, "
        "ptz_position. Empty for nothing; each device can be told otherwise.",
        pattern=r"^\s*((catalogue|alarm|mobile_position|ptz_position)\s*(,\s*|$))*$",
    )
    subscription_delay_s: int = _field(
        10, _SIP, "Seconds between a device's registration and the subscriptions to it.", ge=0, le=3600
    )
    alarm_keep_days: int = _field(
        180, _SIP, "Days for which acknowledged alarms of devices are kept.", ge=1, le=3650
    )
    position_keep_days: int = _field(
        7, _SIP, "Days for which the ways of mobile devices are kept.", ge=1, le=3650
    )
    admission: Literal["open", "approve"] = _field(
        "open",
        _SIP,
        "Unknown devices that prove the enrolment password: open lets them in, approve keeps them in "
        "quarantine until an operator approves them.",
    )
    invite_timeout_s: Seconds = _field(10, _SIP, "Seconds a device has to answer an INVITE.")

    media_host: str = _field("127.0.0.1", _MEDIA, "Address viewers fetch video from.")
    media_port: Port = _field(8001, _MEDIA, "Port viewers fetch video from; 0 picks a free one.")
    media_rtsp_port: Port = _field(
        8554,
        _MEDIA,
        "Port on media_host from which other programs' players fetch video by RTSP; 0 picks a free one.",
    )
    media_public_url: str = _field(
        "",
        _MEDIA,
        "Address viewers use for video, when it differs from media_host and media_port, such as "
        "https://video.example.org:8443.",
        pattern=r"^(https?://[^/\s]+)?/?$",
    )
    media_tls_certificate: Path | None = _field(
        None,
        _MEDIA,
        "Certificate shown to viewers, with its chain, as a PEM file; with it every outlet speaks TLS and "
        "nothing else. A renewed file is taken up within a minute. Needs media_tls_key.",
    )
    media_tls_key: Path | None = _field(None, _MEDIA, "Private key of media_tls_certificate, as a PEM file.")
    media_ticket_addresses: Literal["auto", "asker", "any"] = _field(
        "auto",
        _MEDIA,
        "From where the URL of a picture or voice may be used: asker, from the address that asked for it, or "
        "any. auto is asker, unless a proxy is configured (media_public_url, trusted_proxies), which may "
        "show the outlet another address than the console. The URLs of RTSP players are good from anywhere: "
        "they are asked for in one place and played in another.",
    )
    rtp_host: str = _field("127.0.0.1", _MEDIA, "Address devices send video to.")
    rtp_public_host: str = _field(
        "", _MEDIA, "Address told to devices in the SDP connection line, when it differs from rtp_host."
    )
    rtp_port_min: Port = _field(30000, _MEDIA, "First port for video from devices.")
    rtp_port_max: Port = _field(30499, _MEDIA, "Last port for video from devices; each stream takes two.")
    source_networks: str = _field(
        "127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, ::1/128, fc00::/7",
        _MEDIA,
        "Addresses or networks, separated by commas, in which RTSP and ONVIF sources may be asked; their "
        "redirects are followed there only.",
    )
    source_tls_ca: Path | None = _field(
        None,
        _MEDIA,
        "Certificate authorities, as a PEM file, that vouch for RTSP servers inside TLS (rtsps://). A source "
        "can name the one certificate of its server instead; one that nobody vouches for is asked nothing.",
    )
    source_check_s: Seconds = _field(
        30, _MEDIA, "Seconds between two questions to an RTSP or ONVIF source whether it is still there."
    )
    default_media_transport: Literal["udp", "tcp-passive", "tcp-active"] = _field(
        "tcp-passive",
        _MEDIA,
        "How devices send video unless set for the device: udp; tcp-passive, the device connects to us; "
        "tcp-active, we connect to the device.",
    )
    tcp_active_networks: str = _field(
        "",
        _MEDIA,
        "Addresses or networks, separated by commas, that a device may have us connect to for tcp-active "
        "besides the address it signals from, such as those of its media servers.",
    )
    cascade_media_networks: str = _field(
        "",
        _MEDIA,
        "Addresses or networks, separated by commas, to which superior platforms may have pictures sent "
        "besides the address they signal from, such as those of their media servers.",
    )
    media_timeout_s: Seconds = _field(10, _MEDIA, "Seconds without video after which a stream has stalled.")
    session_idle_stop_s: Seconds = _field(
        15, _MEDIA, "Seconds a stream is kept after its last viewer has left."
    )
    media_reactors: int = _field(0, _MEDIA, "Media threads; 0 is one per core, at most 4.", ge=0, le=64)
    gop_max_bytes: int = _field(
        8 * 2**20, _MEDIA, "Largest key-frame cache of one stream, in bytes.", ge=64 * 2**10, le=2**30
    )
    viewer_queue_bytes: int = _field(
        4 * 2**20, _MEDIA, "Largest queue of one viewer, in bytes.", ge=64 * 2**10, le=2**30
    )
    viewer_queue_ms: int = _field(
        3000, _MEDIA, "Oldest video in the queue of one viewer, in milliseconds.", ge=100, le=60000
    )

    recording_dir: Path | None = _field(
        None,
        _RECORDING,
        "Folder of the first disk recordings lie on; by default `recordings` in data_dir. Further disks are "
        "added by `POST /api/recording/disks`.",
    )
    recording_segment_s: int = _field(
        60, _RECORDING, "Seconds after which a segment ends with the next key frame.", ge=2, le=3600
    )
    recording_reserve_bytes: int = _field(
        2 * 2**30, _RECORDING, "Room that is kept free on the first disk, in bytes.", ge=0
    )
    recording_heads_s: int = _field(
        900,
        _RECORDING,
        "Seconds between entries of the audit log that name the newest link of every chain that grew.",
        ge=60,
        le=86400,
    )
    recording_starts_per_s: int = _field(
        20, _RECORDING, "Streams asked for in a second at most, so that a restart is no storm.", ge=2, le=1000
    )

    render_workers: int = _field(
        1, _RENDERING, "Processes that make stills and thumbnails at the same time.", ge=1, le=16
    )
    render_memory_bytes: int = _field(
        2 * 2**30,
        _RENDERING,
        "Address space a process may take that decodes or encodes, in bytes.",
        ge=512 * 2**20,
        le=64 * 2**30,
    )
    recode_workers: int = _field(
        2,
        _RENDERING,
        "Processes that encode recordings as H.264, group by group, for browsers that cannot decode them.",
        ge=1,
        le=16,
    )
    export_dir: Path | None = _field(
        None, _RENDERING, "Folder exports are kept in; by default `rendered` in data_dir."
    )
    export_workers: int = _field(1, _RENDERING, "Exports rendered at the same time.", ge=1, le=16)
    export_keep_days: int = _field(
        7, _RENDERING, "Days after which a finished export is removed.", ge=1, le=90
    )
    export_quota_bytes: int = _field(
        20 * 2**30, _RENDERING, "Room the exports of one account may take, in bytes.", ge=2**20
    )

    transcode_sessions: int = _field(
        2,
        _RENDERING,
        "Live streams converted to H.264 at the same time, for players without H.265; 0 converts none.",
        ge=0,
        le=16,
    )
    transcode_height: int = _field(
        1080,
        _RENDERING,
        "Largest height of a converted live picture, in pixels; its width follows at 16:9.",
        ge=180,
        le=2160,
    )
    transcode_kbps: int = _field(
        4000, _RENDERING, "Largest bit rate of a converted live stream, in kbit/s.", ge=200, le=20000
    )

    grant_default_s: Seconds = _field(
        3600, _ACCESS, "Length of a grant when the viewer names none, in seconds."
    )
    grant_max_s: Seconds = _field(43200, _ACCESS, "Longest grant, in seconds.")
    audit_checkpoint_s: Seconds = _field(60, _ACCESS, "Seconds between signed checkpoints of the audit log.")

    log_level: Literal["debug", "info", "warning", "error"] = _field(
        "info", _LOG, "Least level that is logged."
    )
    log_format: Literal["text", "json"] = _field(
        "text", _LOG, "Lines for people (text) or for machines (json)."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if self.rtp_port_min < 1024 or self.rtp_port_max - self.rtp_port_min < 1:
            raise ValueError(
                "rtp_port_min must be 1024 or more, and rtp_port_max at least one above it "
                f"(they are {self.rtp_port_min} and {self.rtp_port_max})"
            )
        if self.sip_tls_port and (self.sip_tls_certificate is None or self.sip_tls_key is None):
            raise ValueError("sip_tls_port needs sip_tls_certificate and sip_tls_key")
        if (self.media_tls_certificate is None) != (self.media_tls_key is None):
            raise ValueError("media_tls_certificate and media_tls_key need each other")
        self.proxy_networks()
        self.tcp_active_dial_networks()
        self.cascade_receiving_networks()
        self.source_dial_networks()
        if self.grant_default_s > self.grant_max_s:
            raise ValueError(
                f"grant_default_s ({self.grant_default_s}) must not exceed grant_max_s ({self.grant_max_s})"
            )
        return self

    def proxy_networks(self) -> tuple[IpNetwork, ...]:
        """`trusted_proxies` as networks. Raises ValueError for what is none."""
        return _networks(self.trusted_proxies)

    def binds_tickets(self) -> bool:
        """Whether a ticket is good only from the address that asked for it."""
        if self.media_ticket_addresses == "auto":
            return not self.media_public_url and not self.trusted_proxies
        return self.media_ticket_addresses == "asker"

    def tcp_active_dial_networks(self) -> tuple[IpNetwork, ...]:
        """`tcp_active_networks` as networks. Raises ValueError for what is none."""
        return _networks(self.tcp_active_networks)

    def source_dial_networks(self) -> tuple[IpNetwork, ...]:
        """`source_networks` as networks. Raises ValueError for what is none."""
        return _networks(self.source_networks)

    def cascade_receiving_networks(self) -> tuple[IpNetwork, ...]:
        """`cascade_media_networks` as networks. Raises ValueError for what is none."""
        return _networks(self.cascade_media_networks)


def _networks(text: str) -> tuple[IpNetwork, ...]:
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


class ConfigurationError(StartupError):
    """A setting is wrong; the message names the setting, where it came from and what is allowed."""

    default_code = "configuration_invalid"


def group_of(name: str) -> str:
    """The heading under which `serve --help` explains the setting `name`."""
    extra = Settings.model_fields[name].json_schema_extra
    return str(extra["group"]) if isinstance(extra, dict) else _DATA


def load_settings(
    flags: Mapping[str, Any] | None = None,
    *,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from flags (by field name, None is "not given"), the environment and the TOML file.

    The file is `config`, else what COMMONVIEW_CONFIG names, else none.

    Raises:
        ConfigurationError: a value, a name or the file itself is wrong.
    """
    environ = os.environ if environ is None else environ
    if config is None and environ.get(CONFIG_ENV):
        config = Path(environ[CONFIG_ENV])
    layers = [
        ("the file " + str(config), _from_file(config) if config is not None else {}),
        ("the environment", _from_environment(environ)),
        ("the command line", {name: value for name, value in (flags or {}).items() if value is not None}),
    ]
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for source, values in layers:
        merged.update(values)
        origin.update(dict.fromkeys(values, source))
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, origin)) from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name in Settings.model_fields:
        value = environ.get(ENV_PREFIX + name.upper())
        if value is not None:
            found[name] = value
    return found


def _from_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read the settings file {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the settings file {path} is not UTF-8 at byte {error.start}") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"the settings file {path} is not valid TOML: {error}") from None
    for name in values:
        if name not in Settings.model_fields:
            near = difflib.get_close_matches(name, Settings.model_fields, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"{_line_of(text, name)} of {path}: there is no setting {name!r}{hint}")
    return values


def _line_of(text: str, name: str) -> str:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip(" \t[\"'").startswith(name):
            return f"line {number}"
    return "a line"


def _explain(error: ValidationError, origin: Mapping[str, str]) -> str:
    sentences = []
    for problem in error.errors(include_url=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"])
        reason = problem["msg"].removeprefix("Value error, ")
        reason = reason[:1].lower() + reason[1:]
        if not name:
            sentences.append(reason)
        else:
            flag = "--" + name.replace("_", "-")
            sentences.append(
                f"{name} = {problem['input']!r} from {origin.get(name, 'the defaults')} is refused: {reason} "
                f"(flag {flag}, variable {ENV_PREFIX}{name.upper()})"
            )
    return "; ".join(sentences)


def flag_default(name: str) -> str:
    """The default of a setting as an operator would type it."""
    value = Settings.model_fields[name].default
    if value is None or value == "":
        return "none"
    return str(value)
