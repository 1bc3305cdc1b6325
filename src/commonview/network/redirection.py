"""Which devices register at another server: load sharing by redirection (GB/T 28181-2022 9.1.2.4). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

REDIRECT_EXPIRES_S: Final = 3600
"""How long a device stays with the server it was sent to before it asks here again."""

_RULE: Final = re.compile(
    r"\s*([0-9]{1,20})\s*=\s*([0-9]{20})@([A-Za-z0-9.\-]{1,253}|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})\s*"
)


@dataclass(frozen=True, slots=True)
class RedirectTarget:
    """The server a device is sent to."""

    server_id: str
    host: str
    port: int

    @property
    def contact(self) -> str:
        """The Contact of the 302."""
        return f"<sip:{self.server_id}@{self.host}:{self.port}>"


class Redirections:
    """Rules by the first digits of the device id; the longest that fits holds."""

    def __init__(self, rules: dict[str, RedirectTarget] | None = None) -> None:
        self._rules = dict(rules or {})
        self._lengths = tuple(sorted({len(digits) for digits in self._rules}, reverse=True))

    @staticmethod
    def parse(text: str) -> Redirections:
        """From ``DIGITS=SERVER_ID@HOST:PORT`` separated by commas. Raises ValueError, naming the rule."""
        rules: dict[str, RedirectTarget] = {}
        for part in text.split(","):
            if not part.strip():
                continue
            found = _RULE.fullmatch(part)
            if found is None or not 0 < int(found.group(4)) < 65536:
                raise ValueError(f"{part.strip()!r} is no DIGITS=SERVER_ID@HOST:PORT")
            if found.group(1) in rules:
                raise ValueError(f"there are two rules for {found.group(1)}")
            rules[found.group(1)] = RedirectTarget(found.group(2), found.group(3), int(found.group(4)))
        return Redirections(rules)

    def of(self, device_id: str) -> RedirectTarget | None:
        """Where the device registers; None for here."""
        for length in self._lengths:
            target = self._rules.get(device_id[:length])
            if target is not None:
                return target
        return None
