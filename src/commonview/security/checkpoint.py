"""Signed checkpoints: C2SP tlog-checkpoint inside a C2SP signed-note, Ed25519.

    commonview.example/log          origin: the name of the log, also the name of the key
    20852163                        number of entries
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=      root hash
    time 2026-11-22T10:00:00Z       extension line: when it was signed

    - commonview.example/log Az3grlgt...               (the dash is U+2014) key id and signature

Everything is parsed strictly: a note that does not encode back to its own bytes is refused, so that no
single changed bit goes unseen, not even in the unused bits of base64.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from commonview.security.merkle import HASH_SIZE

_ED25519: Final = b"\x01"  # signed-note: signature type of plain Ed25519
_TIME: Final = "time "
_DASH: Final = "\u2014 "
_MAX_NOTE: Final = 64 * 1024


class CheckpointError(ValueError):
    """The note is malformed, or its signature does not verify; the message says which."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of the log at one moment: `root` (32 bytes) over the first `size` entries."""

    origin: str
    size: int
    root: bytes
    signed_at: datetime

    def body(self) -> str:
        """The text that is signed, with its final newline."""
        at = self.signed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n{_TIME}{at}\n"


@dataclass(frozen=True, slots=True)
class LogKey:
    """The public half of a log's key, with its name (signed-note "verifier key")."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys apart: SHA-256(name || LF || type || public key), truncated."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def encode(self) -> str:
        """`<name>+<key id in hex>+<base64 of type and public key>`."""
        return f"{self.name}+{self.key_id.hex()}+{_base64(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> "LogKey":
        """Read `encode()`'s text back. Raises: CheckpointError."""
        parts = text.split("+", 2)  # a key name holds no plus sign, base64 may
        if len(parts) != 3:
            raise CheckpointError("not a verifier key: expected name+id+key")
        material = _unbase64(parts[2], "the key")
        key = cls(parts[0], material[1:])
        if material[:1] != _ED25519 or len(material) != 33 or key.encode() != text:
            raise CheckpointError("not an Ed25519 verifier key, or its id does not fit")
        return key

    @classmethod
    def parse_line(cls, line: bytes) -> "LogKey":
        """Read the key from a file of exactly one line. Raises: CheckpointError."""
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise CheckpointError("not UTF-8") from error
        if not text.endswith("\n"):
            raise CheckpointError("it does not end with a line feed")
        return cls.parse(text[:-1])


def log_key(name: str, private: Ed25519PrivateKey) -> LogKey:
    """The public half of `private` under the log's name."""
    return LogKey(name, private.public_key().public_bytes_raw())


def sign(checkpoint: Checkpoint, private: Ed25519PrivateKey) -> str:
    """The signed note for `checkpoint`."""
    body = checkpoint.body()
    key = log_key(checkpoint.origin, private)
    return f"{body}\n{_DASH}{key.name} {_base64(key.key_id + private.sign(body.encode()))}\n"


def open_note(note: bytes, key: LogKey) -> Checkpoint:
    """Verify a signed note and read its checkpoint.

    Raises:
        CheckpointError: malformed, made by another key, or the signature does not verify.
    """
    if len(note) > _MAX_NOTE:
        raise CheckpointError(f"the checkpoint is {len(note)} bytes long, at most {_MAX_NOTE} are accepted")
    try:
        text = note.decode()
    except UnicodeDecodeError as error:
        raise CheckpointError("the checkpoint is not UTF-8") from error
    body, found, signatures = text.partition("\n\n")
    body += "\n"
    lines = signatures.split("\n")
    # The log's own signature comes first; witnesses may add theirs below.
    if not found or len(lines) < 2 or lines[-1] or not lines[0].startswith(f"{_DASH}{key.name} "):
        raise CheckpointError(f"the checkpoint carries no signature of {key.name}")
    blob = _unbase64(lines[0].removeprefix(f"{_DASH}{key.name} "), "the signature")
    if blob[:4] != key.key_id:
        raise CheckpointError("the checkpoint was signed with another key")
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(blob[4:], body.encode())
    except InvalidSignature as error:
        raise CheckpointError("the signature does not fit the checkpoint: one of them was changed") from error
    return _parse_body(body, key)


def _parse_body(body: str, key: LogKey) -> Checkpoint:
    lines = body.split("\n")
    try:
        origin, size, root, at = lines[:4]
        checkpoint = Checkpoint(
            origin, int(size), _unbase64(root, "the root"), datetime.fromisoformat(at.removeprefix(_TIME))
        )
    except ValueError as error:
        raise CheckpointError(f"the checkpoint is malformed: {error}") from error
    if checkpoint.body() != body or origin != key.name or len(checkpoint.root) != HASH_SIZE:
        raise CheckpointError("the checkpoint is malformed")
    return checkpoint


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unbase64(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CheckpointError(f"{what} is not base64") from error
    if _base64(data) != text:
        raise CheckpointError(f"{what} is not canonical base64")
    return data
