"""Dialogs: what both sides remember of an answered INVITE or SUBSCRIBE (RFC 3261 12, RFC 6665 4.4.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest, SipResponse
from commonview.wire.sip.uri import MAX_CSEQ, CSeq, NameAddr, SipUri, find_param, split_list

DialogId = tuple[str, str, str]
_LOOSE_TAG: Final = re.compile(r";[ \t]*tag=([^;,<>\s]+)")


@dataclass(slots=True, eq=False)
class Dialog:
    """One dialog as one side sees it.

    ``local`` and ``remote`` are whole From/To values including tags; a peer that forgot its tag has ""
    (measured on a camera simulator), and is then found by Call-ID. ``remote_target`` is the peer's Contact
    URI, or the URI it was called by when its Contact is missing or unreadable. ``owner`` is whatever the user
    of the core keeps with it. ``ours``: a request of ours made it.
    """

    call_id: str
    local: str
    remote: str
    local_tag: str
    remote_tag: str
    remote_target: str
    peer_host: str = ""
    route_set: tuple[str, ...] = ()
    local_cseq: int = 0
    remote_cseq: int | None = None
    invite_cseq: int = 0
    ended: bool = False
    owner: object = None
    ours: bool = False

    @property
    def id(self) -> DialogId:
        """(Call-ID, local tag, remote tag)."""
        return (self.call_id, self.local_tag, self.remote_tag)

    @staticmethod
    def of_client(request: SipRequest, response: SipResponse, peer_host: str) -> Dialog:
        """UAC side, from our INVITE or SUBSCRIBE and its 2xx (RFC 3261 12.1.2).

        Raises SipParseError if the pair names no dialog.
        """
        sent, got = request.headers, response.headers
        local = sent.get("From")
        remote = got.get("To") or sent.get("To")
        call_id = sent.get("Call-ID")
        cseq = CSeq.parse(sent.get("CSeq", "") or "")
        if local is None or remote is None or call_id is None:
            raise SipParseError(None, "request names no dialog")
        return Dialog(
            call_id=call_id,
            local=local,
            remote=remote,
            local_tag=tag_of(local),
            remote_tag=tag_of(remote),
            remote_target=_target(got) or request.uri,
            peer_host=peer_host,
            route_set=tuple(reversed(_routes(got))),
            local_cseq=cseq.number,
            invite_cseq=cseq.number,
            ours=True,
        )

    @staticmethod
    def of_server(request: SipRequest, local: str, local_tag: str, peer_host: str) -> Dialog:
        """UAS side, from an INVITE or SUBSCRIBE and the To value of our 2xx (RFC 3261 12.1.1).

        Raises SipParseError.
        """
        headers = request.headers
        remote = headers.get("From")
        call_id = headers.get("Call-ID")
        cseq = CSeq.parse(headers.get("CSeq", "") or "")
        if remote is None or call_id is None:
            raise SipParseError(400, "request names no dialog")
        address = NameAddr.parse(remote)
        return Dialog(
            call_id=call_id,
            local=local,
            remote=remote,
            local_tag=local_tag,
            remote_tag=address.tag or "",
            remote_target=_target(headers) or address.uri,
            peer_host=peer_host,
            route_set=tuple(_routes(headers)),
            remote_cseq=cseq.number,
            invite_cseq=cseq.number,
        )

    def new_request(
        self,
        method: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> SipRequest:
        """A request inside the dialog (RFC 3261 12.2.1.1): next CSeq, tags, route set.

        Via is left to the core.
        """
        if self.local_cseq >= MAX_CSEQ:
            raise ValueError("the dialog has used up its sequence numbers")
        self.local_cseq += 1
        return self._build(method, self.local_cseq, headers, body)

    def new_ack(self, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"") -> SipRequest:
        """The ACK for the 2xx that made the dialog (RFC 3261 13.2.2.4): same CSeq number as the INVITE."""
        return self._build("ACK", self.invite_cseq, headers, body)

    def _build(
        self, method: str, number: int, headers: tuple[tuple[str, str], ...], body: bytes
    ) -> SipRequest:
        uri, routes = self.remote_target, self.route_set
        if routes and not _is_loose(routes[0]):
            # A strict router takes the Request-URI; the target travels as the last Route.
            uri, routes = NameAddr.parse(routes[0]).uri, (*routes[1:], f"<{self.remote_target}>")
        fields = Headers(("Route", route) for route in routes)
        for name, value in (
            ("Max-Forwards", "70"),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
            *headers,
        ):
            fields.add(name, value)
        return SipRequest(method, uri, fields, body)


def tag_of(value: str) -> str:
    """Tag of a From or To value, "" when it has none; also of a value that is no proper name-addr."""
    try:
        return NameAddr.parse(value).tag or ""
    except SipParseError:
        found = _LOOSE_TAG.search(value)
        return found.group(1) if found else ""


def _target(headers: Headers) -> str | None:
    contact = headers.get("Contact")
    if contact is None:
        return None
    try:
        address = NameAddr.parse(split_list(contact)[0])
        address.sip_uri()
    except SipParseError:
        return None
    return address.uri


def _routes(headers: Headers) -> list[str]:
    routes: list[str] = []
    for line in headers.get_all("Record-Route"):
        try:
            for piece in split_list(line):
                NameAddr.parse(piece).sip_uri()
                routes.append(piece)
        except SipParseError:
            continue
    return routes


def _is_loose(route: str) -> bool:
    uri = SipUri.parse(NameAddr.parse(route).uri)
    return find_param(uri.params, "lr") is not None
