"""Date as GB/T 28181 writes it (9.10.3): Beijing time with milliseconds and no zone; not the grammar of RFC
3261."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

_BEIJING: Final = timezone(timedelta(hours=8))
_DATE: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,6})?\d{0,9} ?(Z|[+-]\d\d:\d\d)?", re.ASCII
)


def write_date(now: datetime) -> str:
    """The header value; `now` has a zone."""
    return now.astimezone(_BEIJING).isoformat(timespec="milliseconds")[:23]


def read_date(value: str | None) -> datetime | None:
    """The moment a Date names, with or without milliseconds; a zone is believed. None if unreadable."""
    found = _DATE.fullmatch((value or "").strip())
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{(fraction or '.0').ljust(7, '0')}{zone or ''}")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=_BEIJING)
