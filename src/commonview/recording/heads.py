"""Heads of chains in the audit log: what its signed checkpoints cover cannot be cut off a chain unseen.

Each link of a chain stands on the one before, so the newest link of a track speaks for every segment up to
it. Every `recording_heads_s` the heads that moved are written as entries of the audit log. The doctor, and
`commonview verify audit`, hold the index against them. What was recorded since the last entry is protected by
the database alone.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from commonview.recording.model import Segment, Track
from commonview.security import FindingKind, VerifyReport, decode_entry, entries_of_action

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from commonview.foundation.database import Database
    from commonview.security import AuditEntry, SecurityService

ACTION: Final = "recording.chain_heads"
_MARK: Final = f'"action":"{ACTION}"'.encode()
_AT_ONCE: Final = 300
"""Heads in an entry, which has 65,535 bytes at most."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest segment of a track as an entry of the audit log names it."""

    sequence: int
    link: str
    entry: int
    """The number of the entry."""


class ChainHeads:
    """Gathers heads as segments come into the index, and writes those that moved."""

    def __init__(self, database: Database, security: SecurityService) -> None:
        self._database = database
        self._security = security
        self._moved: dict[Track, Segment] = {}
        self._guard = threading.Lock()

    def note(self, segments: Iterable[Segment]) -> None:
        """These are in the index, in the order of their chains."""
        with self._guard:
            for segment in segments:
                self._moved[segment.track] = segment

    def write(self) -> int:
        """Put the heads that moved into the audit log; returns how many. Blocks.

        Raises:
            StorageUnavailable: none was written; the next call tries again.
        """
        with self._guard:
            moved, self._moved = self._moved, {}
        heads = [moved[track] for track in sorted(moved)]
        try:
            with self._database.begin() as conn:
                for at in range(0, len(heads), _AT_ONCE):
                    self._append(conn, heads[at : at + _AT_ONCE])
        except BaseException:
            with self._guard:
                self._moved = moved | self._moved
            raise
        return len(heads)

    def _append(self, conn: Connection, heads: list[Segment]) -> None:
        named: dict[str, str | int] = {_name(one.track): f"{one.sequence}:{one.link}" for one in heads}
        self._security.audit.append(
            conn, None, ACTION, "recording:chains", "ok", {"count": len(named), "heads": named}
        )


def heads_in_log(conn: Connection) -> dict[Track, Head]:
    """The newest head of every track that the audit log names; what cannot be read is passed over."""
    return _newest(entries_of_action(conn, ACTION))


def _newest(entries: Iterable[AuditEntry]) -> dict[Track, Head]:
    return {track: head for entry in entries for track, head in _named_in(entry)}


def _named_in(entry: AuditEntry) -> Iterator[tuple[Track, Head]]:
    heads = entry.detail.get("heads")
    if not isinstance(heads, dict):
        return
    for name, said in heads.items():
        channel_id, _, stream = name.rpartition("/")
        sequence, _, link = str(said).partition(":")
        if stream.isdecimal() and sequence.isdecimal():
            yield Track(channel_id, int(stream)), Head(int(sequence), link, entry.sequence)


def _name(track: Track) -> str:
    return f"{track.channel_id}/{track.stream_number}"


class HeadsBook:
    """The chains against the signed log, for `commonview verify audit`: one more book beside its own."""

    def __init__(self) -> None:
        self._found: dict[Track, Head] = {}

    def hear(self, sequence: int, leaf: bytes) -> None:
        """One entry of the log; those that name no heads are passed over."""
        if _MARK not in leaf:
            return
        try:
            entry = decode_entry(leaf)
        except ValueError:
            return  # an entry that was changed is found by its hash
        if entry.sequence == sequence and entry.action == ACTION:
            self._found.update(_newest([entry]))

    def compare(self, database: sqlite3.Connection, report: VerifyReport, file: str) -> None:
        """Every head against the row of its segment."""
        for track, head in self._found.items():
            report.chains_checked += 1
            row = database.execute(
                "SELECT link FROM segments WHERE channel_id = ? AND stream_number = ? AND sequence = ?",
                (track.channel_id, track.stream_number, head.sequence),
            ).fetchone()
            where = f"{_name(track)}#{head.sequence}"
            if row is None:
                message = f"recording {where}: entry {head.entry} speaks of it, the database does not know it"
                report.add(FindingKind.CHAIN_DIFFERS, file, message, head.entry)
            elif row[0] != head.link:
                message = f"recording {where}: its link is not the one in entry {head.entry}"
                report.add(FindingKind.CHAIN_DIFFERS, file, message, head.entry)
