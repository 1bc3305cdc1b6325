"""What somebody types into the tree: devices and cameras by name, id or address; and the tree in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from commonview.network.tree.model import ChannelPage, ChannelQuery, TreeCounts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from commonview.network.directory import Directory

_CODE_DIGITS: Final = 3
"""So many digits are taken for the beginning of an id first; fewer are part of a name."""

_BY_NAME: Final = "n"
"""Begins the cursors of a search by name, so that its next page is one too."""


class Finder:
    """Looks through the directory in memory, and through the cameras by `search`."""

    def __init__(
        self, directory: Directory, search: Callable[[ChannelQuery], Awaitable[ChannelPage]]
    ) -> None:
        self._directory = directory
        self._search = search

    async def cameras(self, text: str, cursor: str, limit: int) -> ChannelPage:
        """Cameras by what somebody types: digits begin an id, anything else, or digits of no id, are sought
        anywhere in the name. Raises `TreeInvalid`.
        """
        if (
            text.isascii()
            and text.isdigit()
            and len(text) >= _CODE_DIGITS
            and not cursor.startswith(_BY_NAME)
        ):
            page = await self._search(ChannelQuery(code=text, cursor=cursor, limit=limit))
            if page.channels or cursor:
                return page
        page = await self._search(ChannelQuery(text=text, cursor=cursor.removeprefix(_BY_NAME), limit=limit))
        return ChannelPage(page.channels, None if page.cursor is None else f"{_BY_NAME}{page.cursor}")

    def devices(self, text: str, limit: int) -> list[str]:
        """Ids of the first devices whose name, id or address holds a text, by id."""
        sought, found = text.casefold(), []
        for device_id in self._directory.sorted_ids():
            record = self._directory.get(device_id)
            if record is None:
                continue
            if sought in f"{device_id}\n{record.shown_name}\n{record.address or ''}".casefold():
                found.append(device_id)
                if len(found) >= limit:
                    break
        return found

    def counts(self) -> TreeCounts:
        """The whole tree in numbers."""
        devices = online = problems = cameras = on = 0
        for record in self._directory.records():
            devices += 1
            online += record.online
            problems += bool(record.problems)
            cameras += record.cameras
            on += record.cameras_on if record.online else 0
        return TreeCounts(devices, online, problems, cameras, on)
