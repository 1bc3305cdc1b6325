"""Our subordinate role: superiors, what they are offered, and what they pull (Annexes H, I, J, K, L)."""

from commonview.network.cascade.errors import SuperiorInvalid, SuperiorShared, SuperiorUnknown
from commonview.network.cascade.ground import CascadeGround
from commonview.network.cascade.model import (
    CascadeCharset,
    CascadeTransport,
    Edition,
    Relay,
    RelayEnd,
    RelayKind,
    RelayState,
    SharedChannel,
    Superior,
    SuperiorSettings,
    SuperiorStatus,
    VirtualDirectory,
)
from commonview.network.cascade.service import Cascade
from commonview.network.cascade.shares import SharingBook

__all__ = [
    "Cascade",
    "CascadeCharset",
    "CascadeGround",
    "CascadeTransport",
    "Edition",
    "Relay",
    "RelayEnd",
    "RelayKind",
    "RelayState",
    "SharedChannel",
    "SharingBook",
    "Superior",
    "SuperiorInvalid",
    "SuperiorSettings",
    "SuperiorShared",
    "SuperiorStatus",
    "SuperiorUnknown",
    "VirtualDirectory",
]
