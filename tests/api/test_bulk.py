"""Lists of channels as files, through the API: rights, bounds, the books."""

import csv
import io
from typing import Any

import httpx
import openpyxl
import pytest

from commonview.api.middleware import IMPORT_PATH
from commonview.network.tree.sheets import MAX_UPLOAD_BYTES
from commonview.security import Role
from tests.api.harness import Harness
from tests.waiting import answered

pytestmark = pytest.mark.anyio

NEW = "34020000001110000042"
OWN = "Own-Password-1"


async def until_it_rests(client: httpx.AsyncClient, import_id: str) -> dict[str, Any]:
    path, busy = f"/api/imports/{import_id}", ("receiving", "checking", "applying")
    answer = await answered(lambda: client.get(path), lambda told: told.json()["state"] not in busy)
    job: dict[str, Any] = answer.json()
    return job


async def brought(client: httpx.AsyncClient, text: str, **params: str) -> dict[str, Any]:
    answer = await client.post(
        "/api/imports", params={"file_name": "list.csv", **params}, content=text.encode("utf-8-sig")
    )
    assert answer.status_code == 202, answer.text
    return await until_it_rests(client, answer.json()["id"])


async def test_devices_are_enrolled_only_after_somebody_applied_what_was_checked(made: Harness) -> None:
    maintainer, auditor = await made.signed_in(Role.MAINTAINER), await made.signed_in(Role.AUDITOR)
    job = await brought(maintainer, f"device_id,name,password\n{NEW},东门,{OWN}\nnot an id,,\n")
    assert (job["state"], job["counts"]["enrol"], job["counts"]["refused"]) == ("checked", 1, 1)
    assert job["first_problems"][0]["problem"] == "id_invalid"
    assert made.network.directory.get(NEW) is None
    applying = await maintainer.post(f"/api/imports/{job['id']}/apply")
    assert applying.status_code == 202
    job = await until_it_rests(maintainer, job["id"])
    assert (job["state"], job["counts"]["applied"]) == ("applied", 1)
    record = made.network.directory.get(NEW)
    assert record is not None
    assert record.given_name == "东门"
    assert record.password_sealed is not None
    await made.context.imports.drain()
    entries = (await auditor.get("/api/audit")).text
    assert '"import.apply"' in entries
    assert '"done"' in entries
    assert OWN not in entries
    rows = (await maintainer.get(f"/api/imports/{job['id']}/rows")).text
    assert OWN not in rows
    kept = b"".join(path.read_bytes() for path in made.data.root.rglob("*") if path.is_file())
    assert OWN.encode() not in kept


async def test_without_a_dry_run_rows_are_applied_after_the_check(made: Harness) -> None:
    maintainer = await made.signed_in(Role.MAINTAINER)
    job = await brought(maintainer, f"设备编号;名称\n{NEW};东门\n", dry_run="false")
    assert (job["state"], job["counts"]["applied"]) == ("applied", 1)


async def test_there_is_one_import_at_a_time_and_it_can_be_given_up(made: Harness) -> None:
    maintainer = await made.signed_in(Role.MAINTAINER)
    job = await brought(maintainer, f"device_id\n{NEW}\n")
    again = await maintainer.post("/api/imports", params={"file_name": "b.csv"}, content=b"device_id\n")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "import_busy")
    assert (await maintainer.delete(f"/api/imports/{job['id']}")).json()["state"] == "cancelled"
    assert (await maintainer.get(f"/api/imports/{job['id']}")).status_code == 404
    assert (await brought(maintainer, f"device_id\n{NEW}\n"))["state"] == "checked"


async def test_the_refused_rows_come_as_a_file_without_formulas(made: Harness) -> None:
    maintainer = await made.signed_in(Role.MAINTAINER)
    job = await brought(maintainer, f'device_id,groups\n"=cmd|1",\n{NEW},\n{NEW},\n')
    answer = await maintainer.get(f"/api/imports/{job['id']}/errors.csv")
    lines = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert lines[0] == ["row", "id", "column", "problem", "detail"]
    assert lines[1] == ["2", "'=cmd|1", "device_id", "id_invalid", "'=cmd|1"]
    assert lines[2] == ["4", NEW, "device_id", "duplicate_row", "3"]


async def test_an_operator_may_read_the_lists_and_bring_none(made: Harness) -> None:
    operator = await made.signed_in(Role.OPERATOR)
    assert (await operator.get("/api/channels/export")).status_code == 200
    refused = await operator.post("/api/imports", params={"file_name": "a.csv"}, content=b"device_id\n")
    assert refused.status_code == 403
    assert (await operator.get("/api/imports")).status_code == 403


async def test_lists_are_written_in_both_formats_and_languages(made: Harness) -> None:
    operator = await made.signed_in(Role.OPERATOR)
    listed = await operator.get("/api/channels/export", params={"language": "zh-CN"})
    assert listed.content.startswith("\ufeff设备编号,通道编号,名称".encode())
    answer = await operator.get("/api/devices/export", params={"format": "xlsx"})
    assert "attachment" in answer.headers["content-disposition"]
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    assert [cell.value for cell in book.worksheets[0][1]][:4] == [
        "device_id",
        "channel_id",
        "name",
        "password",
    ]


async def test_a_file_that_announces_too_much_is_not_read(made: Harness) -> None:
    maintainer = await made.signed_in(Role.MAINTAINER)
    answer = await maintainer.post(
        IMPORT_PATH,
        params={"file_name": "a.csv"},
        headers={"Content-Length": str(MAX_UPLOAD_BYTES + 1)},
        content=b"x",
    )
    assert answer.status_code == 413


async def test_a_body_without_an_announced_length_ends_at_the_bound(made: Harness) -> None:
    maintainer = await made.signed_in(Role.MAINTAINER)

    async def endless() -> Any:
        while True:
            yield bytes(4 << 20)

    answer = await maintainer.post(IMPORT_PATH, params={"file_name": "a.csv"}, content=endless())
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert (await maintainer.get("/api/imports")).json()["items"] == []
