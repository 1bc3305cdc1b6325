"""Single-use nonces in constant memory.

A nonce says by itself when it was issued and that we issued it: sequence number, time, keyed hash. What must
be remembered is only which of the latest were used: one bit each. A flood of requests that never answer their
challenge therefore costs no memory; the worst it can do is push the window past a nonce still in flight, and
that device is challenged once more.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import os
import struct
from typing import Final

_LAYOUT: Final = struct.Struct(">QQ")
_HASH_BYTES: Final = 14
_TEXT_CHARS: Final = 40


class NonceVerdict(enum.Enum):
    """What redeeming a nonce found.

    Everything but ACCEPTED asks for a new challenge, ``stale=true`` if ours.
    """

    ACCEPTED = "accepted"
    EXPIRED = "expired"
    REUSED = "reused"
    FOREIGN = "foreign"


class NonceBook:
    """Issues and redeems nonces: each good for one use within `lifetime_s` seconds of a monotonic clock.

    Remembers the use of the latest `window` nonces (a power of two; one bit each, 128 KiB for the default);
    older ones count as expired.
    """

    __slots__ = ("_key", "_lifetime_us", "_next", "_used", "_window")

    def __init__(self, *, lifetime_s: float = 60.0, window: int = 1 << 20, key: bytes | None = None) -> None:
        if window < 8 or window & (window - 1):
            raise ValueError("window must be a power of two, at least 8")
        self._lifetime_us = int(lifetime_s * 1_000_000)
        self._window = window
        self._used = bytearray(window // 8)
        self._next = 0
        self._key = os.urandom(32) if key is None else key

    def _seal(self, text: bytes) -> bytes:
        return hashlib.blake2b(text, digest_size=_HASH_BYTES, key=self._key).digest()

    def issue(self, now: float, holder: str = "") -> str:
        """A new nonce (40 characters, URL-safe base64) issued at monotonic time `now`, seconds >= 0.

        It is good for `holder` only, such as the address it is sent to: whoever writes a false sender never
        sees the nonce that would let him guess, and be counted, in another's name.
        """
        number = self._next
        self._next = number + 1
        slot = number & (self._window - 1)
        self._used[slot >> 3] &= ~(1 << (slot & 7)) & 0xFF
        head = _LAYOUT.pack(number, int(now * 1_000_000))
        return base64.urlsafe_b64encode(head + self._seal(head + holder.encode())).decode("ascii")

    def redeem(self, nonce: str, now: float, holder: str = "") -> NonceVerdict:
        """Use `nonce` up; one that was issued to another holder is foreign.

        Redeem before checking the digest, so that one nonce is never good for two guesses.
        """
        if len(nonce) != _TEXT_CHARS or not nonce.isascii():
            return NonceVerdict.FOREIGN
        try:
            raw = base64.urlsafe_b64decode(nonce)
        except (binascii.Error, ValueError):
            return NonceVerdict.FOREIGN
        if base64.urlsafe_b64encode(raw).decode("ascii") != nonce:
            return NonceVerdict.FOREIGN  # another spelling of the same bits
        head = raw[: _LAYOUT.size]
        if not hmac.compare_digest(raw[_LAYOUT.size :], self._seal(head + holder.encode())):
            return NonceVerdict.FOREIGN
        number, issued_us = _LAYOUT.unpack(head)
        age_us = int(now * 1_000_000) - issued_us
        if age_us > self._lifetime_us or number < self._next - self._window:
            return NonceVerdict.EXPIRED
        slot = number & (self._window - 1)
        bit = 1 << (slot & 7)
        if self._used[slot >> 3] & bit:
            return NonceVerdict.REUSED
        self._used[slot >> 3] |= bit
        return NonceVerdict.ACCEPTED
