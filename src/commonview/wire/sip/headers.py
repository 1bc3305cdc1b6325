"""Header fields of a SIP message: an ordered, case-insensitive multimap (RFC 3261 7.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from commonview.wire.sip.errors import SipParseError

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")

_KNOWN: Final = (
    "Accept", "Accept-Contact", "Accept-Encoding", "Accept-Language", "Alert-Info",
    "Allow", "Allow-Events", "Authentication-Info", "Authorization", "Call-ID",
    "Call-Info", "Contact", "Content-Disposition", "Content-Encoding", "Content-Language",
    "Content-Length", "Content-Transfer-Encoding", "Content-Type", "CSeq", "Date",
    "Error-Info", "Event", "Expires", "From", "Identity",
    "Identity-Info", "In-Reply-To", "Max-Forwards", "MIME-Version", "Min-Expires",
    "Min-SE", "Monitor-User-Identity", "Note", "Organization", "Path",
    "Priority", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Require", "RAck",
    "Reason", "Record-Route", "Refer-To", "Referred-By", "Reject-Contact",
    "Reply-To", "Request-Disposition", "Require", "Retry-After", "Route",
    "RSeq", "Server", "Service-Route", "Session-Expires", "SIP-ETag",
    "SIP-If-Match", "Subject", "Subscription-State", "Supported", "Timestamp",
    "To", "Unsupported", "User-Agent", "Via", "Warning",
    "WWW-Authenticate", "X-GB-Ver", "X-PreferredPath", "X-RoutePath",
)  # fmt: skip

# The registered one-letter names (RFC 3261 7.3.3 and the IANA table of SIP header fields).
_COMPACT: Final = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}


def _spellings() -> dict[str, str]:
    table: dict[str, str] = {}
    for name in _KNOWN:
        for spelling in (name, name.lower(), name.upper(), name.title(), name.capitalize()):
            table[spelling] = name
    for letter, name in _COMPACT.items():
        table[letter] = table[letter.upper()] = name
    return table


# Usual spellings found without any further work; anything else takes the slow way of `canonical_name`.
SPELLINGS: Final = _spellings()


def canonical_name(name: str) -> str:
    """Return the one spelling under which a header field is kept: ``call-id``, ``I`` -> ``Call-ID``.

    Names we do not know get capitalised words. Raises SipParseError(400) for anything that is no token.
    """
    known = SPELLINGS.get(name)
    if known is not None:
        return known
    bare = name.rstrip(" \t")  # RFC 3261 7.3.1 allows white space before the colon
    if _TOKEN.fullmatch(bare) is None:
        raise SipParseError(400, "malformed header name")
    known = SPELLINGS.get(bare.lower())
    return known if known is not None else "-".join(word.capitalize() for word in bare.split("-"))


class Headers:
    """Ordered multimap of header fields; names compare without regard to case and compact form.

    Values are text as it stood on the wire, trimmed and unfolded; bytes that are not UTF-8 survive as
    surrogate escapes and are written back unchanged.
    """

    __slots__ = ("_first", "_items")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        known = SPELLINGS.get
        self._items: list[tuple[str, str]] = [
            (known(name) or canonical_name(name), value) for name, value in items
        ]
        self._first: dict[str, str] | None = None

    @classmethod
    def of_canonical(cls, items: list[tuple[str, str]]) -> Headers:
        """Wrap a list whose names are canonical already; the list is not copied."""
        self = cls.__new__(cls)
        self._items = items
        self._first = None
        return self

    @property
    def first(self) -> dict[str, str]:
        """First value of each name, keyed by canonical name: the quick way to look up several fields."""
        found = self._first
        if found is None:
            found = self._first = dict(reversed(self._items))
        return found

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of `name`, or `default`."""
        first = self._first
        if first is None:
            first = self.first
        return first.get(SPELLINGS.get(name) or canonical_name(name), default)

    def get_all(self, name: str) -> list[str]:
        """Every value of `name` in order, one per header line (comma lists are not split)."""
        key = canonical_name(name)
        return [value for known, value in self._items if known == key]

    def add(self, name: str, value: str) -> None:
        """Append a field."""
        key = SPELLINGS.get(name) or canonical_name(name)
        self._items.append((key, value))
        if self._first is not None:
            self._first.setdefault(key, value)

    def prepend(self, name: str, value: str) -> None:
        """Put a field before all others: how a Via is pushed."""
        key = SPELLINGS.get(name) or canonical_name(name)
        self._items.insert(0, (key, value))
        if self._first is not None:
            self._first[key] = value

    def set(self, name: str, value: str) -> None:
        """Replace the first field of that name in place, drop its repetitions, or append it."""
        key = canonical_name(name)
        kept: list[tuple[str, str]] = []
        placed = False
        for item in self._items:
            if item[0] != key:
                kept.append(item)
            elif not placed:
                kept.append((key, value))
                placed = True
        if not placed:
            kept.append((key, value))
        self._items = kept
        self._first = None

    def remove(self, name: str) -> None:
        """Drop every field of that name; none is no error."""
        if name in self:
            key = canonical_name(name)
            self._items = [item for item in self._items if item[0] != key]
            self._first = None

    def copy(self) -> Headers:
        """Return an independent copy."""
        copied = Headers.of_canonical(self._items.copy())
        copied._first = None if self._first is None else self._first.copy()
        return copied

    def has_repeats(self) -> bool:
        """Whether any name occurs on more than one line."""
        return len(self.first) != len(self._items)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (SPELLINGS.get(name) or canonical_name(name)) in self.first

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._items == other._items

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({[name for name, _ in self._items]})"
