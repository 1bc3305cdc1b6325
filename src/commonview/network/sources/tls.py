"""Connections to servers inside TLS (`rtsps://`): what a server must prove, and no way around it."""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from commonview.foundation.errors import StartupError
from commonview.network.sources.errors import SourceFailed, SourceInvalid
from commonview.network.sources.model import SourceOutcome

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from pathlib import Path

_HANDSHAKE_S = 4.0
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class TlsTrust:
    """Certificates in PEM of the operator's authorities, or the SHA-256 of the one certificate that is meant.

    A server shows the one certificate, whatever that says of itself, or one that an authority signed for the
    name or address it is asked at. With neither of the two no server is trusted.
    """

    authorities: str = ""
    certificate_sha256: str = ""

    def __bool__(self) -> bool:
        return bool(self.authorities or self.certificate_sha256)

    def only(self, certificate_sha256: str) -> TlsTrust:
        """For a source with a certificate of its own that one alone, else the same."""
        return TlsTrust(certificate_sha256=certificate_sha256) if certificate_sha256 else self


def fingerprint(text: str) -> str:
    """A SHA-256 as tools print it, with colons or without, in the one form that is kept; empty stays empty.

    Raises `SourceInvalid`.
    """
    plain = text.replace(":", "").strip().lower()
    if plain and not _SHA256.fullmatch(plain):
        raise SourceInvalid(
            "a certificate is named by the 64 hexadecimal digits of its SHA-256", field="certificate_sha256"
        )
    return plain


def read_authorities(path: Path | None) -> TlsTrust:
    """The operator's authorities from a PEM file. Raises `StartupError` for what cannot be used."""
    if path is None:
        return TlsTrust()
    try:
        pem = path.read_text("ascii")
        _authorities(pem)
    except (OSError, ValueError, ssl.SSLError) as error:
        raise StartupError(f"cannot read the authorities of source_tls_ca from {path}: {error}") from None
    return TlsTrust(authorities=pem)


async def connect(
    address: str, port: int, host: str, trust: TlsTrust, *, limit: int
) -> tuple[StreamReader, StreamWriter]:
    """Connect and have the server prove that it is ``host``; nothing was sent to one that does not.

    Raises `SourceFailed` (`tls`, or `certificate` with what was shown), OSError where nothing answers.
    """
    known = trust.certificate_sha256
    context = _any_certificate() if known or not trust.authorities else _authorities(trust.authorities)
    try:
        reader, writer = await asyncio.open_connection(
            address,
            port,
            limit=limit,
            ssl=context,
            server_hostname=host,
            ssl_handshake_timeout=_HANDSHAKE_S,
        )
    except ssl.SSLCertVerificationError as error:
        why = f"no authority of ours vouches for the certificate: {error.verify_message}"
        raise SourceFailed(SourceOutcome.CERTIFICATE, why) from None
    except (ssl.SSLError, ConnectionResetError, ConnectionAbortedError):
        raise SourceFailed(SourceOutcome.TLS, "the server does not speak TLS as we do") from None
    if context.verify_mode is ssl.CERT_REQUIRED:
        return reader, writer
    shown = hashlib.sha256(writer.get_extra_info("ssl_object").getpeercert(binary_form=True)).hexdigest()
    if shown == known:
        return reader, writer
    writer.transport.abort()
    why = "the server shows another certificate than is known" if known else "nobody vouches for the server"
    raise SourceFailed(SourceOutcome.CERTIFICATE, f"{why}; the SHA-256 shown is {shown}", shown=shown)


@cache
def _authorities(pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pem)
    return context


@cache
def _any_certificate() -> ssl.SSLContext:
    """For a certificate that is compared by us before anything is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
