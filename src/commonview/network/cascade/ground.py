"""What the cascade stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from commonview.foundation.bus import Bus
    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.foundation.settings import IpNetwork
    from commonview.network.control.foreign import ForeignPtz
    from commonview.network.directory import Directory
    from commonview.network.exchange import Exchange
    from commonview.network.history.source import Ground
    from commonview.network.live import LiveSessions
    from commonview.network.model import ViewerEvent
    from commonview.network.registrar import PasswordVault
    from commonview.network.sip_endpoint import SipEndpoint
    from commonview.network.tree.service import ChannelTree
    from commonview.network.voice import VoiceDesk
    from commonview.wire.sip.subscription import RetryTiming

_REFRESH_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class RelayGround:
    """What relays stand on besides the cascade."""

    endpoint: SipEndpoint
    live: LiveSessions
    history: Ground
    domain: str
    on_viewer: Callable[[ViewerEvent], None]
    on_changed: Callable[[str], None]
    voice: VoiceDesk
    media_networks: tuple[IpNetwork, ...] = ()
    """Where a superior may have pictures sent besides the address it signals from."""


@dataclass(frozen=True, slots=True)
class CascadeGround:
    """The rooms and settings it needs."""

    database: Database
    directory: Directory
    tree: ChannelTree
    endpoint: SipEndpoint
    vault: PasswordVault
    clock: Clock
    bus: Bus
    exchange: Exchange
    live: LiveSessions
    history: Ground
    voice: VoiceDesk
    domain: str
    on_viewer: Callable[[ViewerEvent], None]
    foreign: Callable[[str], ForeignPtz | None]
    tls_ca: Path | None = None
    media_networks: tuple[IpNetwork, ...] = ()
    retry: RetryTiming | None = None
    refresh_s: float = _REFRESH_S
    batch_s: float = 1.0

    def for_relays(self) -> RelayGround:
        """What of it relays stand on."""
        return RelayGround(
            self.endpoint,
            self.live,
            self.history,
            self.domain,
            self.on_viewer,
            lambda superior_id: self.bus.publish("superior.changed", {"superior_id": superior_id}),
            self.voice,
            self.media_networks,
        )
