"""What the older edition cannot read is not sent to it (Annex I)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonview.network.control.errors import NeedsNewerEdition
from commonview.network.quirks import peer_profile

if TYPE_CHECKING:
    from commonview.network.directory import DeviceRecord
    from commonview.wire.version import GbVersion


def require_edition(record: DeviceRecord, since: GbVersion, what: str) -> None:
    """Raises `NeedsNewerEdition` when the device speaks an edition before ``since``."""
    version = peer_profile(record).version
    if version < since:
        raise NeedsNewerEdition(
            f"{what} exists since X-GB-Ver {since.header}; device {record.id} speaks {version.header}",
            device_id=record.id,
            what=what,
            since=since.header,
            version=version.header,
        )
