"""The tree against the published roots of Certificate Transparency and a naive reading of RFC 6962."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonview.security.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    perfect_root,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# Inputs and roots of the reference tests of Certificate Transparency.
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def naive_root(entries: list[bytes]) -> bytes:
    """RFC 6962 2.1, word by word."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(entries[:k]) + naive_root(entries[k:])).digest()


def naive_path(m: int, entries: list[bytes]) -> list[bytes]:
    """RFC 6962 2.1.1."""
    if len(entries) == 1:
        return []
    k = 1
    while k * 2 < len(entries):
        k *= 2
    if m < k:
        return [*naive_path(m, entries[:k]), naive_root(entries[k:])]
    return [*naive_path(m - k, entries[k:]), naive_root(entries[:k])]


def naive_proof(m: int, entries: list[bytes], whole: bool = True) -> list[bytes]:
    """RFC 6962 2.1.2."""
    if m == len(entries):
        return [] if whole else [naive_root(entries)]
    k = 1
    while k * 2 < len(entries):
        k *= 2
    if m <= k:
        return [*naive_proof(m, entries[:k], whole), naive_root(entries[k:])]
    return [*naive_proof(m - k, entries[k:], False), naive_root(entries[:k])]


def entries_of(count: int) -> list[bytes]:
    return [f"entry {i}".encode() for i in range(count)]


class Tree:
    def __init__(self, entries: list[bytes]) -> None:
        self.leaves = [leaf_hash(entry) for entry in entries]

    def node(self, level: int, index: int) -> bytes:
        return perfect_root(self.leaves[index << level : (index + 1) << level])


def frontier_root(entries: list[bytes]) -> bytes:
    tree = Frontier()
    for entry in entries:
        tree.append(leaf_hash(entry))
    return tree.root()


@pytest.mark.parametrize("size", range(1, 9))
def test_certificate_transparency_roots(size: int) -> None:
    assert frontier_root(CT_LEAVES[:size]).hex() == CT_ROOTS[size - 1]
    assert naive_root(CT_LEAVES[:size]).hex() == CT_ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert Frontier().root() == EMPTY_ROOT == hashlib.sha256(b"").digest()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=40), max_size=70))
def test_growing_gives_the_root_of_the_naive_tree(entries: list[bytes]) -> None:
    assert frontier_root(entries) == naive_root(entries)
    assert root_of(len(entries), Tree(entries).node) == naive_root(entries)


def test_every_inclusion_proof_up_to_40_entries_is_the_naive_one_and_verifies() -> None:
    for size in range(1, 41):
        entries = entries_of(size)
        tree, root = Tree(entries), naive_root(entries)
        for index in range(size):
            path = inclusion_proof(index, size, tree.node)
            assert path == naive_path(index, entries)
            assert verify_inclusion(index, size, tree.leaves[index], path, root)


def test_every_consistency_proof_up_to_40_entries_is_the_naive_one_and_verifies() -> None:
    for size in range(1, 41):
        entries = entries_of(size)
        tree, root = Tree(entries), naive_root(entries)
        for old in range(1, size + 1):
            path = consistency_proof(old, size, tree.node)
            assert path == naive_proof(old, entries)
            assert verify_consistency(old, size, naive_root(entries[:old]), root, path)


@settings(deadline=None)
@given(st.integers(2, 60), st.data())
def test_a_proof_with_one_changed_bit_is_refused(size: int, data: st.DataObject) -> None:
    entries = entries_of(size)
    tree, root = Tree(entries), naive_root(entries)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_proof(index, size, tree.node)
    at, bit = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 255))
    broken = bytearray(path[at])
    broken[bit // 8] ^= 1 << (bit % 8)
    assert not verify_inclusion(
        index, size, tree.leaves[index], [*path[:at], bytes(broken), *path[at + 1 :]], root
    )
    assert not verify_inclusion(index, size, tree.leaves[index], path[:-1], root)
    assert not verify_inclusion(index, size, tree.leaves[index], [*path, root], root)


@settings(deadline=None)
@given(st.integers(2, 60), st.data())
def test_a_rewritten_past_has_no_consistency_proof(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size - 1))
    entries = entries_of(size)
    rewritten = [*entries]
    rewritten[data.draw(st.integers(0, old - 1))] = b"another"
    path = consistency_proof(old, size, Tree(rewritten).node)
    assert not verify_consistency(old, size, naive_root(entries[:old]), naive_root(rewritten), path)


def test_nothing_is_proved_outside_the_tree() -> None:
    tree = Tree(entries_of(4))
    with pytest.raises(ValueError, match="not in a tree"):
        inclusion_proof(4, 4, tree.node)
    with pytest.raises(ValueError, match="no consistency proof"):
        consistency_proof(5, 4, tree.node)
    assert not verify_inclusion(4, 4, tree.leaves[0], [], tree.leaves[0])
    assert not verify_consistency(3, 2, EMPTY_ROOT, EMPTY_ROOT, [])
