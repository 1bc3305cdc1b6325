"""What linkages may do in this house."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonview.foundation.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.model import Channel, LiveSession


class HouseActions:
    """Starts streams that nobody sees yet, and turns cameras to presets."""

    def __init__(
        self,
        directory: Directory,
        start_live: Callable[[DeviceRecord, Channel, str], LiveSession],
        call_preset: Callable[[str, int], Awaitable[object]],
    ) -> None:
        """``start_live(record, channel, access_id)`` keeps a place for a viewer who may never come."""
        self._directory = directory
        self._start_live = start_live
        self._call_preset = call_preset

    def channel_exists(self, channel_id: str) -> bool:
        """See `Actions.channel_exists`."""
        return self._directory.channel(channel_id) is not None

    async def prepare_stream(self, channel_id: str) -> None:
        """See `Actions.prepare_stream`. The session's idle time ends it when no viewer comes."""
        found = self._directory.channel(channel_id)
        if found is not None:
            # No ticket exists for this id, so nobody can be its viewer.
            self._start_live(*found, f"linkage-{new_id()}")

    async def call_preset(self, channel_id: str, preset: int) -> None:
        """See `Actions.call_preset`."""
        await self._call_preset(channel_id, preset)
