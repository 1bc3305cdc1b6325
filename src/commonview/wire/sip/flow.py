"""Where a message came from and where an answer goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Flow:
    """One path to one peer (RFC 5626 1): a UDP address pair, or one TCP or TLS connection.

    ``connection_id`` is None for UDP. Any other flow dies with its connection. Flows are values: equal
    fields, same path.
    """

    transport: Literal["udp", "tcp", "tls"]
    peer: Address
    local: Address
    connection_id: int | None = None
    reliable: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reliable", self.transport != "udp")
