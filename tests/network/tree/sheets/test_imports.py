"""Imports against a real catalogue: the dry run, what is applied, cancelled and cut short."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest

from commonview.foundation.database import Database
from commonview.network.admission.service import AdmissionDesk
from commonview.network.refusals import GuessLimiter
from commonview.network.tree import ChannelQuery, reads
from commonview.network.tree.changes import write_page
from commonview.network.tree.sheets import (
    ExportBusy,
    ImportBusy,
    ImportFailure,
    ImportJob,
    ImportNotReady,
    ImportState,
    RowField,
    RowProblem,
    TableFormat,
    Verdict,
)
from commonview.network.tree.sheets.export import Exports
from commonview.network.tree.sheets.service import ImportDesk
from commonview.security.secrets import Vault
from tests.network.tree.shelf import PLATFORM, Shelf, camera
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio
NEW = "33010200001110000001"


class Desk:
    """A desk for imports over a shelf with some cameras."""

    def __init__(self, database: Database, folder: Path, cameras: int) -> None:
        self.shelf = Shelf(database)
        self.shelf.join()
        self.database = database
        self.folder = folder
        self.ended: list[ImportJob] = []
        items = [camera(number) for number in range(cameras)]
        with database.begin() as conn:
            write_page(conn, PLATFORM, items, self.shelf.clock.now())
        vault = Vault([bytes(32)])
        self.admission = AdmissionDesk(
            "approve",
            self.shelf.directory,
            database,
            vault,
            self.shelf.clock,
            limiter=GuessLimiter,
            on_changed=lambda: None,
            on_device=lambda _device_id: None,
        )
        self.imports = ImportDesk(
            folder,
            database,
            self.shelf.directory,
            self.shelf.tree,
            self.admission,
            vault,
            self.shelf.clock,
            on_changed=lambda _import_id: None,
            on_device=lambda _device_id: None,
        )
        self.imports.set_listener(self.ended.append)
        self.exports = Exports(database, self.shelf.directory, self.shelf.tree)

    async def brought(self, data: bytes, *, apply: bool = False) -> ImportJob:
        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(data), 1000):
                yield data[start : start + 1000]

        job = await self.imports.receive(pieces(), by="a", file_name="list.csv", apply=apply)
        return await self.rested(job.id)

    async def rested(self, job_id: str) -> ImportJob:
        await until(lambda: self.imports.job(job_id).state in _RESTING)
        return self.imports.job(job_id)

    async def applied(self, data: bytes) -> ImportJob:
        job = await self.brought(data)
        assert job.state is ImportState.CHECKED, job
        await self.imports.apply(job.id)
        return await self.rested(job.id)

    def given(self, number: int) -> tuple[object, ...]:
        with self.database.read() as conn:
            row = reads.channel(conn, PLATFORM, camera(number).device_id)
        assert row is not None
        return row["given_name"], row["given_place"], row["given_longitude"], row["given_latitude"]


_RESTING = (ImportState.CHECKED, ImportState.APPLIED, ImportState.CANCELLED, ImportState.FAILED)


@pytest.fixture
async def desk(database: Database, tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(database, tmp_path / "imports", 3)
    await made.imports.prepare()
    yield made
    await made.imports.close()
    made.shelf.tree.close()


def line(number: int, rest: str) -> str:
    return f"{PLATFORM},{camera(number).device_id},{rest}\n"


HEADER = "device_id,channel_id,name,place,longitude,latitude,groups,password\n"


async def test_a_row_changes_what_it_tells_and_leaves_the_rest(desk: Desk) -> None:
    first = HEADER + line(0, "东门,North Road,120.5,30.25,,") + line(1, "West,,,,,")
    job = await desk.applied(first.encode("gb18030"))
    assert (job.counts.change, job.counts.applied, job.counts.refused) == (2, 2, 0)
    assert desk.given(0) == ("东门", "North Road", 120.5, 30.25)
    assert desk.given(1) == ("West", None, None, None)
    job = await desk.applied((HEADER + line(0, "-,,-,-,,") + line(1, "West,,,,,")).encode())
    assert desk.given(0) == (None, "North Road", None, None)
    assert (job.counts.change, job.counts.unchanged, job.counts.changes) == (
        1,
        1,
        {RowField.NAME: 1, RowField.POSITION: 1},
    )
    found = await desk.shelf.tree.search(ChannelQuery(text="West"))
    assert [one.name for one in found.channels] == ["West"]


async def test_channels_go_into_groups_by_path_and_by_id(desk: Desk) -> None:
    groups = desk.shelf.tree.groups
    city = await groups.create("city")
    north = await groups.create("north", city.id)
    await desk.applied((HEADER + line(0, f",,,,city/north|{city.id},")).encode())
    detail = await desk.shelf.tree.detail(f"{PLATFORM}-{camera(0).device_id}")
    assert set(detail.groups) == {city.id, north.id}
    assert desk.shelf.tree.group_counts.count(north.id).total == 1
    await desk.applied((HEADER + line(0, ",,,,-,")).encode())
    assert desk.shelf.tree.group_counts.count(city.id).total == 0


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (",,,,,,,", None),
        (",x,name,,,,,", RowProblem.DEVICE_ID_MISSING),
        ("a b,,,,,,,", RowProblem.ID_INVALID),
        ("3.4020000001E+19,,,,,,,", RowProblem.ID_AS_NUMBER),
        (f"{NEW},33010200001320000001,x,,,,,", RowProblem.DEVICE_UNKNOWN),
        (f"{PLATFORM},33010200001320009999,x,,,,,", RowProblem.CHANNEL_UNKNOWN),
        (line(0, "x" * 129 + ",,,,,").strip(), RowProblem.TOO_LONG),
        (line(0, "a\u0007b,,,,,").strip(), RowProblem.TEXT_INVALID),
        (line(0, ",,181,1,,").strip(), RowProblem.COORDINATE_INVALID),
        (line(0, ",,nan,1,,").strip(), RowProblem.COORDINATE_INVALID),
        (line(0, ",,1_0,1,,").strip(), RowProblem.COORDINATE_INVALID),
        (line(0, ",,10,,,").strip(), RowProblem.COORDINATE_HALF),
        (line(0, ",,,,nowhere,").strip(), RowProblem.GROUP_UNKNOWN),
        (line(0, ",,,,,Secret-1").strip(), RowProblem.NOT_FOR_CHANNELS),
        (f"{NEW},,x,somewhere,,,,", RowProblem.NOT_FOR_DEVICES),
    ],
)
async def test_a_row_that_cannot_be_says_why(desk: Desk, row: str, problem: RowProblem | None) -> None:
    job = await desk.brought((HEADER + row + "\n").encode())
    assert job.state is ImportState.CHECKED
    assert [one.problem for one in job.first_problems] == ([problem] if problem else [])
    assert job.counts.rows == (1 if problem else 0)


async def test_the_second_row_of_a_channel_is_refused(desk: Desk) -> None:
    job = await desk.applied((HEADER + line(0, "one,,,,,") + line(0, "two,,,,,")).encode())
    assert (job.counts.applied, job.counts.refused) == (1, 1)
    assert desk.given(0)[0] == "one"


async def test_devices_get_names_and_passwords_of_their_own(desk: Desk) -> None:
    data = f"{HEADER}{PLATFORM},,Centre,,,,,New-Secret-1\n{NEW},,Gate,,,,,\n".encode()
    job = await desk.applied(data)
    assert (job.counts.enrol, job.counts.change, job.counts.applied) == (1, 1, 2)
    known, enrolled = (desk.shelf.directory.get(one) for one in (PLATFORM, NEW))
    assert known is not None
    assert enrolled is not None
    assert (known.given_name, enrolled.given_name) == ("Centre", "Gate")
    assert known.password_sealed is not None
    assert b"New-Secret-1" not in known.password_sealed
    kept = b"".join(path.read_bytes() for path in desk.folder.rglob("*") if path.is_file())
    assert b"New-Secret-1" not in kept


async def test_what_changed_since_the_check_is_judged_again(desk: Desk) -> None:
    group = await desk.shelf.tree.groups.create("night")
    job = await desk.brought((HEADER + line(0, ",,,,night,") + line(1, "x,,,,,")).encode())
    await desk.shelf.tree.groups.delete(group.id)
    await desk.imports.apply(job.id)
    job = await desk.rested(job.id)
    assert (job.counts.applied, job.counts.refused) == (1, 1)
    rows = await desk.imports.rows(job.id, Verdict.REFUSED, 0, 10)
    assert [one.problem for one in rows] == [RowProblem.GROUP_UNKNOWN]


async def test_an_export_can_be_imported_again_and_changes_nothing(desk: Desk) -> None:
    city = await desk.shelf.tree.groups.create("city")
    await desk.applied((HEADER + line(0, f"=A1,-x,-1.5,2,{city.id},") + line(1, "'+b,,,,,")).encode())
    for format_ in TableFormat:
        data = b"".join(desk.exports.channels(ChannelQuery(), format_, "zh-CN"))
        job = await desk.brought(data)
        assert (job.counts.rows, job.counts.unchanged) == (3, 3), (job.first_problems, job.counts)
        await desk.imports.discard(job.id)
    text = b"".join(desk.exports.channels(ChannelQuery(), TableFormat.CSV, "en")).decode("utf-8-sig")
    listed = list(csv.DictReader(io.StringIO(text)))
    assert (listed[0]["name"], listed[0]["place"], listed[0]["longitude"]) == ("'=A1", "'-x", "-1.5")
    assert listed[0]["groups"] == "city"


async def test_an_export_is_written_in_pages_and_few_at_a_time(database: Database, tmp_path: Path) -> None:
    desk = Desk(database, tmp_path / "imports", 2500)
    first = desk.exports.channels(ChannelQuery(code="33010200"), TableFormat.CSV, "en")
    second = desk.exports.devices(TableFormat.CSV, "en")
    with pytest.raises(ExportBusy):
        desk.exports.devices(TableFormat.CSV, "en")
    assert len(b"".join(first).splitlines()) == 2501
    del second  # taken by nobody
    assert b"".join(desk.exports.devices(TableFormat.CSV, "en")).count(PLATFORM.encode()) == 1
    desk.shelf.tree.close()


async def test_many_rows_are_applied_in_batches_and_can_be_cancelled(
    database: Database, tmp_path: Path
) -> None:
    desk = Desk(database, tmp_path / "imports", 1200)
    await desk.imports.prepare()
    data = HEADER + "".join(line(number, f"name {number},,,,,") for number in range(1200))
    job = await desk.brought(data.encode())
    assert job.counts.change == 1200
    await desk.imports.apply(job.id)
    with pytest.raises(ImportNotReady):
        await desk.imports.apply(job.id)
    await until(lambda: desk.imports.job(job.id).counts.applied)
    await desk.imports.discard(job.id)
    job = await desk.rested(job.id)
    assert job.state is ImportState.CANCELLED
    assert 0 < job.counts.applied <= 1200
    named = [number for number in range(1200) if desk.given(number)[0] is not None]
    assert len(named) == job.counts.applied
    assert [one.state for one in desk.ended] == [ImportState.CANCELLED]
    await desk.imports.close()
    desk.shelf.tree.close()


async def test_only_one_import_at_a_time(desk: Desk) -> None:
    await desk.brought(HEADER.encode())
    with pytest.raises(ImportBusy):
        await desk.brought(HEADER.encode())


async def test_a_file_that_is_no_table_fails_as_a_whole(desk: Desk) -> None:
    job = await desk.brought(b"PK\x03\x04 broken")
    assert (job.state, job.failure) == (ImportState.FAILED, ImportFailure.FILE_UNREADABLE)
    assert list(desk.folder.rglob("upload")) == []
    job = await desk.brought(HEADER.encode())
    assert job.state is ImportState.CHECKED


async def test_what_a_crash_cut_short_is_told_at_the_next_start(desk: Desk) -> None:
    left = desk.folder / "crashed"
    left.mkdir()
    said = {"import_id": "crashed", "by": "a", "applied_at_least": 400}
    (left / "job.json").write_text(json.dumps(said))
    (left / "upload").write_bytes(b"device_id,password\n")
    (desk.folder / "other").mkdir()
    await desk.imports.prepare()
    assert desk.imports.interrupted == (said,)
    assert list(desk.folder.iterdir()) == []
