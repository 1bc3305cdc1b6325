"""Times in messages: Beijing time without a zone suffix (GB/T 28181-2022 9.10.3, A.2.1).

Devices add "+08:00", "Z" or milliseconds all the same (trap 20: Unisinsight); all of that is read, and what
is written is always YYYY-MM-DDThh:mm:ss.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

BEIJING: Final = timezone(timedelta(hours=8), "Beijing")
_TIME = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})[T ]\s*(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,:](\d{1,9}))?)?"
    r"\s*(Z|z|[+-]\d{2}:?(?:\d{2})?)?",
    re.ASCII,
)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})T?(\d{2})(\d{2})(\d{2})()(Z|z|[+-]\d{2}:?\d{2})?", re.ASCII)


def parse_time(text: str) -> datetime | None:
    """A moment with its zone (Beijing when none is written); None when the text is no time.

    24:00:00 is the midnight that ends the day, a sixtieth second the one after. Years before 1900 and after
    9998 are no time, so that every moment can be told in any zone.
    """
    found = _TIME.fullmatch(text.strip()) or _COMPACT.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    late = timedelta(seconds=1) if second == 60 else timedelta(0)
    if hour == 24 and minute == second == 0:
        hour, late = 0, timedelta(days=1)
    if not 1900 <= year <= 9998:
        return None
    micro = int((found[7] or "0").ljust(6, "0")[:6])
    try:
        return datetime(year, month, day, hour, minute, min(second, 59), micro, _zone(found[8])) + late
    except (ValueError, OverflowError):
        return None


def _zone(suffix: str | None) -> timezone:
    if suffix is None:
        return BEIJING
    if suffix in "Zz":
        return UTC
    digits = suffix[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if suffix[0] == "-" else offset)


def write_time(moment: datetime) -> str:
    """The moment in Beijing time, whole seconds, no suffix. A moment without a zone is taken as Beijing's."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(BEIJING)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")
