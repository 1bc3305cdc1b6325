"""How many cameras, and how many of them on, under every region and every group: kept, not computed. Pure.

A camera counts as on when its device is present and calls it on. A city's device going offline changes a
handful of numbers, whatever the size of the tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Contribution: TypeAlias = tuple[tuple[str, int, int], ...]
"""Of one device: (node, cameras in it, of them called on)."""


class Count(NamedTuple):
    """Cameras, and those that are on."""

    total: int
    on: int


NOTHING = Count(0, 0)


class NodeCounts:
    """The counts of one tree; ``ancestors`` gives a node itself and everything above it."""

    def __init__(self, ancestors: Callable[[str], Iterable[str]]) -> None:
        self._ancestors = ancestors
        self._of: dict[str, Contribution] = {}
        self._present: set[str] = set()
        self._counts: dict[str, list[int]] = {}

    def put(self, device_id: str, contribution: Contribution) -> None:
        """What a device has where, replacing what it had."""
        self._add(device_id, -1)
        if contribution:
            self._of[device_id] = contribution
        else:
            self._of.pop(device_id, None)
        self._add(device_id, 1)

    def present(self, device_id: str, here: bool) -> None:
        """A device came or went."""
        if here == (device_id in self._present):
            return
        self._add(device_id, -1)
        (self._present.add if here else self._present.discard)(device_id)
        self._add(device_id, 1)

    def _add(self, device_id: str, sign: int) -> None:
        here = device_id in self._present
        for node, total, on in self._of.get(device_id, ()):
            for each in self._ancestors(node):
                counts = self._counts.setdefault(each, [0, 0])
                counts[0] += sign * total
                counts[1] += sign * on if here else 0

    def rebuild(self) -> None:
        """Count again from the beginning, after nodes were moved."""
        self._counts.clear()
        for device_id in self._of:
            self._add(device_id, 1)

    def devices(self) -> list[str]:
        """Every device that has something somewhere."""
        return list(self._of)

    def count(self, node: str) -> Count:
        """What lies in a node and below it."""
        counts = self._counts.get(node)
        return NOTHING if counts is None else Count(counts[0], counts[1])

    def nodes(self) -> list[str]:
        """Every node that has something, in no order."""
        return [node for node, counts in self._counts.items() if counts[0]]


def region_ancestors(region: str) -> list[str]:
    """A region and those around it, "" for the whole country: 330102 lies in 3301 and 33."""
    return [region[:end] for end in range(0, len(region) + 1, 2)] if region else ["", NO_REGION]


NO_REGION = "-"
"""Stands for cameras that tell no region."""
