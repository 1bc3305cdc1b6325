"""One flipped bit, somewhere in a segment, in the index or in the chain."""

from __future__ import annotations

import random
from typing import Any

from sqlalchemy import text

from commonview.recording import Doctor
from commonview.recording.doctor import place
from tests.recording.conftest import TRACK, Books

NUMBERS = ("begin_at", "end_at", "bytes", "width", "height", "pictures", "key_frames", "gap_us", "sequence")
TEXTS = ("sha256", "codec", "link", "path", "disk_id", "channel_id")


def flip_and_look(books: Books, chance: random.Random) -> None:
    """Flip, see that the doctor names the segment and no other, and put it back."""
    number = chance.randrange(len(books.segments))
    if chance.random() < 0.5:
        _in_segment(books, number, chance)
    else:
        _in_index(books, number, chance)
    assert Doctor(books.database, mend=False).examine().findings == []


def _in_segment(books: Books, number: int, chance: random.Random) -> None:
    path = books.path(number)
    content = bytearray(path.read_bytes())
    at, bit = chance.randrange(len(content)), chance.randrange(8)
    content[at] ^= 1 << bit
    path.write_bytes(content)
    _located(books, number, f"bit {bit} of byte {at} of {path.name}")
    content[at] ^= 1 << bit
    path.write_bytes(content)


def _in_index(books: Books, number: int, chance: random.Random) -> None:
    column = chance.choice(NUMBERS + TEXTS)
    sequence = books.segments[number].sequence
    with books.database.begin() as conn:
        row = text("select * from segments where sequence = :sequence")
        before = dict(conn.execute(row, {"sequence": sequence}).mappings().one())
        # A number that another row has is refused by the database itself.
        lowest = 3 if column == "sequence" else 0
        value = _flipped(before[column], chance, lowest)
        change = text(f"update segments set {column} = :value where sequence = :sequence")  # noqa: S608
        conn.execute(change, {"value": value, "sequence": sequence})
    _located(books, number, f"{column}: {before[column]!r} became {value!r}")
    with books.database.begin() as conn:
        now = value if column == "sequence" else sequence
        conn.execute(text("delete from segments where sequence = :sequence"), {"sequence": now})
        names = ", ".join(before)
        values = ", ".join(f":{name}" for name in before)
        conn.execute(text(f"insert into segments ({names}) values ({values})"), before)  # noqa: S608


def _flipped(value: Any, chance: random.Random, lowest: int) -> Any:
    if isinstance(value, int):
        return value ^ (1 << chance.randrange(lowest, 40))
    at, bit = chance.randrange(len(value)), chance.randrange(7)
    changed = chr(ord(value[at]) ^ (1 << bit))
    return value[:at] + changed + value[at + 1 :]


def _located(books: Books, number: int, what: str) -> None:
    """Named by its place or its file; a row that left its place leaves its successor unlinked."""
    findings = Doctor(books.database, mend=False).examine().findings
    assert findings, f"not found: {what}"
    segment = books.segments[number]
    file = books.path(number)
    named = [one for one in findings if one.where in (place(TRACK, segment.sequence), str(file))]
    assert named, f"not located: {what}, but {[str(one) for one in findings]}"
