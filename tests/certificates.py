"""Certificates for tests, made on the spot: one that signs itself, and one that an authority signed."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_START = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_END = _START + datetime.timedelta(days=36500)


@dataclass(frozen=True)
class Papers:
    """A certificate and its key as files, and what they are known by."""

    certificate: Path
    key: Path
    authority: str
    sha256: str

    @property
    def context(self) -> ssl.SSLContext:
        """What a server shows them with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    @property
    def trust(self) -> ssl.SSLContext:
        """What a client connects with that trusts their authority and nobody else."""
        return ssl.create_default_context(cadata=self.authority)


def make(folder: Path, *, address: str = "127.0.0.1", ends: datetime.datetime = _END) -> Papers:
    """A server's certificate for ``address``, signed by an authority made for it."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "camera")])
    authority = (
        _builder(issuer, issuer, authority_key.public_key(), _END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    made = (
        _builder(subject, issuer, key.public_key(), ends)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "camera.pem", folder / "camera.key"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return Papers(
        certificate_file,
        key_file,
        authority.public_bytes(serialization.Encoding.PEM).decode(),
        hashlib.sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest(),
    )


async def speak_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that answers TLS as one does that has never heard of it."""
    await reader.read(1)
    writer.write(b"RTSP/1.0 400 Bad Request\r\n\r\n")
    writer.close()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, ends: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_START)
        .not_valid_after(ends)
    )
