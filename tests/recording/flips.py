"""One flipped bit, somewhere in a segment, in the index, in the chain or in a tombstone."""

from __future__ import annotations

import random
from typing import Any

from sqlalchemy import Table, cast, literal, select, update
from sqlalchemy.types import LargeBinary, Text

from commonview.recording import Doctor, store
from commonview.recording.doctor import place
from tests.recording.conftest import TRACK, Books

Row = dict[str, Any]

NOT_PROVED = {"disk_id", "path"}
"""Of a deleted segment, whose file is gone: where it lay is nobody's business any more."""


class Flips:
    """Flips one bit at a time, sees that the doctor names the place, and puts it back."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._tables = (store.segments, store.tombstones)
        with books.database.read() as conn:
            self._rows = {table: [dict(row) for row in _raw(conn, table)] for table in self._tables}

    def flip(self, chance: random.Random) -> None:
        """One bit: every second time of a file, else of a row."""
        kept = [row for row in self._rows[store.segments] if row["tombstone_id"] is None]
        if chance.random() < 0.5:
            self._in_file(chance.choice(kept), chance)
        else:
            table = chance.choices(self._tables, (9, 1))[0]
            self._in_row(table, chance.choice(self._rows[table]), chance)

    def _in_file(self, row: Row, chance: random.Random) -> None:
        path = self._books.root / row["path"].decode()
        content = bytearray(path.read_bytes())
        at, bit = chance.randrange(len(content)), chance.randrange(8)
        for say in (f"bit {bit} of byte {at} of {path.name}", ""):
            content[at] ^= 1 << bit
            path.write_bytes(content)
            if say:
                self._is_located(row["sequence"], say)

    def _in_row(self, table: Table, row: Row, chance: random.Random) -> None:
        gone = table is store.segments and row["tombstone_id"] is not None
        names = [name for name, value in row.items() if value not in (None, b"")]
        name = chance.choice([one for one in names if not (gone and one in NOT_PROVED)])
        value = _flipped(row[name], chance, taken={one[name] for one in self._rows[table]})
        key = table.primary_key.columns
        mine = [column == _stored(table, column.name, row[column.name]) for column in key]
        with self._books.database.begin() as conn:
            change = update(table).where(*mine).values({name: _stored(table, name, value)})
            assert conn.execute(change).rowcount == 1
        where = row["sequence"] if table is store.segments else row["first_sequence"]
        self._is_located(where, f"{table.name}.{name}: {row[name]!r} became {value!r}")
        with self._books.database.begin() as conn:
            conn.execute(table.delete())
            for one in self._rows[table]:
                stored = {column: _stored(table, column, found) for column, found in one.items()}
                conn.execute(table.insert().values(stored))

    def _is_located(self, sequence: int, what: str) -> None:
        """Named by its place in the chain or by its file."""
        findings = Doctor(self._books.database, mend=False).examine().findings
        assert findings, f"not found: {what}"
        places = {place(TRACK, sequence), str(self._books.path(sequence - 1))}
        named = [one for one in findings if one.where in places]
        assert named, f"not located: {what}, but {[str(one) for one in findings]}"


def _raw(conn: Any, table: Table) -> Any:
    """Rows whose times are numbers and whose texts are bytes."""
    columns = [_bytes_of(column) for column in table.c]
    return conn.execute(select(*columns)).mappings()


def _bytes_of(column: Any) -> Any:
    if isinstance(column.type, Text):
        return cast(column, LargeBinary).label(column.name)
    return cast(column, store.segments.c.bytes.type).label(column.name)


def _stored(table: Table, name: str, value: Any) -> Any:
    """The value as it was read, whether or not the column would take it."""
    if isinstance(value, bytes):
        return cast(literal(value, LargeBinary), Text)
    return cast(literal(value, store.segments.c.bytes.type), store.segments.c.bytes.type)


def _flipped(value: Any, chance: random.Random, taken: set[Any]) -> Any:
    """One bit of a number or text; a key that another row has would be refused by the database itself."""
    while True:
        if isinstance(value, int):
            flipped: Any = value ^ (1 << chance.randrange(63))
        else:
            changed = bytearray(value)
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            flipped = bytes(changed)
        if flipped not in taken:
            return flipped
