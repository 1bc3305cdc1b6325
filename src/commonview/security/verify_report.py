"""What checking the audit log can find, and the words it is told in."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from commonview.security.audit import decode_entry
from commonview.security.merkle import EMPTY_ROOT

FINDINGS_MAX: Final = 200
"""Findings that are listed; the rest is counted."""


class FindingKind(StrEnum):
    """What is wrong."""

    KEY_INVALID = "key_invalid"
    KEY_CHANGED = "key_changed"
    CHECKPOINT_MISSING = "checkpoint_missing"
    CHECKPOINT_INVALID = "checkpoint_invalid"
    ENTRY_CHANGED = "entry_changed"
    ENTRY_REMOVED = "entry_removed"
    ENTRY_ADDED = "entry_added"
    ENTRIES_REORDERED = "entries_reordered"
    TILE_CHANGED = "tile_changed"
    FILE_MISSING = "file_missing"
    FILE_UNEXPECTED = "file_unexpected"
    ROOT_DIFFERS = "root_differs"
    TRUNCATED = "truncated"
    HISTORY_CHANGED = "history_changed"
    DATABASE_DIFFERS = "database_differs"
    DATABASE_UNREADABLE = "database_unreadable"
    BOOKS_DIFFER = "books_differ"
    CHAIN_DIFFERS = "chain_differs"
    """A chain of recordings does not reach as far, or not the same way, as the log says."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where, in words, and the sequence number of the entry when it is known."""

    kind: FindingKind
    file: str
    message: str
    sequence: int | None = None


@dataclass(slots=True)
class VerifyReport:
    """What was checked and what was found. `ok` is the verdict."""

    folder: Path
    key_name: str = ""
    key_given: bool = False
    size: int = 0
    root: bytes = EMPTY_ROOT
    signed_at: datetime | None = None
    files_checked: int = 0
    database_checked: bool = False
    rows_checked: int = 0
    """Grants and access records compared with the log."""
    chains_checked: int = 0
    """Chains of recordings whose newest link was compared with the log."""
    previous_checked: bool = False
    unsigned_entries: int = 0
    findings: list[Finding] = field(default_factory=list)
    findings_not_listed: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def add(self, kind: FindingKind, file: str, message: str, sequence: int | None = None) -> None:
        """Note one finding; beyond `FINDINGS_MAX` they are only counted."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(kind, file, message, sequence))
        else:
            self.findings_not_listed += 1


def describe(leaf: bytes) -> Iterator[str]:
    """What an entry says of itself, for the person who reads a finding; nothing when it is unreadable."""
    try:
        entry = decode_entry(leaf)
    except ValueError:
        return
    yield f"{entry.at:%Y-%m-%d %H:%M:%S} UTC"
    yield entry.actor_name
    yield f"{entry.action} {entry.resource}"
