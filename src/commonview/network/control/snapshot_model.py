"""Pictures that a camera uploaded on request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

KEPT_FOR: Final = timedelta(hours=24)
PICTURE_MAX_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One picture. ``file`` is its random name in the folder of snapshots; ``grant_id`` under which it was
    taken."""

    id: str
    channel_id: str
    command_id: str
    grant_id: str
    account_id: str
    file: str
    size_bytes: int
    received_at: datetime
