"""What rows come to against what is there: the dry run, and once more when they are applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commonview.network.model import DeviceOrigin
from commonview.network.tree.sheets import store
from commonview.network.tree.sheets.model import RowField, RowProblem, RowReport, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.tree.sheets.model import WantedRow


class Ground:
    """What is there of everything that some rows speak of."""

    def __init__(self, conn: Connection, directory: Directory, wanted: Sequence[WantedRow]) -> None:
        self._directory = directory
        keys = [(one.device_id, one.gb_id) for one in wanted if one.gb_id]
        self.channels = store.rows_of(conn, keys)
        nos = [
            self.channels[one.device_id, one.gb_id]["no"]
            for one in wanted
            if RowField.GROUPS in one.fields and (one.device_id, one.gb_id) in self.channels
        ]
        self.groups = store.groups_of(conn, nos)
        named = {group for one in wanted for group in one.fields.get(RowField.GROUPS) or ()}
        self._standing = store.standing_groups(conn, named)

    def judge(self, one: WantedRow) -> RowReport:
        """The verdict on a row."""
        record = self._directory.get(one.device_id)
        if not one.gb_id:
            return _device(one, record)
        if record is None:
            return refused(one, RowProblem.DEVICE_UNKNOWN, "device_id")
        row = self.channels.get((one.device_id, one.gb_id))
        if row is None:
            return refused(one, RowProblem.CHANNEL_UNKNOWN, "channel_id")
        gone = set(one.fields.get(RowField.GROUPS) or ()) - self._standing
        if gone:
            return refused(one, RowProblem.GROUP_UNKNOWN, "groups", min(gone))
        return _verdict(one, self._changes(one.fields, row))

    def _changes(self, fields: Mapping[RowField, Any], row: Mapping[str, Any]) -> tuple[RowField, ...]:
        now = {
            RowField.NAME: row["given_name"],
            RowField.PLACE: row["given_place"],
            RowField.POSITION: _pair(row["given_longitude"], row["given_latitude"]),
            RowField.GROUPS: self.groups.get(row["no"], ()),
        }
        return tuple(field for field, value in fields.items() if now[field] != value)


def refused(one: WantedRow, problem: RowProblem, column: str, detail: str = "") -> RowReport:
    """A row that cannot be applied."""
    return RowReport(one.row, one.key, Verdict.REFUSED, (), problem, column, detail)


def _device(one: WantedRow, record: DeviceRecord | None) -> RowReport:
    if record is None:
        told = tuple(field for field, value in one.fields.items() if value is not None)
        return RowReport(one.row, one.key, Verdict.ENROL, told)
    if RowField.PASSWORD in one.fields and record.origin is not DeviceOrigin.GB28181:
        return refused(one, RowProblem.NOT_FOR_ITS_PROTOCOL, "password")
    now = {RowField.NAME: record.given_name}
    if one.fields.get(RowField.PASSWORD, "") is None and record.password_sealed is None:
        now[RowField.PASSWORD] = None
    # Nobody can see whether a password is the one that was set before: it counts as a change.
    changes = (field for field, value in one.fields.items() if field not in now or now[field] != value)
    return _verdict(one, tuple(changes))


def _verdict(one: WantedRow, changes: tuple[RowField, ...]) -> RowReport:
    return RowReport(one.row, one.key, Verdict.CHANGE if changes else Verdict.UNCHANGED, changes)


def _pair(longitude: float | None, latitude: float | None) -> tuple[float, float] | None:
    return None if longitude is None or latitude is None else (longitude, latitude)
