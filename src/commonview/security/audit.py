"""The audit log: appended with the change it records, signed every minute, published as files.

An entry is written by `append` in the transaction of the change, so neither exists without the other. Every
`audit_checkpoint_s` the entries since the last checkpoint become leaves of the Merkle tree: tiles are
written, the new root is signed, the checkpoint stored and published. What was signed once can never be
changed without being found (verify.py); entries not yet signed, at most one interval's worth, are protected
by the database.
"""

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, func, insert, select

from commonview.foundation.clock import Clock
from commonview.foundation.database import Database
from commonview.foundation.datadir import DataDirectory
from commonview.foundation.errors import StorageUnavailable
from commonview.security.checkpoint import Checkpoint, CheckpointError, log_key, open_note, sign
from commonview.security.errors import Invalid
from commonview.security.merkle import consistency_proof, inclusion_proof
from commonview.security.model import AuditEntry, AuditHealth, Subject
from commonview.security.store import audit_checkpoints, audit_entries
from commonview.security.tiles import (
    CHECKPOINT_FILE,
    ENTRY_MAX,
    KEY_FILE,
    TileBuffer,
    TileError,
    TileStore,
)

log = logging.getLogger(__name__)

Detail: TypeAlias = Mapping[str, "str | int | float | bool | list[str] | Mapping[str, str | int] | None"]

SYSTEM_ACTOR: Final = Subject("system", "system", "system", frozenset())
"""Who acts when time or the program itself does."""

_BATCH: Final = 4096

# Built once: putting a statement together costs more than SQLite needs to run it.
_LAST: Final = select(func.max(audit_entries.c.sequence))
_INSERT: Final = insert(audit_entries)
_LEAVES: Final = select(audit_entries.c.leaf).order_by(audit_entries.c.sequence)


def encode_entry(entry: AuditEntry, address: str = "") -> bytes:
    """The canonical JSON that is hashed: keys sorted, no spaces, UTF-8, times in UTC with microseconds.

    Raises:
        Invalid: `audit_entry_too_long`.
    """
    leaf = json.dumps(
        {
            "n": entry.sequence,
            "at": entry.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "actor": {"id": entry.actor_id, "name": entry.actor_name, "address": address},
            "action": entry.action,
            "resource": entry.resource,
            "outcome": entry.outcome,
            "detail": dict(entry.detail),
        },
        ensure_ascii=False,
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
    ).encode("utf-8", "replace")
    if len(leaf) > ENTRY_MAX:
        raise Invalid(
            f"the audit entry would have {len(leaf)} bytes, at most {ENTRY_MAX} fit",
            code="audit_entry_too_long",
        )
    return leaf


