"""What a page, a notification and the end of a sync do to the tables. Runs in the writer's thread.

All of it is one writer's work, in order, so that what is read before a change is still so when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from commonview.network.model import ChannelFault, ChannelKind, ChannelStatus
from commonview.network.tree import reads, store
from commonview.network.tree.placing import ROOT, Facts, arrange
from commonview.network.tree.rows import merged, row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from commonview.network.tree.counts import Contribution
    from commonview.wire.manscdp import CatalogItem

_ON: Final = ChannelStatus.ON.value
_VIDEO: Final = ChannelKind.VIDEO.value
_KINDS: Final = {kind.value: kind for kind in ChannelKind}
STATUS_EVENTS: Final = {
    "ON": (_ON, None),
    "OFF": (ChannelStatus.OFF.value, None),
    "VLOST": (ChannelStatus.OFF.value, ChannelFault.VIDEO_LOST.value),
    "DEFECT": (ChannelStatus.OFF.value, ChannelFault.DEFECT.value),
}
"""Catalogue events that say how a channel is, and nothing else (2.3, Notify Catalog)."""


@dataclass(slots=True)
class Tally:
    """What writing came to."""

    added: int = 0
    changed: int = 0
    back: int = 0
    vanished: int = 0
    unknown: int = 0

    @property
    def any(self) -> bool:
        """Whether anything is otherwise than before."""
        return bool(self.added or self.changed or self.back or self.vanished)


def write_page(conn: Connection, device_id: str, items: Sequence[CatalogItem], at: datetime) -> Tally:
    """Write items as they are listed; of one that is listed twice the last counts."""
    rows = {item.device_id: row_of(device_id, item) for item in items}
    return Tally(*store.write_rows(conn, device_id, list(rows.values()), at))


def write_notified(
    conn: Connection, device_id: str, items: Sequence[CatalogItem], at: datetime, *, ignore_status: bool
) -> Tally:
    """Apply the events of a catalogue notification in order (ON, OFF, VLOST, DEFECT, ADD, DEL, UPDATE).

    An item without a known event is an update. ``ignore_status``: the operator of this peer does not believe
    its status events (trap 30).
    """
    tally = Tally()
    for item in items:
        event = item.event.upper()
        known = store.known_rows(conn, device_id, [item.device_id]).get(item.device_id)
        if event in STATUS_EVENTS:
            if known is None:
                tally.unknown += 1
            elif not ignore_status:
                tally.changed += _set_status(conn, known, *STATUS_EVENTS[event], at)
        elif event == "DEL":
            if known is not None and known["vanished_at"] is None:
                store.mark_vanished(conn, [known["no"]], at)
                tally.vanished += 1
        else:
            row = row_of(device_id, item)
            if known is not None:
                row = merged(known, row, item)
            added, changed, back = store.write_rows(conn, device_id, [row], at)
            tally.added += added
            tally.changed += changed
            tally.back += back
    return tally


def _set_status(conn: Connection, known: dict[str, Any], status: str, fault: str | None, at: datetime) -> int:
    if (known["status"], known["fault"]) == (status, fault):
        return 0
    store.set_statuses(conn, [(known["no"], status, fault)], at)
    return 1


@dataclass(frozen=True, slots=True)
class Totals:
    """How much a device has, and where."""

    rows: int = 0
    cameras: int = 0
    on: int = 0
    regions: Contribution = ()
    groups: Contribution = ()


@dataclass(slots=True)
class Plan:
    """What the end of a sync changes: vanished channels and the structure."""

    device_id: str
    gone: list[int] = field(default_factory=list)
    placed: list[tuple[int, str, int, int]] = field(default_factory=list)
    parents_gone: list[tuple[str, str]] = field(default_factory=list)
    parents_new: list[tuple[str, str]] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)


def vanished(conn: Connection, device_id: str, listed: Collection[str]) -> list[int]:
    """Channels that a whole catalogue does not list any more."""
    return [no for no, gb_id in reads.gb_ids(conn, device_id) if gb_id not in listed]


def plan_structure(conn: Connection, device_id: str, listed: Collection[str] | None = None) -> Plan:
    """Where everything of a device hangs and how much it has, as changes to what is written.

    What a whole catalogue does not list is about to vanish; nothing is when ``listed`` is None.
    """
    plan = Plan(device_id)
    shared: dict[str, str] = {}
    before: dict[str, tuple[int, str, int, int]] = {}
    facts: list[Facts] = []
    regions: dict[str, list[int]] = {}
    rows = store.places(conn, device_id)
    for no, gb_id, kind, parent, group, civil, status, here, up, total, on, region in rows:
        before[gb_id] = (no, shared.setdefault(up, up), total, on)
        counted, is_on = bool(here), status == _ON
        if counted and listed is not None and gb_id not in listed:
            plan.gone.append(no)
            counted = False
        parent, group, civil = (shared.setdefault(text, text) for text in (parent, group, civil))
        facts.append(Facts(gb_id, _KINDS[kind], parent, group, civil, is_on, counted))
        if counted and kind == _VIDEO:
            in_region = regions.setdefault(region, [0, 0])
            in_region[0] += 1
            in_region[1] += is_on
    structure = arrange(device_id, facts)
    for gb_id, (no, up, total, on) in before.items():
        place = structure.places.get(gb_id)
        first = place.first if place is not None else ROOT  # the device as an item of its own
        counts = structure.below.get(gb_id, (0, 0))
        if (first, *counts) != (up, total, on):
            plan.placed.append((no, first, *counts))
    wanted = {(parent, gb_id) for gb_id, place in structure.places.items() for parent in place.more}
    held = store.more_parents(conn, device_id)
    plan.parents_gone = sorted(held - wanted)
    plan.parents_new = sorted(wanted - held)
    plan.totals = Totals(
        rows=len(rows),
        cameras=sum(total for total, _on in regions.values()),
        on=sum(on for _total, on in regions.values()),
        regions=tuple((region, total, on) for region, (total, on) in sorted(regions.items())),
    )
    return plan


_IN_ONE: Final = 1000


def apply_plan(plan: Plan, at: datetime, write: Callable[[Callable[[Connection], None]], None]) -> None:
    """Write a plan a thousand rows at a time; `write` runs each piece in a transaction of its choice."""
    for start in range(0, len(plan.gone), _IN_ONE):
        piece = plan.gone[start : start + _IN_ONE]
        write(lambda conn, piece=piece: store.mark_vanished(conn, piece, at))  # type: ignore[misc]
    for start in range(0, len(plan.placed), _IN_ONE):
        placed = plan.placed[start : start + _IN_ONE]
        write(lambda conn, placed=placed: store.save_places(conn, placed))  # type: ignore[misc]
    if plan.parents_gone or plan.parents_new:
        write(lambda conn: store.change_parents(conn, plan.device_id, plan.parents_gone, plan.parents_new))


def grouped_totals(conn: Connection, plan: Plan) -> Totals:
    """The totals of a plan that has been written, with what the device has in groups."""
    found = next((found for _id, found in reads.by_group(conn, plan.device_id)), ())
    return replace(plan.totals, groups=found)
