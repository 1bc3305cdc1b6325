"""Control: commands with their state, steering, configuration, snapshots, and what devices turned out not to
do."""

from commonview.network.control.driver import SteeringLease
from commonview.network.control.errors import (
    CapabilityUnknown,
    CommandUnknown,
    NeedsNewerEdition,
    NotAnswered,
    PtzBusy,
    RefusedByDevice,
    SnapshotBusy,
    SnapshotUnknown,
    UploadRefused,
    UploadUnknown,
)
from commonview.network.control.model import (
    Capability,
    CapabilityVerdict,
    Command,
    CommandFailure,
    CommandRight,
    CommandState,
    CommandStep,
    Evidence,
)
from commonview.network.control.observe import ObservationLimits
from commonview.network.control.orders import AnyManagingOrder, AnyOrder, AnySteeringOrder, Order
from commonview.network.control.service import Control
from commonview.network.control.snapshot_model import PICTURE_MAX_BYTES, Snapshot
from commonview.network.control.snapshots import SnapshotLimits, SnapshotOrder
from commonview.network.control.steering import STILL, Vector
from commonview.network.control.target import Target
from commonview.network.control.upload_address import UploadUnreachable, upload_base

__all__ = [
    "PICTURE_MAX_BYTES",
    "STILL",
    "AnyManagingOrder",
    "AnyOrder",
    "AnySteeringOrder",
    "Capability",
    "CapabilityUnknown",
    "CapabilityVerdict",
    "Command",
    "CommandFailure",
    "CommandRight",
    "CommandState",
    "CommandStep",
    "CommandUnknown",
    "Control",
    "Evidence",
    "NeedsNewerEdition",
    "NotAnswered",
    "ObservationLimits",
    "Order",
    "PtzBusy",
    "RefusedByDevice",
    "Snapshot",
    "SnapshotBusy",
    "SnapshotLimits",
    "SnapshotOrder",
    "SnapshotUnknown",
    "SteeringLease",
    "Target",
    "UploadRefused",
    "UploadUnknown",
    "UploadUnreachable",
    "Vector",
    "upload_base",
]
