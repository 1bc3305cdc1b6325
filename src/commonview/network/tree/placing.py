"""Where an item of a catalogue hangs: several parents, groups, regions, systems (GB/T 28181-2022 Annex J).

Pure. An item says its parents in ParentID, several joined by "/" (trap 31), a virtual organisation its group
in BusinessGroupID, a region by the length of its code, and everything else at least its region in CivilCode.
Real catalogues name parents they do not list and close circles: such an item hangs at the root of its device,
never nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from commonview.network.model import ChannelKind
from commonview.wire.gbid import TypeCode, classify, is_region, is_usable, trim_region

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

ROOT: Final = ""
"""The device itself, as a parent."""

_MOST_ABOVE: Final = 256
"""Levels above one item that are counted; a catalogue deeper than this was made to hurt."""


class Facts(NamedTuple):
    """What placing and counting need of an item."""

    gb_id: str
    kind: ChannelKind
    parent_id: str
    business_group_id: str
    civil_code: str
    on: bool
    counted: bool


@dataclass(frozen=True, slots=True)
class Placing:
    """The first parent of an item, and those beyond the first."""

    first: str
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Structure:
    """A whole catalogue in place. ``below``: of an item with something under it, (cameras, cameras on)."""

    places: dict[str, Placing]
    below: dict[str, tuple[int, int]]


def first_guess(device_id: str, gb_id: str, parent_id: str, business_group_id: str) -> str:
    """The first parent as far as the item alone tells; right for a catalogue without surprises."""
    if is_region(gb_id):
        return gb_id[:-2]
    for parent in parent_id.split("/"):
        if parent and parent != gb_id:
            return ROOT if parent == device_id else parent
    return business_group_id if business_group_id != gb_id else ROOT


def region_of(gb_id: str, civil_code: str) -> str:
    """The region of a camera, 2 to 8 digits: its CivilCode, else the one in its id; or empty."""
    code = civil_code.strip()[:8]
    if code.isascii() and code.isdigit() and len(code) % 2 == 0 and (region := trim_region(code)):
        return region
    return (classify(gb_id).civil_code or "") if is_usable(gb_id) else ""


def place(device_id: str, item: Facts, known: Collection[str]) -> Placing:
    """Hang one item among those of its catalogue (traps 17, 31)."""
    if is_region(item.gb_id):
        return Placing(_nearest_region(item.gb_id[:-2], known))
    found: list[str] = []
    at_root = False
    for parent in item.parent_id.split("/"):
        if parent == device_id:
            at_root = True
        elif parent in known and parent != item.gb_id and parent not in found:
            found.append(parent)
    group = item.business_group_id
    organisation = is_usable(item.gb_id) and classify(item.gb_id).type is TypeCode.VIRTUAL_ORGANISATION
    if organisation and not found and group in known and group != item.gb_id:
        found.append(group)  # since 2022 ParentID of an organisation never names its group (Annex J)
    if at_root:
        found.append(ROOT)
    if not found:
        found.append(_nearest_region(item.civil_code, known))
    return Placing(found[0], tuple(found[1:]))


def _nearest_region(code: str, known: Collection[str]) -> str:
    while code:
        if code in known:
            return code
        code = code[:-2] if is_region(code) else ""
    return ROOT


def arrange(device_id: str, items: Iterable[Facts]) -> Structure:
    """Place a whole catalogue and count what lies below each item; circles are opened at the root."""
    everything = {item.gb_id: item for item in items if item.gb_id != device_id}
    places = {gb_id: place(device_id, item, everything) for gb_id, item in everything.items()}
    _open_circles(places)
    return Structure(places, _count(everything.values(), places))


def _open_circles(places: dict[str, Placing]) -> None:
    safe: set[str] = {ROOT}
    for start in sorted(places):
        path: set[str] = set()
        at = start
        while at not in safe:
            if at in path:
                places[at] = Placing(ROOT, tuple(one for one in places[at].more if one != ROOT))
                break
            path.add(at)
            at = places[at].first
        safe.update(path)


def _count(items: Iterable[Facts], places: Mapping[str, Placing]) -> dict[str, tuple[int, int]]:
    below: dict[str, list[int]] = {}
    above: dict[Placing, frozenset[str]] = {}
    for item in items:
        if item.kind is not ChannelKind.VIDEO or not item.counted:
            continue
        where = places[item.gb_id]
        ancestors = above.get(where)
        if ancestors is None:
            ancestors = above[where] = _ancestors(where, places)
        for ancestor in ancestors:
            counts = below.setdefault(ancestor, [0, 0])
            counts[0] += 1
            counts[1] += item.on
    return {gb_id: (total, on) for gb_id, (total, on) in below.items()}


def _ancestors(where: Placing, places: Mapping[str, Placing]) -> frozenset[str]:
    """Everything above, each once: a camera under two branches counts once in their trunk."""
    found: set[str] = set()
    waiting = [where.first, *where.more]
    while waiting and len(found) < _MOST_ABOVE:
        at = waiting.pop()
        if at == ROOT or at in found:
            continue
        found.add(at)
        waiting += [places[at].first, *places[at].more]
    return frozenset(found)
