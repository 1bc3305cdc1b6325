"""Lists of channels and devices as files, a page at a time: the whole of a million never stands in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from commonview.network.tree import reads
from commonview.network.tree.sheets import store
from commonview.network.tree.sheets.columns import (
    CHANNEL_COLUMNS,
    DEVICE_COLUMNS,
    GROUP_SEPARATOR,
    Column,
    Language,
    heading,
)
from commonview.network.tree.sheets.model import ExportBusy, TableFormat
from commonview.network.tree.sheets.report import csv_lines
from commonview.network.tree.sheets.row_reading import GroupNames
from commonview.network.tree.sheets.xlsx_writer import xlsx_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from commonview.foundation.database import Database
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.tree.model import ChannelQuery
    from commonview.network.tree.service import ChannelTree
    from commonview.network.tree.sheets.xlsx_writer import Cell

_AT_ONCE: Final = 1000
_MOST: Final = 2


class Exports:
    """Writes lists. What is answered is read piece by piece in a thread, at the speed of whoever takes it."""

    def __init__(self, database: Database, directory: Directory, tree: ChannelTree) -> None:
        self._database = database
        self._directory = directory
        self._tree = tree
        self._running: set[object] = set()

    def channels(self, query: ChannelQuery, format_: TableFormat, language: Language) -> Iterator[bytes]:
        """Every channel that fits the query, whatever its cursor and limit.

        Raises `ExportBusy`, `TreeInvalid`, `GroupUnknown`, `DeviceUnknown` before anything is written.
        """
        search = self._tree.plan(query, _AT_ONCE)
        groups = GroupNames(self._tree.groups.all())
        header = [heading(column, language) for column in CHANNEL_COLUMNS]
        return self._written(format_, header, self._channel_rows(search, groups))

    def devices(self, format_: TableFormat, language: Language) -> Iterator[bytes]:
        """Every device. Raises `ExportBusy`."""
        ids = list(self._directory.sorted_ids())
        header = [heading(column, language) for column in DEVICE_COLUMNS]
        return self._written(format_, header, self._device_rows(ids))

    def _written(
        self, format_: TableFormat, header: list[str], rows: Iterator[Sequence[Cell]]
    ) -> Iterator[bytes]:
        if len(self._running) >= _MOST:
            raise ExportBusy(f"{_MOST} lists are being written already; try again later", retry_after_s=10)
        pieces = (
            csv_lines(_with_header(header, rows)) if format_ is TableFormat.CSV else xlsx_pieces(header, rows)
        )
        started = self._counted(pieces)
        next(started)  # from here on the end of it is sure to be noticed, taken or not
        return started

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        mine = object()
        self._running.add(mine)
        try:
            yield b""
            yield from pieces
        finally:
            self._running.discard(mine)

    def _channel_rows(self, search: reads.Search, groups: GroupNames) -> Iterator[Sequence[Cell]]:
        following: reads.Search | None = search
        while following is not None:
            with self._database.read() as conn:
                rows, following = reads.page(conn, following)
                members = store.groups_of(conn, [row["no"] for row in rows])
            for row in rows:
                record = self._directory.get(row["device_id"])
                inside = members.get(row["no"], ())
                cells = _channel(row, record, GROUP_SEPARATOR.join(groups.shown(one) for one in inside))
                yield [cells.get(column) for column in CHANNEL_COLUMNS]

    def _device_rows(self, ids: Sequence[str]) -> Iterator[Sequence[Cell]]:
        for device_id in ids:
            record = self._directory.get(device_id)
            if record is not None:
                cells = _device(record)
                yield [cells.get(column) for column in DEVICE_COLUMNS]


def _with_header(header: Sequence[str], rows: Iterator[Sequence[Cell]]) -> Iterator[Sequence[Cell]]:
    yield header
    yield from rows


def _channel(row: Mapping[str, Any], record: DeviceRecord | None, groups: str) -> dict[Column, Cell]:
    faulty = record is not None and row["gb_id"] in record.faulty
    return {
        Column.DEVICE_ID: row["device_id"],
        Column.CHANNEL_ID: row["gb_id"],
        Column.NAME: row["given_name"],
        Column.PLACE: row["given_place"],
        Column.LONGITUDE: row["given_longitude"],
        Column.LATITUDE: row["given_latitude"],
        Column.GROUPS: groups,
        Column.DEVICE_NAME: record.shown_name if record is not None else "",
        Column.ONLINE: "true" if record is not None and record.online else "false",
        Column.TOLD_NAME: row["name"],
        Column.TOLD_PLACE: row["place"],
        Column.TOLD_LONGITUDE: row["longitude"],
        Column.TOLD_LATITUDE: row["latitude"],
        Column.KIND: row["kind"],
        Column.STATUS: row["status"],
        Column.FAULT: row["fault"] or ("reported" if faulty else None),
        Column.MANUFACTURER: row["manufacturer"],
        Column.MODEL: row["model"],
        Column.CIVIL_CODE: row["civil_code"],
        Column.REGION: row["region"],
        Column.PARENT_ID: row["parent_id"],
        Column.BUSINESS_GROUP_ID: row["business_group_id"],
        Column.IP_ADDRESS: row["ip_address"],
        Column.PORT: row["port"],
        Column.PTZ_TYPE: row["ptz_type"],
    }


def _device(record: DeviceRecord) -> dict[Column, Cell]:
    return {
        Column.DEVICE_ID: record.id,
        Column.NAME: record.given_name,
        Column.ONLINE: "true" if record.online else "false",
        Column.TOLD_NAME: record.name,
        Column.MANUFACTURER: record.manufacturer,
        Column.MODEL: record.model,
        Column.FIRMWARE: record.firmware,
        Column.ORIGIN: record.origin.value,
        Column.VERSION: record.gb_version,
        Column.CAMERAS: record.cameras,
    }
