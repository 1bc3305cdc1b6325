"""The catalogue's tables as bulk import and export read and write them: many rows in one question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, insert, select, tuple_

from commonview.network.tree.store import channels, groups, members

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import Connection

_IN_ONE: Final = 400

Key = tuple[str, str]


def rows_of(conn: Connection, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
    """Channels by device and GB id."""
    found: dict[Key, dict[str, Any]] = {}
    both = tuple_(channels.c.device_id, channels.c.gb_id)
    for start in range(0, len(keys), _IN_ONE):
        asked = select(channels).where(both.in_(keys[start : start + _IN_ONE]))
        for row in conn.execute(asked).mappings():
            found[row["device_id"], row["gb_id"]] = dict(row)
    return found


def groups_of(conn: Connection, nos: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """The groups that channels are in, by the channel's number; those in none are left out."""
    found: dict[int, list[str]] = {}
    for start in range(0, len(nos), _IN_ONE):
        asked = select(members.c.channel_no, members.c.group_id).where(
            members.c.channel_no.in_(nos[start : start + _IN_ONE])
        )
        for no, group_id in conn.execute(asked):
            found.setdefault(no, []).append(group_id)
    return {no: tuple(sorted(ids)) for no, ids in found.items()}


def standing_groups(conn: Connection, ids: Collection[str]) -> set[str]:
    """Which of these groups there are."""
    wanted, found = sorted(ids), set()
    for start in range(0, len(wanted), _IN_ONE):
        asked = select(groups.c.id).where(groups.c.id.in_(wanted[start : start + _IN_ONE]))
        found |= {row[0] for row in conn.execute(asked)}
    return found


def set_groups(conn: Connection, no: int, before: Iterable[str], wanted: Iterable[str]) -> None:
    """Put a channel into just these groups."""
    held, asked = set(before), set(wanted)
    gone = held - asked
    if gone:
        conn.execute(delete(members).where(members.c.channel_no == no, members.c.group_id.in_(gone)))
    if new := sorted(asked - held):
        conn.execute(insert(members), [{"group_id": group_id, "channel_no": no} for group_id in new])
