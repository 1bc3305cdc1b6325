"""What each room of the network is told of the settings; words that mean nothing refuse the start."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from commonview.foundation.errors import StartupError
from commonview.media import MediaTransport
from commonview.network.events import EventSettings, SubscriptionKind
from commonview.network.history import Ground
from commonview.network.live_machine import LiveLimits
from commonview.network.live_signalling import LiveSettings
from commonview.network.redirection import Redirections
from commonview.network.registrar import RegistrarSettings
from commonview.network.sip_integrity import NotePolicies
from commonview.network.sources import SourceSettings, read_authorities
from commonview.network.ssrc import SsrcAllocator
from commonview.network.voice import TalkGround
from commonview.rendering import TranscoderLimits
from commonview.wire.sip.digest import DigestPolicy

if TYPE_CHECKING:
    from commonview.foundation.clock import Clock
    from commonview.foundation.settings import Settings
    from commonview.media import MediaNode
    from commonview.network.calls import Calls
    from commonview.network.directory import Directory
    from commonview.network.exchange import Exchange
    from commonview.network.sip_endpoint import SipEndpoint


def registrar_settings(settings: Settings, enrolment_password: str) -> RegistrarSettings:
    """Digests, redirections and the enrolment password. Raises `StartupError`."""
    try:
        digest = DigestPolicy.parse(settings.sip_digest_algorithms, qop=settings.sip_digest_qop)
        redirections = Redirections.parse(settings.sip_redirects)
    except ValueError as error:
        raise StartupError(f"sip_digest_algorithms or sip_redirects: {error}") from error
    return RegistrarSettings(settings.sip_domain, enrolment_password, digest, redirections)


def note_policies(settings: Settings) -> NotePolicies:
    """Whose messages must carry a Note. Raises `StartupError`."""
    try:
        return NotePolicies.parse(settings.sip_note_policies)
    except ValueError as error:
        raise StartupError(f"sip_note_policies: {error}") from error


def ssrcs(settings: Settings, *, history: bool = False) -> SsrcAllocator:
    """SSRC numbers of live or history streams, not beginning where a former process began."""
    return SsrcAllocator(settings.sip_domain, first=secrets.randbelow(10_000), history=history)


def live_settings(settings: Settings, limits: LiveLimits | None) -> LiveSettings:
    """``limits`` stand for those that the settings give."""
    return LiveSettings(
        rtp_host=settings.rtp_host,
        rtp_public_host=settings.rtp_public_host,
        default_transport=MediaTransport(settings.default_media_transport),
        dial_networks=settings.tcp_active_dial_networks(),
        limits=limits
        or LiveLimits(
            idle_stop_s=settings.session_idle_stop_s, answer_media_s=settings.media_timeout_s + 5.0
        ),
    )


def transcoder_limits(settings: Settings) -> TranscoderLimits:
    """What one transcoder may take and give; pictures are as wide as 16:9 wants at the height that is set."""
    return TranscoderLimits(
        memory_bytes=settings.render_memory_bytes,
        long_side=settings.transcode_height * 16 // 9,
        short_side=settings.transcode_height,
        kbps=settings.transcode_kbps,
    )


def history_ground(settings: Settings, calls: Calls, node: MediaNode, clock: Clock) -> Ground:
    """What playback and download stand on."""
    return Ground(
        calls=calls,
        node=node,
        ssrcs=ssrcs(settings, history=True),
        clock=clock,
        rtp_host=settings.rtp_host,
        rtp_public_host=settings.rtp_public_host,
        default_transport=MediaTransport(settings.default_media_transport),
        dial_networks=settings.tcp_active_dial_networks(),
    )


def talk_ground(
    endpoint: SipEndpoint,
    exchange: Exchange,
    directory: Directory,
    ground: Ground,
    live_ssrcs: SsrcAllocator,
) -> TalkGround:
    """A talk is sent from where history streams arrive; its SSRC is one of the live ones."""
    return TalkGround(
        endpoint=endpoint,
        calls=ground.calls,
        exchange=exchange,
        directory=directory,
        node=ground.node,
        ssrcs=live_ssrcs,
        clock=ground.clock,
        rtp_host=ground.rtp_host,
        rtp_public_host=ground.rtp_public_host,
        default_transport=ground.default_transport,
        dial_networks=ground.dial_networks,
    )


def event_settings(settings: Settings) -> EventSettings:
    """What is subscribed to at every device, and how long its reports are kept."""
    words = [word.strip() for word in settings.device_subscriptions.split(",")]
    return EventSettings(
        kinds=frozenset(SubscriptionKind(word) for word in words if word),
        delay_s=settings.subscription_delay_s,
        keep_positions=timedelta(days=settings.position_keep_days),
        keep_alarms=timedelta(days=settings.alarm_keep_days),
    )


def source_settings(settings: Settings) -> SourceSettings:
    """Which networks may be dialled for RTSP and ONVIF, whom to trust there, how often sources are asked.

    Raises `StartupError` for authorities that cannot be read.
    """
    return SourceSettings(
        settings.source_dial_networks(),
        settings.source_check_s,
        settings.sip_domain,
        read_authorities(settings.source_tls_ca),
    )
