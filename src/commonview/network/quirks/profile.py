"""Which profile a peer has, and why; and how often each flag made a difference."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from commonview.network.quirks.model import Entry, Flag, Profile
from commonview.network.quirks.table import ENTRIES
from commonview.wire.version import GbVersion, effective

if TYPE_CHECKING:
    from commonview.network.quirks.model import Match

Overrides: TypeAlias = tuple[tuple[str, str], ...]
"""What the operator set for one peer: (flag, value), sorted by flag; empty for almost every peer."""

_TEXT_CHARS: Final = 64

fired: Counter[Flag] = Counter()
"""How often each flag made this process do otherwise than the standard says, over all peers."""


class Peer(Protocol):
    """What of a peer decides its profile. A device's record is one; a superior can be another."""

    manufacturer: str
    model: str
    firmware: str
    user_agent: str
    gb_version: str | None
    quirk_overrides: Overrides
    quirks_fired: Counter[Flag] | None


class QuirkInvalid(ValueError):
    """There is no such flag, or it cannot have this value."""


def peer_profile(record: Peer) -> Profile:
    """How to speak with this peer now. Cheap: ask at every use, do not keep the answer."""
    return _resolve(
        record.manufacturer,
        record.model,
        record.firmware,
        record.user_agent,
        record.gb_version,
        record.quirk_overrides,
    )


def note_fired(record: Peer, flag: Flag) -> None:
    """Count that a flag made a difference for this peer."""
    fired[flag] += 1
    if record.quirks_fired is None:
        record.quirks_fired = Counter()
    record.quirks_fired[flag] += 1


@lru_cache(maxsize=4096)
def _resolve(
    manufacturer: str, model: str, firmware: str, user_agent: str, told: str | None, overrides: Overrides
) -> Profile:
    version = effective(GbVersion.V2022, GbVersion.parse(told))
    names = (manufacturer.casefold(), model.casefold(), firmware.casefold(), user_agent.casefold())
    values: dict[str, Any] = {}
    matched = []
    for entry in ENTRIES:
        if _matches(entry.match, names, version):
            matched.append(entry.name)
            values.update({flag.value: value for flag, value in entry.sets.items()})
    for flag, text in overrides:
        values[flag] = read_value(Flag(flag), text)
    return Profile(version=version, entries=tuple(matched), **values)


def _matches(match: Match, names: tuple[str, str, str, str], version: GbVersion) -> bool:
    manufacturer, model, firmware, user_agent = names
    told = f"{manufacturer}\n{model}\n{user_agent}"
    return (
        (not match.vendor or any(word in told for word in match.vendor))
        and match.model in model
        and match.firmware in firmware
        and match.user_agent in user_agent
        and (match.version is None or match.version is version)
    )


# -- what may be set

_DEFAULTS: Final = {flag: getattr(Profile(), flag.value) for flag in Flag}


def read_value(flag: Flag, text: str) -> Any:
    """A flag's value from its text (`true`, `false`, or the word itself).

    Raises `QuirkInvalid`: not a value of this flag.
    """
    default = _DEFAULTS[flag]
    if isinstance(default, bool):
        if text not in ("true", "false"):
            raise QuirkInvalid(f"{flag.value} is true or false, not {text[:40]!r}")
        return text == "true"
    if isinstance(default, StrEnum):
        kind = type(default)
        try:
            return kind(text)
        except ValueError:
            raise QuirkInvalid(f"{flag.value} is one of {', '.join(kind)}, not {text[:40]!r}") from None
    if not 0 < len(text) <= _TEXT_CHARS or not text.isascii() or not text.isalnum():
        raise QuirkInvalid(f"{flag.value} is a word of 1 to {_TEXT_CHARS} letters and digits")
    return text


def write_value(value: object) -> str:
    """The text of a flag's value."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def choices(flag: Flag) -> tuple[str, ...]:
    """The texts a flag can have; empty when it is any word."""
    default = _DEFAULTS[flag]
    if isinstance(default, bool):
        return ("false", "true")
    return tuple(type(default)) if isinstance(default, StrEnum) else ()


# -- why


@dataclass(frozen=True, slots=True)
class Reason:
    """What an entry of the table contributes to a peer's profile."""

    entry: str
    trap: int | None
    source: str
    flags: tuple[Flag, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One flag of one peer: what holds, the standard's way, who decided, and how often it fired."""

    flag: Flag
    value: str
    standard: str
    entry: str | None
    overridden: bool
    choices: tuple[str, ...]
    fired: int


def settings_of(record: Peer) -> tuple[Setting, ...]:
    """Every flag of a peer with its value and why it has it."""
    profile = peer_profile(record)
    overridden = dict(record.quirk_overrides)
    by: dict[Flag, str] = {}
    for reason in reasons_of(profile):
        by.update(dict.fromkeys(reason.flags, reason.entry))
    counted = record.quirks_fired or Counter()
    return tuple(
        Setting(
            flag=flag,
            value=write_value(getattr(profile, flag.value)),
            standard=write_value(_DEFAULTS[flag]),
            entry=by.get(flag),
            overridden=flag.value in overridden,
            choices=choices(flag),
            fired=counted[flag],
        )
        for flag in Flag
    )


def reasons_of(profile: Profile) -> tuple[Reason, ...]:
    """The entries that made a profile, in the order in which they apply."""
    return tuple(
        Reason(entry.name, entry.trap, entry.source, tuple(entry.sets))
        for entry in ENTRIES
        if entry.name in profile.entries
    )


def checked_overrides(given: dict[str, str]) -> Overrides:
    """An operator's settings, checked and in order. Raises `QuirkInvalid`."""
    known = {flag.value for flag in Flag}
    for name, text in given.items():
        if name not in known:
            raise QuirkInvalid(f"there is no flag {name[:40]!r}")
        read_value(Flag(name), text)
    return tuple(sorted(given.items()))


def table() -> tuple[Entry, ...]:
    """Every known peculiarity."""
    return ENTRIES


assert {one.name for one in fields(Profile)} >= {flag.value for flag in Flag}  # noqa: S101 - a flag is a field
