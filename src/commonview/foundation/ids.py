"""Identifiers that say nothing and cannot be guessed."""

import base64
import secrets

ID_LENGTH = 26
"""Characters of `new_id()`: 128 bits in unpadded lower-case base32."""


def new_id() -> str:
    """A fresh random 128-bit id, safe in URLs, file names and command lines."""
    return base64.b32encode(secrets.token_bytes(16)).decode("ascii").rstrip("=").lower()
