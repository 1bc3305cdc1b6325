"""Tables of cameras that operators filled in: checked row by row, tried or carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from commonview.api.schemas_import import ImportedRow, RowFault, RowOutcome
from commonview.network import ChannelUnknown
from commonview.network.tree import TreeInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from commonview.api.schemas_import import ImportRow
    from commonview.network.tree import ChannelDetail
    from commonview.network.tree.groups import Groups
    from commonview.network.tree.service import ChannelTree

_MAX_NAME: Final = 128
_DEEPEST: Final = 8


class _Refused(Exception):
    def __init__(self, fault: RowFault, field: str) -> None:
        super().__init__(fault.value)
        self.fault, self.field = fault, field


@dataclass(frozen=True, slots=True)
class _Wish:
    """What one row asks for; None leaves a field as it is."""

    name: str | None
    place: str | None
    position: tuple[float, float] | None
    groups: tuple[tuple[str, ...], ...]


class ChannelImport:
    """Rows of one table, some at a time. A row is carried out whole or not at all."""

    def __init__(self, tree: ChannelTree, *, dry_run: bool) -> None:
        self._tree = tree
        self._dry_run = dry_run
        self._seen: set[str] = set()

    async def rows(self, rows: Iterable[ImportRow]) -> list[ImportedRow]:
        """What came of each row; one that is refused does not hold up the others."""
        return [await self._row(row) for row in rows]

    async def _row(self, row: ImportRow) -> ImportedRow:
        try:
            changed = await self._carry_out(row)
        except _Refused as refused:
            return ImportedRow(
                row=row.row, outcome=RowOutcome.REFUSED, fault=refused.fault, field=refused.field
            )
        outcome = RowOutcome.CHANGED if changed else RowOutcome.UNCHANGED
        return ImportedRow(row=row.row, outcome=outcome, fault=None, field="")

    async def _carry_out(self, row: ImportRow) -> bool:
        channel_id = f"{row.device_id}-{row.gb_id}"
        if channel_id in self._seen:
            raise _Refused(RowFault.TWICE, "gb_id")
        self._seen.add(channel_id)
        try:
            detail = await self._tree.detail(channel_id)
        except ChannelUnknown:
            raise _Refused(RowFault.CHANNEL_UNKNOWN, "gb_id") from None
        wish = _wish(row)
        edits = _differs(detail, wish)
        joins = [path for path in wish.groups if self._group_id(path) not in detail.groups]
        if not self._dry_run:
            if edits:
                await self._tree.edit(channel_id, name=wish.name, place=wish.place, position=wish.position)
            for path in joins:
                await self._join(path, row)
        return edits or bool(joins)

    @property
    def _groups(self) -> Groups:
        return self._tree.groups

    def _group_id(self, path: tuple[str, ...]) -> str | None:
        """The group at the end of a path of names; None when there is none."""
        parent = ""
        for name in path:
            found = next((one for one in self._groups.children(parent) if one.name == name), None)
            if found is None:
                return None
            parent = found.id
        return parent

    async def _join(self, path: tuple[str, ...], row: ImportRow) -> None:
        parent = ""
        try:
            for depth in range(1, len(path) + 1):
                known = self._group_id(path[:depth])
                parent = known or (await self._groups.create(path[depth - 1], parent)).id
            await self._groups.add(parent, [(row.device_id, row.gb_id)])
        except TreeInvalid:
            raise _Refused(RowFault.GROUP_INVALID, "groups") from None


def _wish(row: ImportRow) -> _Wish:
    for field in ("name", "place"):
        text = getattr(row, field)
        if text and (len(text) > _MAX_NAME or not text.isprintable()):
            raise _Refused(RowFault.TEXT_INVALID, field)
    return _Wish(row.name or None, row.place or None, _position(row), tuple(map(_path, row.groups)))


def _position(row: ImportRow) -> tuple[float, float] | None:
    if not row.longitude and not row.latitude:
        return None
    if not row.longitude or not row.latitude:
        raise _Refused(RowFault.POSITION_INCOMPLETE, "latitude" if row.longitude else "longitude")
    return _degrees(row.longitude, 180, "longitude"), _degrees(row.latitude, 90, "latitude")


def _degrees(text: str, most: int, field: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("inf")
    if not -most <= value <= most:
        raise _Refused(RowFault.COORDINATE_INVALID, field)
    return value


def _path(text: str) -> tuple[str, ...]:
    path = tuple(part.strip() for part in text.split("/"))
    if not all(path) or len(path) > _DEEPEST or not text.isprintable():
        raise _Refused(RowFault.GROUP_INVALID, "groups")
    return path


def _differs(detail: ChannelDetail, wish: _Wish) -> bool:
    shown = detail.channel
    return (
        wish.name not in (None, shown.name)
        or wish.place not in (None, shown.place)
        or wish.position not in (None, (shown.longitude, shown.latitude))
    )
