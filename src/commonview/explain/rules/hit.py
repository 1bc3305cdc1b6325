"""What a pattern finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from commonview.explain.model import Params

if TYPE_CHECKING:
    from commonview.explain.drafts import Draft, Scene
    from commonview.explain.model import Sighting
    from commonview.explain.transactions import Transaction

UNANSWERED_AFTER_S: Final = 4.0
"""A request that a recording ends sooner after may still be answered."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A pattern that fits: the values for its words, and the messages that show it."""

    params: Params = field(default_factory=dict)
    evidence: tuple[int, ...] = ()


Pattern: TypeAlias = "Callable[[Draft, Scene], Hit | None]"


def seen(*sightings: Sighting | None) -> tuple[int, ...]:
    """Their numbers, for evidence."""
    return tuple(dict.fromkeys(each.number for each in sightings if each is not None))


def shown(transactions: list[Transaction], limit: int = 6) -> tuple[int, ...]:
    """Requests and final answers of the first few."""
    return seen(*(each for one in transactions[:limit] for each in (one.request, one.final)))


def place(address: tuple[str, int]) -> str:
    """``host:port``, IPv6 in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
