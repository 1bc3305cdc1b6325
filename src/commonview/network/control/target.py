"""What a command is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commonview.network.directory import DeviceRecord


@dataclass(frozen=True, slots=True)
class Target:
    """What a command is for: a device itself, or a channel of it."""

    record: DeviceRecord
    channel_id: str | None
    gb_id: str
