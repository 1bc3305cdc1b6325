"""Profiles of devices, as operators see and override them."""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonview.network import store
from commonview.network.errors import DeviceInvalid
from commonview.network.quirks.profile import (
    QuirkInvalid,
    checked_overrides,
    peer_profile,
    reasons_of,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonview.foundation.database import Database
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.quirks.profile import Reason, Setting


@dataclass(frozen=True, slots=True)
class PeerQuirks:
    """One device: its profile's name parts, what the operator set, how often anything fired."""

    device_id: str
    name: str
    manufacturer: str
    model: str
    firmware: str
    user_agent: str
    version: str
    charset: str
    entries: tuple[str, ...]
    overrides: dict[str, str]
    fired: int


@dataclass(frozen=True, slots=True)
class PeerQuirksDetail:
    """One device with every flag and every reason."""

    peer: PeerQuirks
    settings: tuple[Setting, ...]
    reasons: tuple[Reason, ...]


class QuirkDesk:
    """Shows profiles and keeps overrides. `override` returns once the change is durable."""

    def __init__(
        self, directory: Directory, database: Database, *, on_changed: Callable[[str], None]
    ) -> None:
        self._directory = directory
        self._database = database
        self._on_changed = on_changed

    def page(self, cursor: str, limit: int) -> tuple[tuple[PeerQuirks, ...], str | None]:
        """Devices by id after `cursor`, and the cursor of the next page."""
        ids = self._directory.sorted_ids()
        start = bisect_right(ids, cursor) if cursor else 0
        page = ids[start : start + limit]
        peers = tuple(_peer(self._directory.require(device_id)) for device_id in page)
        return peers, page[-1] if start + limit < len(ids) else None

    def of(self, device_id: str) -> PeerQuirksDetail:
        """One device. Raises `DeviceUnknown`."""
        record = self._directory.require(device_id)
        return PeerQuirksDetail(_peer(record), settings_of(record), reasons_of(peer_profile(record)))

    async def override(self, device_id: str, overrides: dict[str, str]) -> PeerQuirksDetail:
        """Set what the operator decides, replacing what he set before; empty for the table's word alone.

        Raises `DeviceUnknown`, `DeviceInvalid`, `StorageUnavailable`.
        """
        record = self._directory.require(device_id)
        try:
            checked = checked_overrides(overrides)
        except QuirkInvalid as error:
            raise DeviceInvalid(str(error), field="overrides") from None

        def write() -> None:
            with self._database.begin() as conn:
                store.save_device(conn, device_id, {"quirks": json.dumps(checked)})

        await asyncio.to_thread(write)
        record.quirk_overrides = checked
        self._on_changed(device_id)
        return self.of(device_id)


def _peer(record: DeviceRecord) -> PeerQuirks:
    profile = peer_profile(record)
    return PeerQuirks(
        device_id=record.id,
        name=record.shown_name,
        manufacturer=record.manufacturer,
        model=record.model,
        firmware=record.firmware,
        user_agent=record.user_agent,
        version=profile.version.header,
        charset=profile.charset,
        entries=profile.entries,
        overrides=dict(record.quirk_overrides),
        fired=record.quirks_fired.total() if record.quirks_fired is not None else 0,
    )
