"""Fuzz target: any bytes as a list of channels are rows, refused rows or a refused file, never an error."""

import os
import tempfile
import zipfile
from io import BytesIO
from itertools import islice
from pathlib import Path

from commonview.network.tree.sheets.checking import table_rows
from commonview.network.tree.sheets.columns import guarded, read_header, unguarded
from commonview.network.tree.sheets.model import TableInvalid, WantedRow
from commonview.network.tree.sheets.row_reading import GroupNames, read_row


def _workbook() -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        related = "http://x/relationships"
        book = f'<Relationship Id="a" Type="{related}/officeDocument" Target="w"/>'
        archive.writestr("_rels/.rels", f"<R>{book}</R>")
        archive.writestr("w", '<w xmlns:r="r"><sheet r:id="b"/></w>')
        archive.writestr(
            "_rels/w.rels", f'<R><Relationship Id="b" Type="{related}/worksheet" Target="s"/></R>'
        )
        archive.writestr(
            "s", '<s><row><c t="str"><v>device_id</v></c></row><row r="3"><c r="A3"><v>1</v></c></row></s>'
        )
    return file.getvalue()


SEEDS = [
    b"device_id,channel_id,name,place,longitude,latitude,groups,password\r\n1,2,=x,-,-1.5,2,a|b,\r\n1,,n,,,,,p\r\n",
    '设备编号;名称\n34020000001320000001;"东\n门"\n'.encode("gb18030"),
    b"\xef\xbb\xbfsep=\t\ndevice_id\tname\n3.4E+19\t'@x\n",
    b"\xff\xfed\x00e\x00v\x00i\x00c\x00e\x00_\x00i\x00d\x00\n\x001\x00\n\x00",
    _workbook(),
]

_ROWS = 2000
_FILE = Path(tempfile.gettempdir()) / f"commonview-fuzz-sheets-{os.getpid()}"


def one_input(data: bytes) -> None:
    _FILE.write_bytes(data)
    try:
        _read()
    except TableInvalid as refused:
        if not refused.message or not refused.failure:
            raise AssertionError("a refusal without words") from None
    finally:
        _FILE.unlink()


def _told(share: float) -> None:
    if not 0 <= share <= 1:
        raise AssertionError(f"{share} of the file is read")


def _read() -> None:
    rows = table_rows(_FILE, _told)
    first = next(rows, None)
    if first is None:
        return
    header, _ignored = read_header(first[1])
    groups = GroupNames(())
    before = first[0]
    for number, cells in islice(rows, _ROWS):
        if number <= before:
            raise AssertionError("rows do not follow one another")
        before = number
        for cell in cells:
            if unguarded(guarded(cell)) != cell:
                raise AssertionError(f"{cell!r} does not come back")
        row = read_row(number, cells, header, groups)
        if isinstance(row, WantedRow) and not row.device_id:
            raise AssertionError("a row without a device")
