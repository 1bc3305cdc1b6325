"""Checked rows become changes, some hundred a transaction: a row is applied whole or not at all."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any, Final

from commonview.network.store import save_device
from commonview.network.tree.sheets import store
from commonview.network.tree.sheets.judging import Ground, refused
from commonview.network.tree.sheets.model import RowField, RowProblem, RowReport, Verdict
from commonview.network.tree.store import set_given

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from commonview.foundation.database import Database
    from commonview.network.admission.service import AdmissionDesk
    from commonview.network.directory import Directory
    from commonview.network.tree.service import ChannelTree
    from commonview.network.tree.sheets.model import WantedRow

BATCH: Final = 400
_PATIENCE: Final = 20


class Application:
    """One job being applied. What is only in memory follows each transaction at once."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        tree: ChannelTree,
        admission: AdmissionDesk,
        on_device: Callable[[str], None],
    ) -> None:
        self._database = database
        self._directory = directory
        self._tree = tree
        self._admission = admission
        self._on_device = on_device
        self._regrouped: set[str] = set()

    async def batch(self, rows: Sequence[tuple[RowReport, WantedRow]]) -> list[RowReport]:
        """Apply rows; how they turned out, in order. Raises `StorageUnavailable`: those not answered are not
        applied."""
        newcomers = [one for report, one in rows if report.verdict is Verdict.ENROL]
        known = await self._admission.enrol(
            [
                (one.device_id, one.fields.get(RowField.NAME), _sealed(one.fields.get(RowField.PASSWORD)))
                for one in newcomers
            ]
        )
        await self._present(known)
        others = [
            one for report, one in rows if report.verdict is not Verdict.ENROL or one.device_id in known
        ]
        changed = await asyncio.to_thread(self._write, others)
        self._follow(others, changed)
        return [changed.get(report.row, report) for report, _one in rows]

    async def _present(self, device_ids: frozenset[str]) -> None:
        """A device that registers right now is written down a moment before the directory knows it."""
        for _ in range(_PATIENCE):
            if all(self._directory.get(one) is not None for one in device_ids):
                return
            await asyncio.sleep(0.05)

    def _write(self, wanted: Sequence[WantedRow]) -> dict[int, RowReport]:
        reports = {}
        with self._database.begin() as conn:
            ground = Ground(conn, self._directory, wanted)
            for one in wanted:
                report = ground.judge(one)
                if report.verdict is Verdict.ENROL:
                    report = refused(one, RowProblem.DEVICE_UNKNOWN, "device_id")
                reports[one.row] = report
                if report.verdict is Verdict.CHANGE:
                    _write_row(conn, ground, one, report)
        return reports

    def _follow(self, wanted: Sequence[WantedRow], reports: dict[int, RowReport]) -> None:
        edited = set()
        for one in wanted:
            report = reports[one.row]
            if report.verdict is not Verdict.CHANGE:
                continue
            if one.gb_id:
                edited.add(one.device_id)
                if RowField.GROUPS in report.fields:
                    self._regrouped.add(one.device_id)
                continue
            record = self._directory.get(one.device_id)
            if record is not None:
                for name, value in _device_values(one, report).items():
                    setattr(record, name, value)
                record.ha1 = None
                self._on_device(one.device_id)
        self._tree.edited(edited)

    async def finish(self) -> None:
        """Count the groups anew, once, however many rows there were."""
        if self._regrouped:
            await self._tree.regrouped(frozenset(self._regrouped))


def _write_row(conn: Connection, ground: Ground, one: WantedRow, report: RowReport) -> None:
    if not one.gb_id:
        save_device(conn, one.device_id, _device_values(one, report))
        return
    row = ground.channels[one.device_id, one.gb_id]
    values: dict[str, Any] = {}
    for field in report.fields:
        value = one.fields[field]
        if field is RowField.GROUPS:
            store.set_groups(conn, row["no"], ground.groups.get(row["no"], ()), value)
        elif field is RowField.POSITION:
            longitude, latitude = value or (None, None)
            values.update(given_longitude=longitude, given_latitude=latitude)
        else:
            values[f"given_{field.value}"] = value
    if values:
        set_given(conn, row["no"], row, values)


def _device_values(one: WantedRow, report: RowReport) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if RowField.NAME in report.fields:
        values["given_name"] = one.fields[RowField.NAME]
    if RowField.PASSWORD in report.fields:
        values["password_sealed"] = _sealed(one.fields[RowField.PASSWORD])
    return values


def _sealed(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
