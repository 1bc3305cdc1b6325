"""Which rules hold for whom. Asked at every REGISTER, so it looks up rather than searches. Pure."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from commonview.network.admission.model import AdmissionInvalid, Rule, RuleEffect, RuleSubject
from commonview.wire.gbid import is_usable

if TYPE_CHECKING:
    from datetime import datetime
    from ipaddress import IPv4Address, IPv6Address

    from commonview.foundation.settings import IpNetwork

MAX_RULES = 1_000
_VALUE_CHARS = 64


def checked_value(subject: RuleSubject, value: str) -> str:
    """What a rule names, in one spelling. Raises `AdmissionInvalid`."""
    value = value.strip()
    try:
        if subject is RuleSubject.HOST:
            return str(ip_address(value))
        if subject is RuleSubject.NETWORK:
            network = ip_network(value, strict=False)
            if network.prefixlen == 0:
                raise AdmissionInvalid("a rule for every address is none", field="value")
            return str(network)
    except ValueError:
        raise AdmissionInvalid(f"{value[:40]!r} is no {subject.value}", field="value") from None
    if subject is RuleSubject.DEVICE and not is_usable(value):
        raise AdmissionInvalid(f"{value[:40]!r} is no device id", field="value")
    if not 0 < len(value) <= _VALUE_CHARS or not value.isprintable():
        raise AdmissionInvalid(f"value must have 1 to {_VALUE_CHARS} printable characters", field="value")
    return value.casefold() if subject is RuleSubject.USER_AGENT else value


class RuleBook:
    """The rules in force."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._exact: dict[tuple[RuleSubject, str], list[Rule]] = {}
        self._networks: list[tuple[IpNetwork, Rule]] = []
        self._agents: list[Rule] = []

    def __len__(self) -> int:
        return len(self._rules)

    def all(self) -> tuple[Rule, ...]:
        """Every rule, newest first."""
        return tuple(sorted(self._rules.values(), key=lambda rule: rule.created_at, reverse=True))

    def get(self, rule_id: str) -> Rule | None:
        """One rule."""
        return self._rules.get(rule_id)

    def put(self, rule: Rule) -> None:
        """A new rule."""
        self._rules[rule.id] = rule
        self._arrange()

    def drop(self, rule_id: str) -> None:
        """A rule is lifted."""
        self._rules.pop(rule_id, None)
        self._arrange()

    def ended(self, now: datetime) -> list[str]:
        """Rules whose time is over."""
        return [rule.id for rule in self._rules.values() if rule.ends_at is not None and rule.ends_at <= now]

    def _arrange(self) -> None:
        self._exact, self._networks, self._agents = {}, [], []
        for rule in self._rules.values():
            if rule.subject is RuleSubject.NETWORK:
                self._networks.append((ip_network(rule.value), rule))
            elif rule.subject is RuleSubject.USER_AGENT:
                self._agents.append(rule)
            else:
                self._exact.setdefault((rule.subject, rule.value), []).append(rule)

    def verdict(self, device_id: str, host: str, user_agent: str, now: datetime) -> Rule | None:
        """The rule that decides: an exemption before a ban; None when no rule speaks of this device."""
        if not self._rules:
            return None
        found = [
            *self._exact.get((RuleSubject.DEVICE, device_id), ()),
            *self._exact.get((RuleSubject.HOST, host), ()),
        ]
        if self._networks and (address := _address(host)) is not None:
            found += [rule for network, rule in self._networks if address in network]
        if self._agents and user_agent:
            folded = user_agent.casefold()
            found += [rule for rule in self._agents if rule.value in folded]
        held = [rule for rule in found if rule.ends_at is None or rule.ends_at > now]
        return next((rule for rule in held if rule.effect is RuleEffect.ALLOW), held[0] if held else None)


@lru_cache(maxsize=4096)
def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
