"""The operator's own words for a channel, checked."""

from __future__ import annotations

from typing import Any, Final

from commonview.network.tree.model import TreeInvalid

_EDITABLE: Final = {"name": "given_name", "place": "given_place"}


def checked_edit(
    name: str | None, place: str | None, position: tuple[float, float] | None, clear: frozenset[str]
) -> dict[str, Any]:
    """An operator's words as columns. Raises `TreeInvalid`."""
    if unknown := clear - {"name", "place", "position"}:
        raise TreeInvalid(f"cannot clear {min(unknown)[:40]!r}", field=min(unknown)[:40])
    values: dict[str, Any] = {_EDITABLE[one]: None for one in clear & _EDITABLE.keys()}
    for field, text in (("name", name), ("place", place)):
        if text is None:
            continue
        if not 0 < len(text.strip()) <= 128 or not text.isprintable():
            raise TreeInvalid(f"{field} must have 1 to 128 printable characters", field=field)
        values[_EDITABLE[field]] = text.strip()
    if position is not None:
        longitude, latitude = position
        if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
            raise TreeInvalid("longitude is -180 to 180 and latitude -90 to 90 degrees", field="position")
        values.update(given_longitude=longitude, given_latitude=latitude)
    elif "position" in clear:
        values.update(given_longitude=None, given_latitude=None)
    return values
