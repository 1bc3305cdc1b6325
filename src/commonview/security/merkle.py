"""The Merkle tree of RFC 6962 section 2.1: hashes, a growing tree in O(log n) memory, proofs.

    leaf hash      SHA-256(0x00 || entry)
    node hash      SHA-256(0x01 || left || right)
    empty tree     SHA-256("")

A tree of n leaves splits at the largest power of two below n, so it is a row of perfect subtrees, the
largest first: the binary digits of n. Growing needs only their roots (`Frontier`), proofs need the root of
any perfect subtree, given as `node(level, index)` = the subtree over leaves [index * 2**level, ...).
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

NodeReader: TypeAlias = Callable[[int, int], bytes]
"""`node(level, index)`: the hash of one perfect subtree."""

_sha256 = hashlib.sha256


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one log entry (RFC 6962 2.1)."""
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two neighbouring subtrees (RFC 6962 2.1)."""
    return _sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of neighbouring subtrees of one size."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def fold(subtrees: Iterable[bytes]) -> bytes:
    """The root over a row of perfect subtrees, largest first; the empty root for none."""
    row = list(subtrees)
    if not row:
        return EMPTY_ROOT
    root = row.pop()
    while row:
        root = node_hash(row.pop(), root)
    return root


def perfect_parts(start: int, end: int) -> list[tuple[int, int]]:
    """The perfect subtrees (level, index) that make up leaves [start, end), left to right.

    `start` must be a multiple of every part's size, as it is for the ranges that RFC 6962 splits into.
    """
    parts = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append((level, start >> level))
        start += 1 << level
    return parts


class Frontier:
    """A growing tree that remembers only the roots of its perfect subtrees."""

    __slots__ = ("_roots", "size")

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add the leaf hash `leaf` (32 bytes); amortised one node hash a leaf."""
        carry = self.size
        roots = self._roots
        while carry & 1:
            leaf = _sha256(b"\x01" + roots.pop() + leaf).digest()
            carry >>= 1
        roots.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree so far."""
        return fold(self._roots)


def _range_root(start: int, end: int, node: NodeReader) -> bytes:
    return fold(node(level, index) for level, index in perfect_parts(start, end))


def _split(size: int) -> int:
    """The largest power of two below `size` (size > 1)."""
    return 1 << ((size - 1).bit_length() - 1)


def root_of(size: int, node: NodeReader) -> bytes:
    """The root of the first `size` leaves."""
    return _range_root(0, size, node)


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves (RFC 6962 2.1.1).

    Raises:
        ValueError: the leaf is not in that tree.
    """
    if not 0 <= index < size:
        raise ValueError(f"entry {index} is not in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_root(middle, end, node))
            end = middle
        else:
            path.append(_range_root(start, middle, node))
            start = middle
    path.reverse()
    return path


def verify_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that leaf hash `leaf` is entry `index` of the tree (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, value = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            value = node_hash(sibling, value)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            value = node_hash(value, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and hmac.compare_digest(value, root)


def consistency_proof(old: int, new: int, node: NodeReader) -> list[bytes]:
    """The proof that the tree of `old` leaves is a prefix of that of `new` (RFC 6962 2.1.2).

    Raises:
        ValueError: unless 0 < old <= new.
    """
    if not 0 < old <= new:
        raise ValueError(f"no consistency proof from {old} to {new}")
    path: list[bytes] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range_root(middle, end, node))
            end = middle
        else:
            path.append(_range_root(start, middle, node))
            start, whole = middle, False
    if not whole:
        path.append(_range_root(start, end, node))
    path.reverse()
    return path


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that nothing was changed before `old` (RFC 9162 2.1.4.2)."""
    if old == new:
        return not path and hmac.compare_digest(old_root, new_root)
    if not 0 < old < new or not path:
        return False
    rest = list(path) if old & (old - 1) else [old_root, *path]
    position, last = old - 1, new - 1
    while position & 1:
        position >>= 1
        last >>= 1
    first = second = rest[0]
    for sibling in rest[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            second = node_hash(second, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and hmac.compare_digest(first, old_root) and hmac.compare_digest(second, new_root)
