"""Who is the device and who the platform: whoever registers, or keeps alive, is the device of that pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from commonview.wire.sip import NameAddr, SipParseError

if TYPE_CHECKING:
    from commonview.explain.model import Address
    from commonview.explain.transactions import Transaction


@dataclass(slots=True)
class Roles:
    """What registrations and keep-alives told: the device id at an address towards another."""

    at: dict[tuple[Address, Address], str] = field(default_factory=dict)
    by_host: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    @classmethod
    def learn(cls, transactions: list[Transaction]) -> Roles:
        """Read the registrations and keep-alives of a recording."""
        roles = cls()
        for each in transactions:
            body = b"" if each.request.message is None else each.request.message.body
            if each.method == "REGISTER":
                user = each.to_user() or each.from_user()
            elif each.method == "MESSAGE" and b">Keepalive<" in body:
                user = each.from_user()
            else:
                continue
            if user:
                ends = each.request.source, each.request.target
                roles.at.setdefault(ends, user)
                roles.by_host.setdefault((ends[0][0], ends[1][0]), set()).add(user)
                contact = each.headers.get("Contact")
                if each.method == "REGISTER" and contact is not None and ends[0] != ends[1]:
                    roles._contact(contact, ends[1], user)
        return roles

    def _contact(self, contact: str, platform: Address, user: str) -> None:
        try:
            uri = NameAddr.parse(contact).sip_uri()
        except SipParseError:
            return
        self.at.setdefault(((uri.host, uri.port or 5060), platform), user)

    def sides(self, transaction: Transaction) -> tuple[str, Address, Address]:
        """Device id, device address and platform address of a transaction."""
        source, target = transaction.request.source, transaction.request.target
        if transaction.method == "REGISTER":
            return transaction.to_user() or transaction.from_user() or source[0], source, target
        found = self.at.get((source, target))
        if found is not None:
            return found, source, target
        found = self.at.get((target, source))
        if found is not None:
            return found, target, source
        if (one := self._only(source, target)) is not None:
            return one, source, target
        if (one := self._only(target, source)) is not None:
            return one, target, source
        if _sent_by_device(transaction):
            return transaction.from_user() or source[0], source, target
        return transaction.to_user() or target[0], target, source

    def _only(self, device: Address, platform: Address) -> str | None:
        known = self.by_host.get((device[0], platform[0]), set())
        if device[0] == platform[0]:
            return None
        return next(iter(known)) if len(known) == 1 else None


def _sent_by_device(transaction: Transaction) -> bool:
    body = b"" if transaction.request.message is None else transaction.request.message.body
    if transaction.method == "NOTIFY":
        return True
    return transaction.method == "MESSAGE" and (b"<Notify" in body or b"<Response" in body)
