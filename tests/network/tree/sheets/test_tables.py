"""Files of people and of attackers, read as tables or refused whole."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import openpyxl
import pytest

from commonview.network.tree.sheets.checking import table_rows
from commonview.network.tree.sheets.columns import Column, guarded, read_header, unguarded
from commonview.network.tree.sheets.model import ImportFailure, TableInvalid
from commonview.network.tree.sheets.xlsx_writer import Cell, xlsx_pieces
from tests.network.tree.sheets.files import archive, sheet, workbook

if TYPE_CHECKING:
    from pathlib import Path


def rows(path: Path) -> list[list[str]]:
    return [cells for _number, cells in table_rows(path, lambda _share: None)]


def failure(path: Path) -> ImportFailure:
    with pytest.raises(TableInvalid) as refused:
        rows(path)
    return refused.value.failure


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_text_file_is_read_in_every_encoding_and_with_every_delimiter(
    tmp_path: Path, encoding: str, delimiter: str
) -> None:
    path = tmp_path / "list"
    lines = [["设备编号", "名称"], ["1", f'东门 "A"{delimiter} 二\n楼']]
    quoted = "\r\n".join(
        delimiter.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines
    )
    path.write_bytes(quoted.encode(encoding))
    assert rows(path) == lines


def test_the_first_line_may_name_the_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("sep=;\ndevice_id;name, of it\n")
    assert rows(path) == [["device_id", "name, of it"]]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ImportFailure.FILE_EMPTY),
        (b"\xd0\xcf\x11\xe0 old workbook", ImportFailure.FILE_UNREADABLE),
        (b"device_id\n\xff\xff\xff", ImportFailure.ENCODING_UNKNOWN),
        (b"device_id\n1\0\n", ImportFailure.FILE_UNREADABLE),
        (b"device_id\n" + b"x" * 200_000, ImportFailure.FILE_UNREADABLE),
        (b'device_id\n"' + b"x\n" * 5000, ImportFailure.FILE_UNREADABLE),
        (b'device_id\n"' + b"x" * 140_000 + b'"\n', ImportFailure.FILE_UNREADABLE),
        (b"PK\x03\x04 nothing more", ImportFailure.FILE_UNREADABLE),
    ],
)
def test_a_file_that_is_no_table_is_refused_whole(
    tmp_path: Path, data: bytes, expected: ImportFailure
) -> None:
    path = tmp_path / "list"
    path.write_bytes(data)
    assert failure(path) is expected


def test_a_workbook_of_others_is_read(tmp_path: Path) -> None:
    told: list[list[object]] = [
        ["device_id", "name", "longitude"],
        ["34020000001320000001", "东门", 120.5],
        [None, True, 7],
    ]
    assert rows(workbook(tmp_path / "list", told)) == [
        ["device_id", "name", "longitude"],
        ["34020000001320000001", "东门", "120.5"],
        ["", "1", "7"],
    ]


def test_our_workbook_is_read_by_others_and_by_us(tmp_path: Path) -> None:
    told: list[list[Cell]] = [["34020000001320000001", "=1+1 <东&门>\x07", -1.5, None], ["b", "", 3, "x"]]
    data = b"".join(xlsx_pieces(["id", "name", "x", "y"], told))
    seen = openpyxl.load_workbook(io.BytesIO(data)).worksheets[0]
    assert [cell.value for cell in seen[2]] == [told[0][0], "'=1+1 <东&门>\ufffd", -1.5, None]
    assert [cell.data_type for cell in seen[2]][:3] == ["s", "s", "n"]
    assert seen["A2"].number_format == "@"
    path = tmp_path / "list"
    path.write_bytes(data)
    assert rows(path)[1:] == [["34020000001320000001", "'=1+1 <东&门>\ufffd", "-1.5"], ["b", "", "3", "x"]]


def test_cells_without_references_and_rich_texts_are_read(tmp_path: Path) -> None:
    rich = '<c t="inlineStr"><is><r><t>东</t></r><r><t>门</t></r><rPh sb="0"><t>dong</t></rPh></is></c>'
    path = archive(
        tmp_path / "list", {"xl/worksheets/sheet1.xml": sheet(f"<row>{rich}<c><v>5</v></c></row>")}
    )
    assert rows(path) == [["东门", "5"]]


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("nested", sheet("<row>" + "<c>" * 100_000), ImportFailure.FILE_UNREADABLE),
        ("doctype", '<!DOCTYPE a [<!ENTITY b "b">]><a>&b;</a>', ImportFailure.FILE_UNREADABLE),
        ("broken", "<worksheet><sheetData><row>", ImportFailure.FILE_UNREADABLE),
        ("binary", b"\x00\xff" * 100, ImportFailure.FILE_UNREADABLE),
    ],
)
def test_hostile_sheets_are_refused(
    tmp_path: Path, name: str, data: str | bytes, expected: ImportFailure
) -> None:
    assert failure(archive(tmp_path / name, {"xl/worksheets/sheet1.xml": data})) is expected


def test_a_row_of_a_million_cells_keeps_its_first(tmp_path: Path) -> None:
    cells = "<c><v>1</v></c>" * 200_000
    path = archive(tmp_path / "list", {"xl/worksheets/sheet1.xml": sheet(f"<row>{cells}</row>")})
    assert [len(row) for row in rows(path)] == [64]


def test_an_archive_that_would_unpack_to_too_much_is_not_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path / "list", {"xl/workbook.xml": b" " * (5 << 20)})
    assert failure(path) is ImportFailure.ARCHIVE_TOO_LARGE
    many = archive(tmp_path / "many", {f"x/{number}": "" for number in range(600)})
    assert failure(many) is ImportFailure.ARCHIVE_TOO_LARGE
    directory = archive(tmp_path / "directory", {f"{'x' * 2000}{number}": "" for number in range(600)})
    assert failure(directory) is ImportFailure.ARCHIVE_TOO_LARGE


def test_a_part_that_says_less_than_it_holds_fails_its_checksum(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "list", {"xl/worksheets/sheet1.xml": sheet("<row><c><v>1</v></c></row>" * 1000)}
    )
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as made:
        size = made.getinfo("xl/worksheets/sheet1.xml").file_size
    for at in range(len(data) - 4):
        if data[at : at + 4] == size.to_bytes(4, "little"):
            data[at : at + 4] = (100).to_bytes(4, "little")
    path.write_bytes(data)
    assert failure(path) is ImportFailure.FILE_UNREADABLE


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_packings_are_refused(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "list", "w", method) as made:
        made.writestr("xl/workbook.xml", "<workbook/>" * 100)
    assert failure(tmp_path / "list") is ImportFailure.FILE_UNREADABLE


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "'=1", "''-", "plain", "'quoted'", "", "\tx"])
def test_what_a_spreadsheet_would_compute_is_guarded_and_read_back(text: str) -> None:
    written = guarded(text)
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert unguarded(written) == text


def test_headings_are_known_in_both_languages_and_others_are_named() -> None:
    header, ignored = read_header(["\u901a\u9053\u7f16\u53f7", " Device ID ", "told_name", "备注", ""])
    assert header == {Column.CHANNEL_ID: 0, Column.DEVICE_ID: 1}
    assert ignored == ("told_name", "备注")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["name"], ImportFailure.COLUMN_MISSING),
        (["device_id", "设备编号"], ImportFailure.COLUMN_TWICE),
    ],
)
def test_a_header_that_cannot_be_is_refused(cells: list[str], expected: ImportFailure) -> None:
    with pytest.raises(TableInvalid) as refused:
        read_header(cells)
    assert refused.value.failure is expected
