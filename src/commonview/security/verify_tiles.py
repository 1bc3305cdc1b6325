"""The files of the log against each other and against the signed root; damage is located.

Three things say the same in different ways: the entries, the hashes of the entries (tile level 0), and the
signed root. Whichever of the first two still gives the signed root is right, and the other is damaged where
they differ.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonview.security.merkle import HASH_SIZE, Frontier, leaf_hash, perfect_root
from commonview.security.tiles import (
    CHECKPOINT_FILE,
    KEY_FILE,
    TILE_WIDTH,
    pack_entries,
    split_hashes,
    tile_number,
    tile_path,
    tiles_of,
    unpack_entries,
)
from commonview.security.verify_report import FindingKind, VerifyReport, describe

_TILE: Final = re.compile(
    r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([0-9]{1,3}))?"
)
_LEFT_BY_CRASH: Final = re.compile(r"\.[^/]+\.writing")


@dataclass(frozen=True, slots=True)
class _Bundle:
    """256 entries, or fewer at the end: what the files say of them."""

    first: int
    entries: list[bytes]
    hashes: list[bytes]  # of the entries, computed
    tile: list[bytes]  # as tile level 0 has them
    entry_file: str
    tile_file: str


class _Folder:
    """The files there are, by what they hold; widths in ascending order."""

    def __init__(self, report: VerifyReport) -> None:
        self._root = report.folder
        self._report = report
        self._widths: dict[tuple[int | None, int], list[int]] = {}
        for path in sorted(self._root.rglob("*")):
            if path.is_dir():
                continue
            name = path.relative_to(self._root).as_posix()
            if name in (CHECKPOINT_FILE, KEY_FILE) or _LEFT_BY_CRASH.fullmatch(path.name):
                continue
            key = _parse(name)
            if key is None:
                report.add(FindingKind.FILE_UNEXPECTED, name, f"{name} does not belong to the log")
                continue
            level, number, width = key
            self._widths.setdefault((level, number), []).append(width)
        for widths in self._widths.values():
            widths.sort()

    def entries_present(self) -> int:
        """How many entries the bundles seem to hold, when no checkpoint says it."""
        last = max((number for level, number in self._widths if level is None), default=None)
        return 0 if last is None else last * TILE_WIDTH + self._widths[None, last][-1]

    def read(self, level: int | None, number: int, width: int) -> tuple[str, bytes, int]:
        """The file that holds these `width` hashes or entries, and its own width. Empty when missing."""
        widths = self._widths.pop((level, number), [])
        chosen = next((one for one in widths if one >= width), None)
        if chosen is None:
            path = tile_path(level, number, width)
            self._report.add(
                FindingKind.FILE_MISSING,
                path,
                f"{path} is missing: it holds {_what(level, number, width)}",
                number * TILE_WIDTH if not level else None,
            )
            return path, b"", width
        path = tile_path(level, number, chosen)
        data = self._bytes(path)
        for other in widths:
            if other != chosen:
                self._compare_other(path, data, tile_path(level, number, other))
        if widths[-1] > width:
            self._report_beyond(tile_path(level, number, widths[-1]))
        return path, data, chosen

    def _bytes(self, path: str) -> bytes:
        self._report.files_checked += 1
        try:
            return (self._root / path).read_bytes()
        except OSError as error:
            self._report.add(FindingKind.FILE_MISSING, path, f"{path} cannot be read: {error.strerror}")
            return b""

    def _compare_other(self, path: str, data: bytes, other: str) -> None:
        content = self._bytes(other)
        shared = min(len(content), len(data))
        if not content or content[:shared] != data[:shared]:
            message = f"{other} says something else than {path}"
            self._report.add(FindingKind.TILE_CHANGED, other, message)

    def report_rest(self) -> None:
        """Files that nothing asked for: beyond the end of the signed log."""
        for (level, number), widths in sorted(self._widths.items(), key=str):
            for width in widths:
                path = tile_path(level, number, width)
                self._report_beyond(path)

    def _report_beyond(self, path: str) -> None:
        self._report.add(
            FindingKind.FILE_UNEXPECTED,
            path,
            f"{path} reaches beyond the {self._report.size} signed entries: the checkpoint was replaced by "
            "an older one, or the server stopped just before signing (start it and check again)",
        )


def _parse(name: str) -> tuple[int | None, int, int] | None:
    match = _TILE.fullmatch(name)
    if match is None:
        return None
    level = None if match[1] == "entries" else int(match[1])
    number = int(match[2].replace("x", "").replace("/", ""))
    width = TILE_WIDTH if match[3] is None else int(match[3])
    # Only the one canonical spelling of a path is read by anybody.
    return (level, number, width) if tile_path(level, number, width) == name else None


def _what(level: int | None, number: int, width: int) -> str:
    if level:
        return f"{width} hashes of level {level}"
    first = number * TILE_WIDTH
    return f"{'entries' if level is None else 'the hashes of entries'} {first} to {first + width - 1}"


def check_tiles(report: VerifyReport, signed_root: bytes | None) -> list[bytes]:
    """Check every file; returns the leaf hashes that are best believed, in order."""
    folder = _Folder(report)
    if signed_root is None:
        report.size = folder.entries_present()
    by_entries, by_tiles = Frontier(), Frontier()
    leaves_by_entries: list[bytes] = []
    leaves_by_tiles: list[bytes] = []
    differing: list[_Bundle] = []
    for bundle in _bundles(report, folder):
        leaves_by_entries += bundle.hashes
        leaves_by_tiles += bundle.tile
        if bundle.hashes != bundle.tile:
            differing.append(bundle)
    for leaf in leaves_by_entries:
        by_entries.append(leaf)
    for leaf in leaves_by_tiles:
        by_tiles.append(leaf)
    entries_right = by_entries.size == report.size and by_entries.root() == signed_root
    tiles_right = by_tiles.size == report.size and by_tiles.root() == signed_root
    for bundle in differing:
        _locate(report, bundle, entries_right=entries_right, tiles_right=tiles_right)
    believed = leaves_by_entries if entries_right and not tiles_right else leaves_by_tiles
    higher_differ = _check_higher(report, folder, believed)
    folder.report_rest()
    if signed_root is not None and not entries_right and not tiles_right and not differing:
        where = "" if higher_differ is None else f" The first difference lies in entries {higher_differ}."
        report.add(
            FindingKind.ROOT_DIFFERS,
            CHECKPOINT_FILE,
            "entries and hashes fit each other but not the signed root: both were rewritten." + where,
        )
    return believed


def _bundles(report: VerifyReport, folder: _Folder) -> Iterator[_Bundle]:
    for first in range(0, report.size, TILE_WIDTH):
        number, width = first // TILE_WIDTH, min(TILE_WIDTH, report.size - first)
        entry_file, packed, entries_held = folder.read(None, number, width)
        tile_file, hashes, hashes_held = folder.read(0, number, width)
        entries = unpack_entries(packed)
        if pack_entries(entries) != packed:
            at = first + len(entries) - 1
            message = f"the length of entry {at} was changed, or {entry_file} was cut off inside it"
            report.add(FindingKind.ENTRY_CHANGED, entry_file, message, at)
        if hashes and len(hashes) != hashes_held * HASH_SIZE:
            message = f"{tile_file} has {len(hashes)} bytes instead of {hashes_held * HASH_SIZE}"
            report.add(FindingKind.TILE_CHANGED, tile_file, message)
        if len(entries) == entries_held:
            entries = entries[:width]  # a wider file holds entries that are not signed yet
        tile = split_hashes(hashes)[:width]
        yield _Bundle(first, entries, [leaf_hash(entry) for entry in entries], tile, entry_file, tile_file)


def _locate(report: VerifyReport, bundle: _Bundle, *, entries_right: bool, tiles_right: bool) -> None:
    """Say which entry, or which hash, is not what was signed."""
    hashes, tile = bundle.hashes, bundle.tile
    if not hashes or not tile:
        return  # the missing file has been reported
    first = next((i for i, pair in enumerate(zip(hashes, tile, strict=False)) if pair[0] != pair[1]), None)
    if first is None:
        first = min(len(hashes), len(tile))
    if entries_right:
        for i, pair in enumerate(zip(hashes, tile, strict=False)):
            if pair[0] != pair[1]:
                at = bundle.first + i
                message = f"the hash of entry {at} in {bundle.tile_file} was changed; the entry is right"
                report.add(FindingKind.TILE_CHANGED, bundle.tile_file, message, at)
        return
    doubt = "" if tiles_right else " (or its hash was)"
    where = bundle.first + first
    if len(hashes) == len(tile) and Counter(hashes) == Counter(tile):
        moved = [
            bundle.first + i for i, pair in enumerate(zip(hashes, tile, strict=True)) if pair[0] != pair[1]
        ]
        message = f"entries {', '.join(map(str, moved[:10]))} were put in another order{doubt}"
        report.add(FindingKind.ENTRIES_REORDERED, bundle.entry_file, message, where)
    elif hashes[first:] == tile[first + 1 : first + 1 + len(hashes) - first] and len(hashes) < len(tile):
        report.add(FindingKind.ENTRY_REMOVED, bundle.entry_file, f"entry {where} was removed{doubt}", where)
    elif hashes[first + 1 : len(tile) + 1] == tile[first:]:
        report.add(
            FindingKind.ENTRY_ADDED, bundle.entry_file, f"an entry was slipped in at {where}{doubt}", where
        )
    elif len(hashes) != len(tile):
        message = f"entry {where} was changed, and those after it in the file cannot be told apart{doubt}"
        report.add(FindingKind.ENTRY_CHANGED, bundle.entry_file, message, where)
    else:
        _each_changed(report, bundle, doubt)


def _each_changed(report: VerifyReport, bundle: _Bundle, doubt: str) -> None:
    for i, pair in enumerate(zip(bundle.hashes, bundle.tile, strict=True)):
        if pair[0] != pair[1]:
            says = ", ".join(describe(bundle.entries[i])) or "it cannot be read any more"
            message = f"entry {bundle.first + i} was changed{doubt}; as it stands: {says}"
            report.add(FindingKind.ENTRY_CHANGED, bundle.entry_file, message, bundle.first + i)


def _check_higher(report: VerifyReport, folder: _Folder, leaves: list[bytes]) -> str | None:
    """Levels 1 and up against the leaves; returns the range of entries under the first difference."""
    row, level, first_difference = leaves, 0, None
    tiles = [one for one in tiles_of(report.size) if one[0] > 0]
    for tile_level, number, width in tiles:
        while level < tile_level:
            whole = len(row) // TILE_WIDTH
            row = [perfect_root(row[i * TILE_WIDTH : (i + 1) * TILE_WIDTH]) for i in range(whole)]
            level += 1
        path, data, held = folder.read(tile_level, number, width)
        expected = row[number * TILE_WIDTH : number * TILE_WIDTH + width]
        found = split_hashes(data)
        if not data or (found[:width] == expected and len(data) == held * HASH_SIZE):
            continue
        step = TILE_WIDTH**tile_level
        for i in range(width):
            if found[i : i + 1] != expected[i : i + 1]:
                start = (number * TILE_WIDTH + i) * step
                under = f"{start} to {start + step - 1}"
                first_difference = first_difference or under
                message = f"{path} does not fit entries {under}"
                report.add(FindingKind.TILE_CHANGED, path, message, start)
                break
        else:
            report.add(FindingKind.TILE_CHANGED, path, f"{path} was cut off or added to")
    return first_difference


def entries_of(report: VerifyReport) -> Iterator[bytes]:
    """The signed entries as the bundles have them, in order; b"" where one is missing."""
    for first in range(0, report.size, TILE_WIDTH):
        width = min(TILE_WIDTH, report.size - first)
        entries = unpack_entries(_bundle_bytes(report.folder, first // TILE_WIDTH, width))[:width]
        yield from entries
        # Keep step with the rows of the database even where the file is damaged: never equal to a row.
        yield from (b"" for _ in range(width - len(entries)))


def _bundle_bytes(folder: Path, number: int, width: int) -> bytes:
    for candidate in (width, TILE_WIDTH):
        path = folder / tile_path(None, number, candidate)
        if path.is_file():
            return path.read_bytes()
    partial = folder / "tile" / "entries" / f"{tile_number(number)}.p"
    wider = sorted(int(one.name) for one in partial.glob("*") if one.name.isdigit() and int(one.name) > width)
    return (partial / str(wider[0])).read_bytes() if wider else b""