def decode_entry(leaf: bytes) -> AuditEntry:
    """Read `encode_entry` back. Raises: ValueError."""
    try:
        fields = json.loads(leaf)
        actor = fields["actor"]
        return AuditEntry(
            sequence=fields["n"],
            at=datetime.fromisoformat(fields["at"]),
            actor_id=actor["id"],
            actor_name=actor["name"],
            action=fields["action"],
            resource=fields["resource"],
            outcome=fields["outcome"],
            detail={"address": actor["address"], **fields["detail"]},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an audit entry: {error}") from error


def entries_of_action(conn: Connection, action: str) -> Iterator[AuditEntry]:
    """Every entry of one action, oldest first; reads the whole log. What cannot be read is left out."""
    mark = json.dumps({"action": action}, ensure_ascii=False, separators=(",", ":"))[1:-1].encode()
    rows = conn.execute(_LEAVES.execution_options(yield_per=_BATCH)).scalars()
    for leaf in rows:
        if mark not in leaf:
            continue
        try:
            entry = decode_entry(leaf)
        except ValueError:
            continue
        if entry.action == action:
            yield entry


class AuditLog:
    """Appends, signs and proves. Thread-safe; one per process, made by `open`."""

    def __init__(
        self, db: Database, data: DataDirectory, clock: Clock, key: Ed25519PrivateKey, origin: str
    ) -> None:
        self._db = db
        self._clock = clock
        self._private = key
        self.key = log_key(origin, key)
        self._tiles = TileStore(data.audit)
        self._buffer = TileBuffer()
        self._signing = threading.Lock()
        self._state = threading.Lock()
        self._health = AuditHealth("ok", 0, 0, None, 0)
        self._unpublished: str | None = None
        self._replaced: list[str] = []

    # --- appending ---------------------------------------------------------------------------------------

    def append(
        self,
        conn: Connection,
        actor: Subject | None,
        action: str,
        resource: str,
        outcome: str,
        detail: Detail | None = None,
    ) -> int:
        """Write one entry in the caller's write transaction; returns its sequence number.

        `actor` None is the system itself. `resource` is `kind:id`, `outcome` a word such as `ok` or `denied`.

        Raises:
            Invalid: the entry would be longer than 65,535 bytes.
            StorageUnavailable: when the transaction ends, if the disk is full; then the change is undone too.
        """
        who = SYSTEM_ACTOR if actor is None else actor
        last = conn.execute(_LAST).scalar_one()
        sequence = 0 if last is None else int(last) + 1
        entry = AuditEntry(
            sequence=sequence,
            at=self._clock.now(),
            actor_id=who.account_id,
            actor_name=who.username,
            action=action,
            resource=resource,
            outcome=outcome,
            detail=detail or {},
        )
        leaf = encode_entry(entry, who.client_address)
        conn.execute(_INSERT, {"sequence": sequence, "leaf": leaf})
        return sequence

    def entries(self, conn: Connection, before: int | None, limit: int) -> list[AuditEntry]:
        """Newest first, sequence below `before`."""
        query = select(audit_entries.c.leaf).order_by(audit_entries.c.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(audit_entries.c.sequence < before)
        return [decode_entry(leaf) for leaf in conn.execute(query).scalars()]

    # --- health ------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """`ok`, `storage_full`, `storage_unavailable` or `damaged`, as last seen; see `health`."""
        return self._health.state

    def refused(self, error: StorageUnavailable) -> None:
        """A change was refused because the log could not be written."""
        with self._state:
            state = "damaged" if self._health.state == "damaged" else error.code
            refused = self._health.refused_appends + 1
            self._health = replace(self._health, state=state, refused_appends=refused, message=error.message)

    def written(self) -> None:
        """A change was written: whatever kept the log from being written is over."""
        if self._health.state in ("ok", "damaged"):
            return
        with self._state:
            if self._health.state != "damaged":
                self._health = replace(self._health, state="ok", message="")

    def health(self) -> AuditHealth:
        """How the log is, with the number of its entries."""
        health = self._health
        try:
            with self._db.read() as conn:
                last = conn.execute(_LAST).scalar_one()
        except StorageUnavailable as error:
            return replace(health, state=error.code, message=error.message)
        return replace(health, entries=0 if last is None else int(last) + 1)

    def _damaged(self, message: str) -> None:
        log.critical("the audit log is damaged: %s", message)
        with self._state:
            self._health = replace(self._health, state="damaged", message=message)

    def _signed(self, checkpoint: Checkpoint) -> None:
        with self._state:
            self._health = replace(
                self._health, signed_entries=checkpoint.size, last_checkpoint_at=checkpoint.signed_at
            )

    # --- opening -----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take up the log where it was left, and compare what is on disk with what was signed.

        Files that are lost or changed are written anew from the database when the database still gives the
        signed root, and that is recorded in the log. When it does not, the log is `damaged`: it is appended
        to but not signed any more, and `audit_health` says so until somebody has looked.
        """
        self._tiles.write(KEY_FILE, f"{self.key.encode()}\n".encode())
        with self._db.read() as conn:
            note = conn.execute(
                select(audit_checkpoints.c.note).order_by(audit_checkpoints.c.size.desc()).limit(1)
            ).scalar_one_or_none()
        try:
            last = None if note is None else open_note(note.encode(), self.key)
        except CheckpointError as error:
            self._damaged(f"the newest checkpoint in the database is not ours: {error}")
            return
        published = self._published()
        if published is not None and published.size > (0 if last is None else last.size):
            self._damaged(
                f"{published.size} entries were signed and published, the database knows of "
                f"{0 if last is None else last.size}: it is older than its log"
            )
            return
        if last is None or note is None:
            return
        self._signed(last)
        self._take_up(last, note)

    def _published(self) -> Checkpoint | None:
        try:
            return open_note(self._tiles.read(CHECKPOINT_FILE), self.key)
        except (TileError, CheckpointError):
            return None

    def _take_up(self, last: Checkpoint, note: str) -> None:
        try:
            self._buffer = self._tiles.load(last.size)
            intact = self._buffer.root() == last.root
        except TileError:
            intact = False
        if not intact:
            self._restore_files(last)
        published = self._published()
        if not self._is_damaged() and (published is None or published.size < last.size):
            self._tiles.write(CHECKPOINT_FILE, note.encode())

    def _restore_files(self, last: Checkpoint) -> None:
        buffer = TileBuffer()
        self._read_entries(buffer, last.size)
        if buffer.size != last.size or buffer.root() != last.root:
            self._damaged(
                f"the {last.size} entries signed at {last.signed_at:%Y-%m-%d %H:%M:%S} UTC are no longer "
                "what they were; run: commonview verify audit"
            )
            return
        self._buffer = buffer
        self._write_files()
        with self._db.begin() as conn:
            self.append(conn, None, "audit.files_restored", "audit:log", "ok", {"entries": last.size})
        log.error("files of the audit log were missing or changed; written anew from the database")

    def _is_damaged(self) -> bool:
        return self._health.state == "damaged"

    # --- signing -----------------------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint | None:
        """Sign and publish everything appended so far; None when there was nothing new, or it is damaged.

        Raises:
            StorageUnavailable: nothing was signed; the next call tries again.
        """
        with self._signing:
            if self._is_damaged():
                return None
            self._read_entries(self._buffer, None)
            try:
                checkpoint = self._sign()
                self._publish()
            except OSError as error:
                raise StorageUnavailable(
                    f"the files of the audit log cannot be written ({error.strerror})",
                    code=_storage_code(error),
                ) from error
            return checkpoint

    def _sign(self) -> Checkpoint | None:
        if self._buffer.size == self._health.signed_entries or self._is_damaged():
            return None
        self._write_files()
        checkpoint = Checkpoint(
            self.key.name, self._buffer.size, self._buffer.root(), self._clock.now().replace(microsecond=0)
        )
        note = sign(checkpoint, self._private)
        with self._db.begin() as conn:
            conn.execute(insert(audit_checkpoints).values(size=checkpoint.size, note=note))
        self._signed(checkpoint)
        self._unpublished = note
        return checkpoint

    def _publish(self) -> None:
        if self._unpublished is None:
            return
        self._tiles.write(CHECKPOINT_FILE, self._unpublished.encode())
        self._unpublished = None
        # Not before: until now the narrower files were the ones the published checkpoint spoke of.
        while self._replaced:
            self._tiles.drop_narrower(self._replaced.pop())

    def _read_entries(self, buffer: TileBuffer, end: int | None) -> None:
        while end is None or buffer.size < end:
            query = (
                select(audit_entries)
                .where(audit_entries.c.sequence >= buffer.size)
                .order_by(audit_entries.c.sequence)
                .limit(_BATCH if end is None else min(_BATCH, end - buffer.size))
            )
            with self._db.read() as conn:
                rows = conn.execute(query).all()
            for row in rows:
                if row.sequence != buffer.size:
                    self._damaged(f"entry {buffer.size} is missing from the database")
                    return
                buffer.append(row.leaf)
            if len(rows) < _BATCH:
                return

    def _write_files(self) -> None:
        while self._buffer.finished:
            path, data = self._buffer.finished[0]
            self._tiles.write(path, data)
            self._replaced.append(path)
            del self._buffer.finished[0]
        for path, data in self._buffer.partial():
            self._tiles.write(path, data)
            self._replaced.append(path)

    # --- proving -----------------------------------------------------------------------------------------

    def newest_note(self) -> str | None:
        """The newest signed checkpoint as text; None before the first."""
        with self._db.read() as conn:
            return conn.execute(
                select(audit_checkpoints.c.note).order_by(audit_checkpoints.c.size.desc()).limit(1)
            ).scalar_one_or_none()

    def prove_inclusion(self, sequence: int, size: int) -> list[bytes]:
        """That entry `sequence` is in the signed log of `size` entries. Raises: ValueError."""
        return inclusion_proof(sequence, size, self._node)

    def prove_consistency(self, old: int, new: int) -> list[bytes]:
        """That the signed log of `new` entries only adds to that of `old`. Raises: ValueError."""
        return consistency_proof(old, new, self._node)

    def _node(self, level: int, index: int) -> bytes:
        return self._tiles.node(self._health.signed_entries, level, index)


def _storage_code(error: OSError) -> str:
    from errno import EDQUOT, ENOSPC

    return "storage_full" if error.errno in (ENOSPC, EDQUOT) else "storage_unavailable"
