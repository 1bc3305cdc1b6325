"""Archives that are never written: what unpacks them finds the files, whatever part is asked for when."""

from __future__ import annotations

import io
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonview.rendering.package import Member, Package, Piece

AT = datetime(2026, 11, 22, 12, 30, 14, tzinfo=UTC)


def member(folder: Path, name: str, content: bytes) -> Member:
    path = folder / f"{zlib.crc32(name.encode()):08x}"
    path.write_bytes(content)
    return Member(name, path, len(content), zlib.crc32(content))


def octets(piece: Piece) -> bytes:
    if piece.path is None:
        assert piece.content is not None
        return piece.content
    with piece.path.open("rb") as file:
        file.seek(piece.begin)
        return file.read(piece.length)


def read(package: Package, begin: int, end: int) -> bytes:
    return b"".join(octets(piece) for piece in package.pieces(begin, end))


def test_what_unpacks_it_finds_every_file(tmp_path: Path) -> None:
    contents = {"manifest.json": b"{}", "大门/东-1.mp4": b"x" * 70_000, "empty": b""}
    package = Package([member(tmp_path, *one) for one in contents.items()], AT)
    whole = read(package, 0, package.length)
    assert len(whole) == package.length
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == contents
        assert {one.date_time for one in archive.infolist()} == {(2026, 11, 22, 12, 30, 14)}
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_STORED}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=5), st.data())
def test_any_part_is_that_part_of_the_whole(
    tmp_path: Path, contents: list[bytes], data: st.DataObject
) -> None:
    package = Package([member(tmp_path, f"{n}.bin", one) for n, one in enumerate(contents)], AT)
    whole = read(package, 0, package.length)
    begin = data.draw(st.integers(0, package.length - 1))
    end = data.draw(st.integers(begin, package.length))
    assert read(package, begin, end) == whole[begin:end]


@pytest.mark.parametrize("sizes", [(2**32 + 5, 7), (2**31, 2**31, 2**31, 9)])
def test_more_than_four_gigabytes_are_told_by_zip64(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    members = []
    for number, size in enumerate(sizes):
        path = tmp_path / str(number)
        with path.open("wb") as file:
            file.truncate(size)  # a hole: takes no room
        members.append(Member(f"{number}.mp4", path, size, 0))
    package = Package(members, AT)
    layout = tmp_path / "whole.zip"
    with layout.open("wb") as file:
        file.truncate(package.length)
        at = 0
        for piece in package.pieces(0, package.length):
            if piece.content is not None:
                file.seek(at)
                file.write(piece.content)
            at += piece.length
    with zipfile.ZipFile(layout) as archive:
        assert [one.file_size for one in archive.infolist()] == list(sizes)
        for one in archive.infolist():
            assert archive.open(one).name == one.filename  # its own header is where the directory says


def test_the_validator_changes_with_the_content(tmp_path: Path) -> None:
    package = Package([member(tmp_path, "a", b"1")], AT)
    assert package.etag(["x"]) == package.etag(["x"])
    assert package.etag(["x"]) != package.etag(["y"])
