"""HTTP digest as SIP uses it, both sides, with and without ``qop=auth``.

RFC 2617, RFC 7616, RFC 3261 22; SM3 beside them as GB/T 28181-2022 8.3 recommends it (GB/T 32905).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from commonview.wire.sip.errors import SipParseError

MAX_FIELD_CHARS: Final = 4096
_PAIR: Final = re.compile(
    r'[ \t]*([A-Za-z0-9_\-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^",\s]*))[ \t]*(?:,|$)'
)
_ESCAPED: Final = re.compile(r"\\(.)")
_NONCE_COUNT: Final = re.compile(r"[0-9A-Fa-f]{8}")


def _md5(text: str) -> str:
    # GB/T 28181 devices know nothing else; it never protects more than this one exchange.
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _sm3(text: str) -> str:
    return hashlib.new("sm3", text.encode("utf-8", "surrogateescape")).hexdigest()


_HASHES: Final[dict[str, Callable[[str], str]]] = {"MD5": _md5, "SHA-256": _sha256, "SM3": _sm3}
ALGORITHMS: Final = ("SM3", "SHA-256", "MD5")
"""What can be computed here, the strongest and for its field most usual first."""


def _quote(text: str) -> str:
    if "\r" in text or "\n" in text:
        raise ValueError("a digest field is one line")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _fields(value: str) -> dict[str, str]:
    """Fields of a ``Digest a=b, c="d"`` value, keys in lower case. Raises SipParseError(400)."""
    if len(value) > MAX_FIELD_CHARS:
        raise SipParseError(400, "digest field too long")
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        raise SipParseError(400, "not a Digest field")
    fields: dict[str, str] = {}
    position, rest = 0, rest.strip(" \t,")
    while position < len(rest):
        pair = _PAIR.match(rest, position)
        if pair is None:
            raise SipParseError(400, "malformed Digest field")
        name, quoted, bare = pair.groups()
        if name.lower() in fields:
            raise SipParseError(400, "repeated Digest parameter")
        if quoted is not None:
            bare = _ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted
        fields[name.lower()] = bare
        position = pair.end()
    return fields


@dataclass(frozen=True, slots=True)
class Challenge:
    """WWW-Authenticate. ``qop`` is "" (RFC 2069 style, what GB/T 28181 devices expect) or "auth"."""

    realm: str
    nonce: str
    qop: str = ""
    algorithm: str = "MD5"
    opaque: str = ""
    stale: bool = False

    @staticmethod
    def parse(value: str) -> Challenge:
        """Parse a WWW-Authenticate value.

        Raises SipParseError(400), also for an algorithm or qop we cannot do.
        """
        fields = _fields(value)
        algorithm = fields.get("algorithm", "MD5").upper()
        offered = [word.strip().lower() for word in fields.get("qop", "").split(",") if word.strip()]
        if "realm" not in fields or "nonce" not in fields:
            raise SipParseError(400, "Digest parameter missing")
        if algorithm not in _HASHES or (offered and "auth" not in offered):
            raise SipParseError(400, "unsupported Digest algorithm or qop")
        return Challenge(
            realm=fields["realm"],
            nonce=fields["nonce"],
            qop="auth" if offered else "",
            algorithm=algorithm,
            opaque=fields.get("opaque", ""),
            stale=fields.get("stale", "").lower() == "true",
        )

    def encode(self) -> str:
        """The header value."""
        parts = [f"Digest realm={_quote(self.realm)}", f"nonce={_quote(self.nonce)}"]
        if self.opaque:
            parts.append(f"opaque={_quote(self.opaque)}")
        if self.stale:
            parts.append("stale=true")
        parts.append(f"algorithm={self.algorithm}")
        if self.qop:
            parts.append(f'qop="{self.qop}"')
        return ", ".join(parts)


def choose(values: Iterable[str]) -> Challenge:
    """The strongest of several WWW-Authenticate values that can be answered (RFC 7616 3.7).

    Raises SipParseError(400) when there is none.
    """
    best: Challenge | None = None
    for value in values:
        try:
            challenge = Challenge.parse(value)
        except SipParseError:
            continue  # an algorithm of another trade does not spoil the one we know
        if best is None or ALGORITHMS.index(challenge.algorithm) < ALGORITHMS.index(best.algorithm):
            best = challenge
    if best is None:
        raise SipParseError(400, "no Digest challenge that can be answered")
    return best


@dataclass(frozen=True, slots=True)
class DigestPolicy:
    """What a server offers: one challenge an algorithm, in this order.

    The default is one MD5 challenge without qop: many devices of 2016 choke on a second WWW-Authenticate and
    know no qop.
    """

    algorithms: tuple[str, ...] = ("MD5",)
    qop: bool = False

    def __post_init__(self) -> None:
        if not self.algorithms or any(name not in _HASHES for name in self.algorithms):
            raise ValueError(f"digest algorithms are some of {', '.join(ALGORITHMS)}")
        if len(set(self.algorithms)) != len(self.algorithms):
            raise ValueError("a digest algorithm is offered once")

    @staticmethod
    def parse(text: str, *, qop: bool = False) -> DigestPolicy:
        """From names separated by commas. Raises ValueError."""
        names = tuple(part.strip().upper() for part in text.split(",") if part.strip())
        return DigestPolicy(names, qop)

    def challenges(self, realm: str, nonce: str, *, stale: bool) -> list[str]:
        """The WWW-Authenticate values of one 401; one nonce serves them all, it is good for one use."""
        qop = "auth" if self.qop else ""
        return [Challenge(realm, nonce, qop, name, stale=stale).encode() for name in self.algorithms]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Authorization. ``repr`` never shows the response hash."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = "MD5"
    qop: str = ""
    nc: str = ""
    cnonce: str = ""
    opaque: str = ""

    @staticmethod
    def parse(value: str) -> Credentials:
        """Parse an Authorization value.

        Raises SipParseError(400) for anything malformed, truncated, incomplete, of another scheme, or with an
        algorithm or qop we do not verify.
        """
        fields = _fields(value)
        try:
            credentials = Credentials(
                username=fields["username"],
                realm=fields["realm"],
                nonce=fields["nonce"],
                uri=fields["uri"],
                response=fields["response"].lower(),
                algorithm=fields.get("algorithm", "MD5").upper(),
                qop=fields.get("qop", "").lower(),
                nc=fields.get("nc", ""),
                cnonce=fields.get("cnonce", ""),
                opaque=fields.get("opaque", ""),
            )
        except KeyError:
            raise SipParseError(400, "Digest parameter missing") from None
        if credentials.algorithm not in _HASHES or credentials.qop not in ("", "auth"):
            raise SipParseError(400, "unsupported Digest algorithm or qop")
        if credentials.qop and (not credentials.cnonce or not _NONCE_COUNT.fullmatch(credentials.nc)):
            raise SipParseError(400, "Digest parameter missing")
        return credentials

    def encode(self) -> str:
        """The header value."""
        parts = [
            f"Digest username={_quote(self.username)}",
            f"realm={_quote(self.realm)}",
            f"nonce={_quote(self.nonce)}",
            f"uri={_quote(self.uri)}",
            f'response="{self.response}"',
            f"algorithm={self.algorithm}",
        ]
        if self.qop:
            parts += [f"qop={self.qop}", f"nc={self.nc}", f"cnonce={_quote(self.cnonce)}"]
        if self.opaque:
            parts.append(f"opaque={_quote(self.opaque)}")
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, realm={self.realm!r})"


def hash_secret(username: str, realm: str, password: str, algorithm: str = "MD5") -> str:
    """``H(username:realm:password)``: H(A1), hexadecimal. As secret as the password itself."""
    return _HASHES[algorithm](f"{username}:{realm}:{password}")


def compute_response(secret_hash: str, credentials: Credentials, method: str) -> str:
    """The response `credentials` should carry for `method`, given H(A1); hexadecimal (RFC 7616 3.4.1)."""
    digest = _HASHES[credentials.algorithm]
    request_hash = digest(f"{method}:{credentials.uri}")
    if credentials.qop:
        middle = f"{credentials.nonce}:{credentials.nc}:{credentials.cnonce}:{credentials.qop}"
    else:
        middle = credentials.nonce
    return digest(f"{secret_hash}:{middle}:{request_hash}")


def verify(credentials: Credentials, password: str, method: str) -> bool:
    """Whether `credentials` prove knowledge of `password` for `method`. Compares in constant time.

    The caller checks the realm and redeems the nonce.
    """
    return verify_hash(
        credentials,
        hash_secret(credentials.username, credentials.realm, password, credentials.algorithm),
        method,
    )


def verify_hash(credentials: Credentials, secret_hash: str, method: str) -> bool:
    """As `verify`, from H(A1) computed with the algorithm the credentials name."""
    expected = compute_response(secret_hash, credentials, method)
    return hmac.compare_digest(expected.encode(), credentials.response.encode("utf-8", "surrogateescape"))


def answer(
    challenge: Challenge,
    *,
    username: str,
    password: str,
    method: str,
    uri: str,
    cnonce: str = "",
    nonce_count: int = 1,
) -> Credentials:
    """Credentials that answer `challenge`; `cnonce` is needed (and used) only with ``qop=auth``."""
    if challenge.qop and not cnonce:
        raise ValueError("qop=auth needs a cnonce")
    blank = Credentials(
        username=username,
        realm=challenge.realm,
        nonce=challenge.nonce,
        uri=uri,
        response="",
        algorithm=challenge.algorithm,
        qop=challenge.qop,
        nc=f"{nonce_count:08x}" if challenge.qop else "",
        cnonce=cnonce if challenge.qop else "",
        opaque=challenge.opaque,
    )
    secret_hash = hash_secret(username, challenge.realm, password, challenge.algorithm)
    return Credentials(
        username=username,
        realm=challenge.realm,
        nonce=challenge.nonce,
        uri=uri,
        response=compute_response(secret_hash, blank, method),
        algorithm=blank.algorithm,
        qop=blank.qop,
        nc=blank.nc,
        cnonce=blank.cnonce,
        opaque=blank.opaque,
    )
