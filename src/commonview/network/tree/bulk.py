"""Many rows in one statement.

sqlite3 gives the interpreter lock away and takes it back with every row that `executemany` writes or that a
cursor reads. Beside a busy event loop each taking back waits for a whole switch interval (5 ms): a page of a
thousand channels took seconds of waiting, and kept the loop waiting in turn. One statement with many rows
goes to the database once, and does its work while others run.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, insert, select, update

from commonview.foundation.database import UtcDateTime, stored_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, FromClause, Table, TableClause

IN_ONE = frozenset({"sqlite"})
"""Engines spoken to in this way; others, which are reached over a connection of their own, get rows one by
one from their driver."""

_SIZES: Final = (250, 50, 10, 1)
"""Rows of one statement. Few sizes, because each is prepared once a connection and kept."""


def _pieces(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, list[Any]]]:
    """(number of rows, all their values) for one statement after the other."""
    at = 0
    for size in _SIZES:
        while len(rows) - at >= size:
            yield size, [value for row in rows[at : at + size] for value in row]
            at += size


def _stored(
    table: FromClause, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Sequence[Sequence[Any]]:
    """Rows with their times as they stand in the database; a table without declared columns has none."""
    times = {
        at for at, name in enumerate(names) if name in table.c and isinstance(table.c[name].type, UtcDateTime)
    }
    if not times:
        return rows
    return [
        [stored_time(value) if at in times and value is not None else value for at, value in enumerate(row)]
        for row in rows
    ]


def _values(size: int, width: int) -> str:
    row = f"({', '.join('?' * width)})"
    return ", ".join([row] * size)


def insert_rows(
    conn: Connection, table: Table | TableClause, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows of the columns `names`."""
    if conn.dialect.name not in IN_ONE:
        if rows:
            conn.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])
        return
    head = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES "  # noqa: S608 - our own words
    for size, values in _pieces(_stored(table, names, rows)):
        conn.exec_driver_sql(head + _values(size, len(names)), tuple(values))


def replace_rows(
    conn: Connection, table: Table, keys: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows, in the place of those that have the same `keys`: the first of the columns `names`."""
    if conn.dialect.name not in IN_ONE:
        for row in rows:
            match = [table.c[key] == value for key, value in zip(keys, row, strict=False)]
            conn.execute(delete(table).where(*match))
        insert_rows(conn, table, names, rows)
        return
    head = f"INSERT OR REPLACE INTO {table.name} ({', '.join(names)}) VALUES "  # noqa: S608 - our own words
    for size, values in _pieces(_stored(table, names, rows)):
        conn.exec_driver_sql(head + _values(size, len(names)), tuple(values))


def update_rows(
    conn: Connection, table: Table, key: str, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Set the columns `names` where `key` is the first value of a row; the others follow in order."""
    if conn.dialect.name not in IN_ONE:
        if rows:
            statement = update(table).where(table.c[key] == bindparam("the_key"))
            values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
            marks = ("the_key", *(f"new_{name}" for name in names))
            conn.execute(statement.values(**values), [dict(zip(marks, row, strict=True)) for row in rows])
        return
    assignments = ", ".join(f"{name} = told.column{at}" for at, name in enumerate(names, 2))
    for size, values_ in _pieces(_stored(table, (key, *names), rows)):
        conn.exec_driver_sql(
            f"UPDATE {table.name} SET {assignments} FROM (VALUES {_values(size, len(names) + 1)}) AS told "  # noqa: S608
            f"WHERE {table.name}.{key} = told.column1",
            tuple(values_),
        )


def compare_rows(
    conn: Connection,
    table: Table,
    same: tuple[str, Any],
    keys: Sequence[str],
    names: Sequence[str],
    shown: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> list[list[Any]]:
    """Which of `rows` the table does not hold as they are: (place among `rows`, *shown of what it holds).

    A row is `keys` and then `names`; `same` is one column all of them share. What is not there at all is
    shown as None. The whole answer is one value, for the reason this module has.
    """
    if conn.dialect.name not in IN_ONE:
        return _compare_one_by_one(conn, table, same, keys, names, shown, rows)
    found: list[list[Any]] = []
    head = ", ".join(["told_at", *keys, *names])
    match = " AND ".join(f"held.{key} = told.{key}" for key in keys)
    differs = " OR ".join(f"held.{name} IS NOT told.{name}" for name in names)
    columns = ", ".join(f"held.{name}" for name in shown)
    numbered = [(place, *row) for place, row in enumerate(rows)]
    for size, values in _pieces(numbered):
        answer = conn.exec_driver_sql(
            f"WITH told ({head}) AS (VALUES {_values(size, len(keys) + len(names) + 1)}) "  # noqa: S608
            f"SELECT json_group_array(json_array(told_at, {columns})) "
            f"FROM told LEFT JOIN {table.name} held "
            f"ON held.{same[0]} = ? AND {match} WHERE {differs}",
            (*values, same[1]),
        ).scalar()
        found += json.loads(answer or "[]")
    return found


def _compare_one_by_one(
    conn: Connection,
    table: Table,
    same: tuple[str, Any],
    keys: Sequence[str],
    names: Sequence[str],
    shown: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> list[list[Any]]:
    found: list[list[Any]] = []
    for place, row in enumerate(rows):
        match = [table.c[key] == value for key, value in zip(keys, row, strict=False)]
        held = conn.execute(select(table).where(table.c[same[0]] == same[1], *match)).mappings().first()
        if held is None:
            found.append([place, *(None for _ in shown)])
        elif any(held[name] != value for name, value in zip(names, row[len(keys) :], strict=True)):
            found.append([place, *(held[name] for name in shown)])
    return found
