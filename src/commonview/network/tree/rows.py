"""From catalogue items to rows: the fields that are asked for in columns, every other one raw. Pure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from commonview.network.channels import kind_of
from commonview.network.model import Channel, ChannelFault, ChannelKind, ChannelStatus, channel_key
from commonview.network.tree.placing import first_guess, region_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from commonview.network.directory import DeviceRecord
    from commonview.wire.manscdp import CatalogItem, Element

_TEXT_CHARS: Final = 256
_RAW_CHARS: Final = 8192
_RAW_DEPTH: Final = 4
_FAULTS: Final = {"VLOST": ChannelFault.VIDEO_LOST, "DEFECT": ChannelFault.DEFECT}
_IN_COLUMNS: Final = frozenset({"IPAddress", "Port"})
_SECRET: Final = frozenset({"password"})
"""Never kept: an item may carry the channel's own password (2.3), and nobody here has a use for it."""

COMPARED: Final = (
    "name",
    "status",
    "fault",
    "parent_id",
    "business_group_id",
    "manufacturer",
    "model",
    "civil_code",
    "block",
    "place",
    "longitude",
    "latitude",
    "parental",
    "register_way",
    "secrecy",
    "ip_address",
    "port",
    "ptz_type",
    "raw",
)
"""The columns that a device's own words fill; a difference in one of them is a change."""

_UPDATE_KEEPS: Final = frozenset(COMPARED) - {"raw", "status", "fault"}


def row_of(device_id: str, item: CatalogItem) -> dict[str, Any]:
    """The row of an item; texts from outside are cut to a bounded length."""
    fields = {child.name: child for child in item.extra}
    kind = kind_of(item.device_id)
    info = fields.get("Info")
    parent_id = "/".join(item.parent_ids)[:_TEXT_CHARS]
    row: dict[str, Any] = {
        "device_id": device_id,
        "gb_id": item.device_id,
        "kind": kind.value,
        "name": (item.name or item.device_id)[:_TEXT_CHARS],
        "status": _status(item).value,
        "fault": _fault(item.status),
        "parent_id": parent_id,
        "business_group_id": item.business_group_id[:_TEXT_CHARS],
        "manufacturer": item.manufacturer[:_TEXT_CHARS],
        "model": item.model[:_TEXT_CHARS],
        "civil_code": item.civil_code[:_TEXT_CHARS],
        "block": item.block[:_TEXT_CHARS],
        "place": item.address[:_TEXT_CHARS],
        "longitude": item.longitude,
        "latitude": item.latitude,
        "parental": None if item.parental is None else int(item.parental),
        "register_way": item.register_way,
        "secrecy": item.secrecy,
        "ip_address": _text(fields.get("IPAddress")),
        "port": _small_number(_text(fields.get("Port"))),
        "ptz_type": _small_number(_text(info.child("PTZType") if info else fields.get("PTZType"))),
        "raw": raw_of(child for child in item.extra if child.name not in _IN_COLUMNS),
    }
    row["region"] = region_of(item.device_id, row["civil_code"])
    row["up"] = first_guess(device_id, item.device_id, parent_id, row["business_group_id"])
    row["rank"] = rank_of(kind)
    return row


def merged(known: Mapping[str, Any], told: dict[str, Any], item: CatalogItem) -> dict[str, Any]:
    """An UPDATE that leaves fields out means that they are as they were."""
    row = dict(told)
    for name in _UPDATE_KEEPS:
        if row[name] in (None, "") or (name == "name" and not item.name):
            row[name] = known[name]
    if not item.status:
        row["status"], row["fault"] = known["status"], known["fault"]
    row["raw"] = _json({**json.loads(known["raw"]), **json.loads(row["raw"])})
    row["region"] = region_of(row["gb_id"], row["civil_code"])
    row["up"] = first_guess(row["device_id"], row["gb_id"], row["parent_id"], row["business_group_id"])
    return row


def rank_of(kind: ChannelKind) -> int:
    """What can hold others stands before what cannot."""
    return 0 if kind in (ChannelKind.ORGANISATION, ChannelKind.DEVICE) else 1


def _status(item: CatalogItem) -> ChannelStatus:
    return {True: ChannelStatus.ON, False: ChannelStatus.OFF, None: ChannelStatus.UNKNOWN}[item.on]


def _fault(status: str) -> str | None:
    fault = _FAULTS.get(status.upper())
    return fault.value if fault is not None else None


def _text(element: Element | None) -> str:
    return "" if element is None else element.text[:_TEXT_CHARS]


def _small_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None


def raw_of(elements: Iterable[Element]) -> str:
    """Elements as JSON: a text, an object of children, or a list where a name repeats.

    What would not fit `_RAW_CHARS` is left out, from the end, and said so under "truncated".
    """
    kept: dict[str, Any] = {}
    for element in elements:
        if element.name.casefold() not in _SECRET:
            _put(kept, element.name[:_TEXT_CHARS], _plain(element, _RAW_DEPTH))
    written = _json(kept)
    if len(written) <= _RAW_CHARS:
        return written
    while kept and len(written) > _RAW_CHARS:
        kept.popitem()
        written = _json({**kept, "truncated": "true"})
    return written


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(element: Element, depth: int) -> Any:
    if not element.children or not depth:
        return element.text[: _TEXT_CHARS * 4]
    inner: dict[str, Any] = {}
    for child in element.children:
        if child.name.casefold() not in _SECRET:
            _put(inner, child.name[:_TEXT_CHARS], _plain(child, depth - 1))
    return inner


def _put(target: dict[str, Any], name: str, value: Any) -> None:
    if name not in target:
        target[name] = value
    elif isinstance(target[name], list):
        target[name].append(value)
    else:
        target[name] = [target[name], value]


def channel_of_row(row: Mapping[str, Any]) -> Channel:
    """A channel as others see it; the operator's name and place stand before the device's."""
    given = row["given_longitude"] is not None and row["given_latitude"] is not None
    return Channel(
        id=channel_key(row["device_id"], row["gb_id"]),
        device_id=row["device_id"],
        gb_id=row["gb_id"],
        kind=ChannelKind(row["kind"]),
        name=row["given_name"] or row["name"],
        status=ChannelStatus(row["status"]),
        parent_id=row["parent_id"],
        manufacturer=row["manufacturer"],
        model=row["model"],
        civil_code=row["civil_code"],
        place=row["given_place"] or row["place"],
        longitude=row["given_longitude"] if given else row["longitude"],
        latitude=row["given_latitude"] if given else row["latitude"],
        vanished_at=row["vanished_at"],
        fault=ChannelFault(row["fault"]) if row["fault"] else None,
    )


def with_fault(record: DeviceRecord, found: Channel) -> Channel:
    """A channel as it stands, with what the last keep-alive of its device said of it."""
    if found.fault is None and found.gb_id in record.faulty:
        return replace(found, fault=ChannelFault.REPORTED)
    return found
