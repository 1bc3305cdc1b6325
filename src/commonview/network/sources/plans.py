"""What an operator says of an RTSP source, checked. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from commonview.network.sources.address import locate
from commonview.network.sources.errors import SourceInvalid
from commonview.network.sources.model import SourceChannel, SourceKind, SourceTransport, StreamProfile
from commonview.network.sources.tls import fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonview.network.sources.model import ChannelPlan, Source
    from commonview.network.sources.tls import TlsTrust

MAX_CHANNELS = 64
MAX_STREAMS = 3
_TEXT_CHARS = 128


def require_safe(source: Source, trust: TlsTrust) -> None:
    """What comes inside TLS needs somebody who vouches for its server, and comes inside it whole.

    Raises `SourceInvalid`.
    """
    urls = [profile.url for channel in source.channels for profile in channel.profiles]
    if not any(locate(url, "rtsp").is_tls for url in urls):
        return
    if not trust.only(source.certificate_sha256):
        raise SourceInvalid(
            "rtsps:// needs the SHA-256 of the server's certificate, or the setting source_tls_ca",
            field="certificate_sha256",
        )
    if source.transport is SourceTransport.UDP:
        raise SourceInvalid("the media of rtsps:// comes inside its connection: tcp", field="transport")


def planned(plans: Sequence[ChannelPlan]) -> tuple[SourceChannel, ...]:
    """The channels of an RTSP source, not numbered yet. Raises `SourceInvalid`."""
    if not 1 <= len(plans) <= MAX_CHANNELS:
        raise SourceInvalid(f"a source has 1 to {MAX_CHANNELS} channels", field="channels")
    channels = []
    for plan in plans:
        if not 1 <= len(plan.urls) <= MAX_STREAMS:
            raise SourceInvalid(f"a channel has 1 to {MAX_STREAMS} streams", field="urls")
        urls = [locate(url, "rtsp").url for url in plan.urls]
        profiles = tuple(StreamProfile(number, url) for number, url in enumerate(urls))
        channels.append(SourceChannel("", bounded("name", plan.name, least=1), profiles))
    return tuple(channels)


def edited(
    source: Source,
    trust: TlsTrust,
    *,
    name: str | None,
    plans: Sequence[ChannelPlan] | None,
    username: str | None,
    transport: SourceTransport | None,
    enabled: bool | None,
    certificate_sha256: str | None,
) -> Source:
    """The source with what is given changed. Raises `SourceInvalid`."""
    if name is not None:
        source = replace(source, name=bounded("name", name, least=1))
    if username is not None:
        source = replace(source, username=bounded("username", username))
    if enabled is not None:
        source = replace(source, enabled=enabled)
    if (plans, transport, certificate_sha256) == (None, None, None):
        return source
    if transport is not None:
        source = replace(source, transport=transport)
    if plans is not None:
        source = _replanned(source, plans)
    if certificate_sha256 is not None:
        source = replace(source, certificate_sha256=fingerprint(certificate_sha256))
    if source.kind is SourceKind.RTSP:
        require_safe(source, trust)
    return source


def _replanned(source: Source, plans: Sequence[ChannelPlan]) -> Source:
    channels = planned(plans)
    if source.kind is not SourceKind.RTSP or len(channels) != len(source.channels):
        raise SourceInvalid(
            "the channels of an RTSP source can be changed, not added or removed", field="channels"
        )
    kept = tuple(replace(new, gb_id=old.gb_id) for new, old in zip(channels, source.channels, strict=True))
    return replace(source, channels=kept, url=kept[0].profiles[0].url)


def bounded(field: str, value: str, *, least: int = 0) -> str:
    """The text without blanks around it. Raises `SourceInvalid` for its length or control characters."""
    text = value.strip() if field != "password" else value
    if not least <= len(text) <= _TEXT_CHARS or any(ord(character) < 0x20 for character in text):
        raise SourceInvalid(
            f"{field} must have {least} to {_TEXT_CHARS} characters and no control characters", field=field
        )
    return text
