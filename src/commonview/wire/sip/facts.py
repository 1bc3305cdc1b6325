"""What the transaction layer must know of a request, read once and checked (RFC 3261 8.2, RFC 4475)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest, SipResponse
from commonview.wire.sip.uri import CSeq, NameAddr, SipUri, Via, split_first_via, split_list

MAGIC_COOKIE: Final = "z9hG4bK"
_TAG: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_SINGLE: Final = frozenset(("Call-ID", "CSeq", "Content-Type", "From", "Max-Forwards", "To"))


class RequestFacts:
    """Checked fields of one request. ``branch`` is "" when it lacks the cookie of RFC 3261 or its value."""

    __slots__ = ("branch", "call_id", "cseq", "from_tag", "more_vias", "to_tag", "via", "via_text")

    via: Via
    via_text: str
    more_vias: str
    branch: str
    cseq: int
    call_id: str
    from_tag: str
    to_tag: str | None


def read_facts(request: SipRequest) -> RequestFacts:
    """Read and check what every request must have. Raises SipParseError with the status it deserves.

    A missing Contact or Max-Forwards, a Date in any grammar and an absent branch are accepted: devices in
    the field and RFC 2543 need that.
    """
    try:
        return _read(request)
    except SipParseError as error:
        error.partial = request
        raise


def _read(request: SipRequest) -> RequestFacts:
    headers = request.headers
    first = headers.first
    try:
        via_line = first["Via"]
        from_value = first["From"]
        to_value = first["To"]
        cseq_value = first["CSeq"]
        call_id = first["Call-ID"]
    except KeyError:
        raise SipParseError(400, "mandatory header missing") from None
    if len(first) != len(headers):
        _check_singles(headers)
    number, _, method = cseq_value.partition(" ")
    if method != request.method or not (number.isascii() and number.isdigit()) or len(number) > 9:
        number = str(_odd_cseq(cseq_value, request.method))
    if not call_id:
        raise SipParseError(400, "empty Call-ID")
    facts = RequestFacts()
    facts.via_text, facts.more_vias = split_first_via(via_line)
    facts.via = via = Via.parse(facts.via_text)
    branch = via.branch
    has_cookie = branch is not None and len(branch) > len(MAGIC_COOKIE) and branch.startswith(MAGIC_COOKIE)
    facts.branch = branch if has_cookie and branch is not None else ""
    facts.cseq = int(number)
    facts.call_id = call_id
    facts.from_tag = address_tag(from_value) or ""
    facts.to_tag = address_tag(to_value)
    hops = first.get("Max-Forwards", "70")
    if hops != "70" and not (hops.isascii() and hops.isdigit() and len(hops) <= 4 and int(hops) <= 255):
        raise SipParseError(400, "malformed Max-Forwards")
    if SipUri.parse(request.uri).headers:
        raise SipParseError(400, "headers in Request-URI")
    return facts


def _check_singles(headers: Headers) -> None:
    seen: set[str] = set()
    for name, _ in headers:
        if name in seen and name in _SINGLE:
            raise SipParseError(400, f"{name} repeated")
        seen.add(name)


def _odd_cseq(value: str, method: str) -> int:
    cseq = CSeq.parse(value)
    if cseq.method != method:
        raise SipParseError(400, "CSeq names another method")
    return cseq.number


@lru_cache(maxsize=8192)
def _check_address(text: str) -> None:
    NameAddr.parse(text)


def address_tag(value: str) -> str | None:
    """Check a From or To value and return its tag. Raises SipParseError(400).

    The part before the parameters, which a device repeats in every message, is checked once.
    """
    head, closed, tail = value.partition(">")
    if closed and tail[:5] == ";tag=" and '"' not in head and len(head) < 256:
        tag = tail[5:]
        if _TAG.fullmatch(tag):
            _check_address(head + ">")
            return tag
    return NameAddr.parse(value).tag or None


def check_addresses(request: SipRequest) -> None:
    """Check To of a REGISTER and Contact of a REGISTER or INVITE. Raises SipParseError(400).

    RFC 4475 3.3.4, 3.1.2.13: an address of record is a SIP URI; a Contact with URI headers needs brackets.
    """
    headers = request.headers
    if request.method == "REGISTER":
        to_value = headers.first["To"]
        scheme = NameAddr.parse(to_value).uri.partition(":")[0].lower()
        if scheme not in ("sip", "sips"):
            raise SipParseError(400, "address of record is no SIP URI", request)
    contact = headers.first.get("Contact")
    if contact is None or contact == "*":
        return
    for line in headers.get_all("Contact"):
        for piece in split_list(line):
            NameAddr.parse(piece)


def via_with_source(facts: RequestFacts, flow: Flow) -> str:
    """The topmost Via as it goes back: ``received`` and ``rport`` filled in (RFC 3581 4)."""
    text = facts.via_text
    host, port = flow.peer
    if "received" not in text and "rport=" not in text and '"' not in text:
        if text.endswith(";rport"):
            return f"{text}={port};received={host}"
        if ";rport;" in text:
            return text.replace(";rport;", f";rport={port};received={host};", 1)
        if "rport" not in text:
            return text if facts.via.host == host else f"{text};received={host}"
    return str(facts.via.with_source(host, port))


def skeleton(request: SipRequest, facts: RequestFacts, flow: Flow, tag: str | None) -> str:
    """Header lines every response to `request` repeats (RFC 3261 8.2.6.2), CRLF-terminated."""
    headers = request.headers
    first = headers.first
    vias = f"Via: {via_with_source(facts, flow)}\r\n"
    if facts.more_vias:
        vias += f"Via: {facts.more_vias}\r\n"
    if len(first) != len(headers):
        for line in headers.get_all("Via")[1:]:
            vias += f"Via: {line}\r\n"
    to_value = first["To"]
    if tag is not None and facts.to_tag is None:
        to_value = f"{to_value};tag={tag}"
    return (
        f"{vias}From: {first['From']}\r\nTo: {to_value}\r\n"
        f"Call-ID: {facts.call_id}\r\nCSeq: {first['CSeq']}\r\n"
    )


def raw_skeleton(request: SipRequest, tag: str) -> str | None:
    """As `skeleton`, for a request whose fields could not be read; None when it cannot be answered at all."""
    first = request.headers.first
    if not all(name in first for name in ("Via", "From", "To", "Call-ID", "CSeq")):
        return None
    lines = [f"Via: {line}" for line in request.headers.get_all("Via")]
    to_value = first["To"]
    lines += [
        f"From: {first['From']}",
        f"To: {to_value}" if "tag=" in to_value.lower() else f"To: {to_value};tag={tag}",
        f"Call-ID: {first['Call-ID']}",
        f"CSeq: {first['CSeq']}",
        "",
    ]
    return "\r\n".join(line.replace("\r", " ") for line in lines[:-1]) + "\r\n"


def response_key(response: SipResponse) -> tuple[str, CSeq, str]:
    """(branch of the topmost Via or "", CSeq, Call-ID). Raises SipParseError(None, ...)."""
    first = response.headers.first
    try:
        cseq = CSeq.parse(first["CSeq"])
        call_id = first["Call-ID"]
        via_line = first.get("Via")
        branch = "" if via_line is None else Via.parse(split_first_via(via_line)[0]).branch or ""
    except KeyError:
        raise SipParseError(None, "mandatory header missing") from None
    except SipParseError as error:
        raise SipParseError(None, error.reason) from None
    return branch, cseq, call_id
