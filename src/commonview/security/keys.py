"""The key files of one installation: made at first start, never known to anybody else, never in a log.

    keys/instance.key                32 random bytes: seals secrets in the database (secrets.py)
    keys/audit-signing.key           Ed25519 private key, PEM: signs checkpoints (audit.py)
    keys/device-enrolment.password   what a camera needs to register before it has its own password

Back them up apart from the database: a backup of the database alone holds no usable secret.
"""

import os
import secrets
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from commonview.foundation.datadir import DataDirectory, write_private
from commonview.security.errors import KeyFileError

INSTANCE_KEY_SIZE = 32

# Easy to read aloud and to type into a camera's web page: no 0/O, 1/l/I.
_PASSWORD_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # noqa: S105 - an alphabet, not a password
_PASSWORD_LENGTH = 16


def require_private(path: Path) -> None:
    """Refuse a key file or folder that others on this machine can read.

    Raises:
        KeyFileError: naming the path, its mode and the remedy.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        remedy = "700" if path.is_dir() else "600"
        raise KeyFileError(
            f"{path} can be read by others (mode {mode:03o}); run: chmod {remedy} {path}",
            code="key_file_readable_by_others",
        )


def _read_or_make(path: Path, make: bytes, *, may_make: bool) -> bytes:
    require_private(path.parent)
    if not path.exists():
        if not may_make:
            raise KeyFileError(
                f"{path} is missing, but has been in use: restore it from the backup of the keys",
                code="key_file_missing",
            )
        write_private(path, make)
    require_private(path)
    return path.read_bytes()


def load_instance_key(data: DataDirectory, *, may_make: bool) -> bytes:
    """The 32 bytes that seal secrets; made when absent and `may_make`.

    Raises:
        KeyFileError: missing, damaged or readable by others.
    """
    key = _read_or_make(data.instance_key, os.urandom(INSTANCE_KEY_SIZE), may_make=may_make)
    if len(key) != INSTANCE_KEY_SIZE:
        raise KeyFileError(f"{data.instance_key} holds {len(key)} bytes instead of {INSTANCE_KEY_SIZE}")
    return key


def load_signing_key(data: DataDirectory, *, may_make: bool) -> Ed25519PrivateKey:
    """The key that signs checkpoints; made when absent and `may_make`.

    Raises:
        KeyFileError: missing, damaged or readable by others.
    """
    fresh = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem = _read_or_make(data.audit_signing_key, fresh, may_make=may_make)
    try:
        key = load_pem_private_key(pem, None)
    except ValueError as error:
        raise KeyFileError(f"{data.audit_signing_key} is not a private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{data.audit_signing_key} is not an Ed25519 key")
    return key


def load_enrolment_password(data: DataDirectory) -> str:
    """What a camera registers with until it has its own password; made at first start.

    Raises:
        KeyFileError: empty or readable by others.
    """
    fresh = "".join(secrets.choice(_PASSWORD_ALPHABET) for _ in range(_PASSWORD_LENGTH))
    text = _read_or_make(data.enrolment_password, f"{fresh}\n".encode(), may_make=True).decode().strip()
    if not text:
        raise KeyFileError(f"{data.enrolment_password} is empty; remove it and a new one is made")
    return text
