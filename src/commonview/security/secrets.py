"""Secrets at rest: envelope encryption with AES-256-GCM, the key outside the database.

    version(1) || key id(4) || wrap nonce(12) || wrapped data key(32+16) || nonce(12) || ciphertext || tag(16)

Every secret has a data key of its own, wrapped by the instance key. Rotation: give the vault the new key
first and the old ones after it; `reseal` rewrites the wrapping only. The context (what the secret is for,
such as `device:34020000001320000001`) is authenticated: a sealed value moved to another row does not open.
"""

import hashlib
import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from commonview.security.errors import KeyFileError

_VERSION: Final = b"\x01"
_NONCE: Final = 12
_DATA_KEY: Final = 32
_TAG: Final = 16
_WRAPPED: Final = _NONCE + _DATA_KEY + _TAG
_HEAD: Final = 1 + 4
_SHORTEST: Final = _HEAD + _WRAPPED + _NONCE + _TAG


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"commonview instance key\n" + key).digest()[:4]


class Vault:
    """Seals and opens; `keys` are 32-byte instance keys, the one in use first."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._current = keys[0]
        self._keys = {_key_id(key): key for key in keys}

    def seal(self, secret: bytes, context: str) -> bytes:
        """The secret, readable only with the instance key and the same context."""
        data_key, nonce = os.urandom(_DATA_KEY), os.urandom(_NONCE)
        aad = _VERSION + context.encode()
        return self._wrap(data_key, aad) + nonce + AESGCM(data_key).encrypt(nonce, secret, aad)

    def open(self, sealed: bytes, context: str) -> bytes:
        """The secret again.

        Raises:
            KeyFileError: sealed with another key, for another context, or damaged. Never says more.
        """
        aad = _VERSION + context.encode()
        data_key = self._unwrap(sealed, aad)
        body = sealed[_HEAD + _WRAPPED :]
        try:
            return AESGCM(data_key).decrypt(body[:_NONCE], body[_NONCE:], aad)
        except InvalidTag as error:
            raise _cannot_open() from error

    def reseal(self, sealed: bytes, context: str) -> bytes:
        """The same secret under the key now in use (rotation); unchanged when it already is."""
        if sealed[1:_HEAD] == _key_id(self._current):
            return sealed
        aad = _VERSION + context.encode()
        return self._wrap(self._unwrap(sealed, aad), aad) + sealed[_HEAD + _WRAPPED :]

    def _wrap(self, data_key: bytes, aad: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        wrapped = AESGCM(self._current).encrypt(nonce, data_key, aad)
        return _VERSION + _key_id(self._current) + nonce + wrapped

    def _unwrap(self, sealed: bytes, aad: bytes) -> bytes:
        key = self._keys.get(sealed[1:_HEAD])
        if len(sealed) < _SHORTEST or sealed[:1] != _VERSION or key is None:
            raise _cannot_open()
        wrapped = sealed[_HEAD : _HEAD + _WRAPPED]
        try:
            return AESGCM(key).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], aad)
        except InvalidTag as error:
            raise _cannot_open() from error


def _cannot_open() -> KeyFileError:
    return KeyFileError(
        "a stored secret cannot be opened with the instance key: the key file does not belong to this "
        "database; restore both from the same backup",
        code="secret_cannot_be_opened",
    )
