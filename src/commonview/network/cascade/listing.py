"""What a superior is told: the items of a catalogue (GB/T 28181-2022 A.2.6.4, Annexes H and J). Pure.

The first item is the platform itself, without ParentID (Annex H). A region carries its id and name; a
business group (215) lies in the system; a virtual organisation (216) names its parent only where that is a
216 itself, and its group in BusinessGroupID. The 2016 edition hangs everything under one ParentID: platforms
of that time lose folders under several ids joined by "/" (trap 31: WVP#344, WVP#362, WVP#1000).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from commonview.network.cascade.model import Edition, VirtualDirectory
from commonview.wire.gbid import trim_region
from commonview.wire.manscdp import CatalogItem, element

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from commonview.network.cascade.model import SuperiorSettings
    from commonview.network.tree import Group

_TEXT_CHARS = 128


@dataclass(frozen=True, slots=True)
class Known:
    """What of a channel goes up, beside its row: ids and names towards the superior, and its groups."""

    own_id: str
    own_name: str | None
    on: bool
    groups: tuple[str, ...]


def platform_item(settings: SuperiorSettings, name: str, maker: str) -> CatalogItem:
    """Ourselves."""
    return CatalogItem(
        device_id=settings.local_id,
        name=name,
        manufacturer=maker,
        model=maker,
        civil_code=trim_region(settings.local_id[:8]) or "",
        parental=True,
        register_way=1,
        secrecy=0,
        status="ON",
    )


def region_item(region: str, name: str) -> CatalogItem:
    """An administrative region."""
    return CatalogItem(device_id=region, name=name or region)


def group_item(settings: SuperiorSettings, group: Group, ancestors: Sequence[str]) -> CatalogItem:
    """A business group, or a virtual organisation in one; ``ancestors`` begins with the group itself."""
    if not group.parent_id:
        return CatalogItem(device_id=group.id, name=group.name, parent_ids=(settings.local_id,))
    under_organisation = len(ancestors) > 2
    named = under_organisation or settings.edition is Edition.GB2016
    return CatalogItem(
        device_id=group.id,
        name=group.name,
        parent_ids=(group.parent_id,) if named else (),
        business_group_id=ancestors[-1],
    )


def channel_item(
    settings: SuperiorSettings,
    row: Mapping[str, Any],
    known: Known,
    ancestors: Callable[[str], Sequence[str]],
) -> CatalogItem:
    """One camera. ``ancestors(group_id)`` begins with the group and ends with its business group."""
    parents, business_group = _place(settings, known.groups, ancestors)
    given = row["given_longitude"] is not None and row["given_latitude"] is not None
    return CatalogItem(
        device_id=known.own_id,
        name=(known.own_name or row["given_name"] or row["name"])[:_TEXT_CHARS],
        manufacturer=row["manufacturer"] or "Unknown",
        model=row["model"] or "Unknown",
        civil_code=row["region"] or row["civil_code"],
        block=row["block"],
        address=row["given_place"] or row["place"] or "-",
        parental=False,
        parent_ids=parents,
        register_way=row["register_way"] or 1,
        secrecy=row["secrecy"] or 0,
        status="ON" if known.on else "OFF",
        longitude=row["given_longitude"] if given else row["longitude"],
        latitude=row["given_latitude"] if given else row["latitude"],
        business_group_id=business_group,
        extra=_info(row),
    )


def _place(
    settings: SuperiorSettings, groups: Sequence[str], ancestors: Callable[[str], Sequence[str]]
) -> tuple[tuple[str, ...], str]:
    """ParentID and BusinessGroupID."""
    if settings.directory is not VirtualDirectory.GROUPS or not groups:
        return (settings.local_id,), ""
    lines = [line for line in map(ancestors, groups) if line]
    if not lines:
        return (settings.local_id,), ""
    business_group = lines[0][-1]
    if settings.edition is Edition.GB2016:
        return (lines[0][0],), business_group
    organisations = tuple(line[0] for line in lines if len(line) > 1)
    return (settings.local_id, *organisations), business_group


def _info(row: Mapping[str, Any]) -> tuple[Any, ...]:
    if row["ptz_type"] is None:
        return ()
    return (element("Info", [element("PTZType", row["ptz_type"])]),)


def event_item(own_id: str, event: str) -> CatalogItem:
    """What became of a channel that is told no more of: ON, OFF or DEL."""
    return CatalogItem(device_id=own_id, event=event, status=event if event in ("ON", "OFF") else "")
