"""One device as the directory keeps it, and what binds it to an address."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from commonview.network.model import (
    CatalogueProgress,
    Device,
    DeviceOrigin,
    DeviceProblem,
    PresenceReason,
    ProblemCode,
    SignallingTransport,
)

if TYPE_CHECKING:
    from collections import Counter
    from datetime import datetime

    from commonview.media import MediaTransport
    from commonview.network.quirks import Flag, Overrides
    from commonview.wire.sip.flow import Flow


@dataclass(slots=True, eq=False)
class DeviceRecord:
    """One device, mutable, owned by the directory. Times named ``*_at`` are UTC, bare ones monotonic
    seconds."""

    id: str
    name: str = ""
    given_name: str | None = None
    manufacturer: str = ""
    model: str = ""
    firmware: str = ""
    user_agent: str = ""
    gb_version: str | None = None
    media_transport: MediaTransport | None = None
    password_sealed: bytes | None = None
    ha1: str | None = None
    transport: SignallingTransport | None = None
    peer: tuple[str, int] | None = None
    flow: Flow | None = None
    registered_at: datetime | None = None
    expires_at: datetime | None = None
    expires: float = -math.inf
    heard: float = -math.inf
    last_keepalive_at: datetime | None = None
    keepalive_unsaved: bool = False
    online: bool = False
    reason: PresenceReason = PresenceReason.NEVER_REGISTERED
    deadline: float = math.inf
    queued_for: float = math.inf
    former_peer: tuple[str, int] | None = None
    former_lost: float = -math.inf
    rival_heard: float = -math.inf
    problems: dict[ProblemCode, DeviceProblem] = field(default_factory=dict)
    catalogue: CatalogueProgress = field(default_factory=CatalogueProgress)
    origin: DeviceOrigin = DeviceOrigin.GB28181
    quirk_overrides: Overrides = ()
    quirks_fired: Counter[Flag] | None = None
    channel_count: int = 0  # rows of the catalogue, vanished ones too
    cameras: int = 0
    cameras_on: int = 0
    faulty: frozenset[str] = frozenset()  # children that the last keep-alive called faulty (9.6)
    settling_s: float = 0.0
    silence_s: float | None = None  # learnt from the device's own BasicParam; None: the installation's

    @property
    def address(self) -> str | None:
        """``host:port`` of the bound address."""
        return None if self.peer is None else f"{self.peer[0]}:{self.peer[1]}"

    @property
    def shown_name(self) -> str:
        """The operator's name, else the device's own, else its id."""
        return self.given_name or self.name or self.id

    def snapshot(self) -> Device:
        """The device as others may see it."""
        return Device(
            id=self.id,
            name=self.shown_name,
            online=self.online,
            reason=self.reason,
            address=self.address,
            signalling_transport=self.transport,
            media_transport=self.media_transport,
            manufacturer=self.manufacturer,
            model=self.model,
            firmware=self.firmware,
            user_agent=self.user_agent,
            gb_version=self.gb_version,
            has_own_password=self.password_sealed is not None,
            registered_at=self.registered_at,
            expires_at=self.expires_at,
            last_keepalive_at=self.last_keepalive_at,
            problems=tuple(self.problems.values()),
            catalogue=self.catalogue,
            origin=self.origin,
        )


@dataclass(frozen=True, slots=True)
class Registration:
    """An authenticated registration, durable before it is applied. ``expires_s`` 0 means: unregistered."""

    device_id: str
    flow: Flow
    expires_s: int
    registered_at: datetime
    expires_at: datetime
    user_agent: str
    gb_version: str | None
