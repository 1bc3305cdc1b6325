"""The audit log as files that anybody can check: C2SP tlog-tiles layout under `data/audit`.

    checkpoint                     newest signed checkpoint
    log.vkey                       public key (compare it with the one you were given: see verify.py)
    tile/<L>/<N>[.p/<W>]           256 (or W) hashes of subtrees of 256**L entries
    tile/entries/<N>[.p/<W>]       256 (or W) entries, each after its length in two bytes, big-endian

N is written in groups of three digits, all but the last after an `x`: 1234067 is `x001/x234/067`. A full
file never changes; a partial one is replaced by a wider one. Every file is written beside its place, synced
and renamed, so that a reader never sees half of one.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from commonview.security.merkle import HASH_SIZE, fold, leaf_hash, perfect_parts, perfect_root

TILE_WIDTH: Final = 256
TILE_BITS: Final = 8
ENTRY_MAX: Final = 0xFFFF
"""Bytes of the longest entry: its length is written in two bytes."""

CHECKPOINT_FILE: Final = "checkpoint"
KEY_FILE: Final = "log.vkey"


class TileError(ValueError):
    """A tile file is malformed or missing; the message names it."""


def tile_number(number: int) -> str:
    """`N` of a path: 1234067 -> x001/x234/067."""
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03d}")
    return "/".join(groups)


def tile_path(level: int | None, number: int, width: int = TILE_WIDTH) -> str:
    """The path of a hash tile, or of an entry bundle when `level` is None, relative to the log's folder."""
    kind = "entries" if level is None else str(level)
    partial = f".p/{width}" if width < TILE_WIDTH else ""
    return f"tile/{kind}/{tile_number(number)}{partial}"


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """(level, number, width) of every hash tile of a log of `size` entries, level by level."""
    level, count = 0, size
    while count:
        full, rest = divmod(count, TILE_WIDTH)
        for number in range(full):
            yield level, number, TILE_WIDTH
        if rest:
            yield level, full, rest
        level, count = level + 1, full


def pack_entries(entries: Sequence[bytes]) -> bytes:
    """An entry bundle."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unpack_entries(bundle: bytes) -> list[bytes]:
    """The entries of a bundle, as far as it can be read; a torn end comes back as a last, short entry."""
    entries, at = [], 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        entries.append(bundle[at + 2 : end])
        at = end
    return entries


def split_hashes(tile: bytes) -> list[bytes]:
    """The hashes of a tile; a torn end comes back as a last, short hash."""
    return [tile[at : at + HASH_SIZE] for at in range(0, len(tile), HASH_SIZE)]


@dataclass(slots=True)
class TileBuffer:
    """The growing right edge of the tree: at most 255 hashes a level and the entries of the last bundle.

    `levels[k]` holds the roots of complete subtrees of 256**k entries that fill no tile yet. `finished`
    collects full tiles and bundles, (path, bytes), until somebody writes them.
    """

    size: int = 0
    levels: list[list[bytes]] = field(default_factory=lambda: [[]])
    entries: list[bytes] = field(default_factory=list)
    finished: list[tuple[str, bytes]] = field(default_factory=list)

    def append(self, entry: bytes) -> None:
        """Add one entry (at most `ENTRY_MAX` bytes)."""
        self.entries.append(entry)
        self.levels[0].append(leaf_hash(entry))
        self.size += 1
        if len(self.entries) == TILE_WIDTH:
            number = self.size // TILE_WIDTH - 1
            self.finished.append((tile_path(None, number), pack_entries(self.entries)))
            self.entries = []
            self._finish(0)

    def _finish(self, level: int) -> None:
        count = self.size
        while len(self.levels[level]) == TILE_WIDTH:
            count //= TILE_WIDTH
            hashes = self.levels[level]
            self.finished.append((tile_path(level, count - 1), b"".join(hashes)))
            self.levels[level] = []
            level += 1
            if level == len(self.levels):
                self.levels.append([])
            self.levels[level].append(perfect_root(hashes))

    def root(self) -> bytes:
        """The root of the tree so far."""
        subtrees = []
        for hashes in reversed(self.levels):
            for level, index in perfect_parts(0, len(hashes)):
                start = index << level
                subtrees.append(perfect_root(hashes[start : start + (1 << level)]))
        return fold(subtrees)

    def partial(self) -> Iterator[tuple[str, bytes]]:
        """The partial tiles and the partial bundle of the present size, (path, bytes)."""
        if self.entries:
            number = self.size // TILE_WIDTH
            yield tile_path(None, number, len(self.entries)), pack_entries(self.entries)
        for level, hashes in enumerate(self.levels):
            count = self.size >> (TILE_BITS * level)
            if hashes:
                yield tile_path(level, count // TILE_WIDTH, len(hashes)), b"".join(hashes)


class TileStore:
    """The folder that holds the files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, data: bytes) -> None:
        """Put `data` at `path`, whole or not at all, durable when this returns. Raises: OSError."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.writing")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                with os.fdopen(descriptor, "wb", closefd=False) as file:
                    file.write(data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            beside.replace(target)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)

    def drop_narrower(self, path: str) -> None:
        """Remove the partial files that the file at `path` replaces."""
        target = self.root / path
        partial = target.parent if target.parent.name.endswith(".p") else target.with_name(f"{target.name}.p")
        if not partial.is_dir():
            return
        for old in partial.iterdir():
            if old != target:
                old.unlink(missing_ok=True)
        if target.parent != partial:
            partial.rmdir()

    def read(self, path: str) -> bytes:
        """The file at `path`. Raises: TileError."""
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise TileError(f"{path} cannot be read: {error.strerror}") from error

    def load(self, size: int) -> TileBuffer:
        """The right edge of a log of `size` entries, from its partial files.

        Whether its root is the signed one is for the caller to check.

        Raises:
            TileError: a file is missing or has not the right length.
        """
        buffer = TileBuffer(size=size, levels=[])
        count = size
        while count:
            full, rest = divmod(count, TILE_WIDTH)
            path = tile_path(len(buffer.levels), full, rest)
            hashes = split_hashes(self.read(path)) if rest else []
            if len(hashes) != rest or any(len(one) != HASH_SIZE for one in hashes):
                raise TileError(f"{path} does not hold {rest} hashes")
            buffer.levels.append(hashes)
            count = full
        if not buffer.levels:
            buffer.levels.append([])
        rest = size % TILE_WIDTH
        if rest:
            path = tile_path(None, size // TILE_WIDTH, rest)
            buffer.entries = unpack_entries(self.read(path))
            if [leaf_hash(entry) for entry in buffer.entries] != buffer.levels[0]:
                raise TileError(f"{path} does not fit the hashes of its entries")
        return buffer

    def node(self, size: int, level: int, index: int) -> bytes:
        """The hash of the perfect subtree (level, index) of a log of `size` entries. Raises: TileError."""
        tile_level, height = divmod(level, TILE_BITS)
        first = index << height
        number, offset = divmod(first, TILE_WIDTH)
        count = size >> (TILE_BITS * tile_level)
        width = min(TILE_WIDTH, count - number * TILE_WIDTH)
        hashes = split_hashes(self.read(tile_path(tile_level, number, width)))
        wanted = hashes[offset : offset + (1 << height)]
        if len(wanted) != 1 << height:
            raise TileError(f"{tile_path(tile_level, number, width)} is too short")
        return perfect_root(wanted)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
