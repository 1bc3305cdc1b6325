"""Slowing down whoever guesses, without ever locking anybody out for good. Pure: time is passed in.

Per address (with IPv6, per /64: whoever has one address there has them all): a token bucket, ten attempts a
minute. Per account: after three failures in a row each further
attempt waits twice as long as the one before, at most five minutes; an hour of quiet forgets the failures.
Both tables are bounded; when full, the entry longest unused makes room.
"""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final, TypeVar

ADDRESS_BURST: Final = 10
ADDRESS_PER_S: Final = 10 / 60
FREE_FAILURES: Final = 3
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
FORGET_AFTER_S: Final = 3600.0
TABLE_MAX: Final = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


@dataclass(slots=True)
class _Failures:
    count: int
    at: float


_Entry = TypeVar("_Entry", _Bucket, _Failures)


class Throttle:
    """Attempts to sign in, by client address and by user name. Not thread-safe: the caller holds a lock."""

    def __init__(self, table_max: int = TABLE_MAX) -> None:
        self._table_max = table_max
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait_s(self, address: str, name: str, now: float) -> float:
        """Seconds to wait before this attempt may be tried; 0 takes one token and lets it through."""
        address = _counted_as(address)
        bucket = self._buckets.pop(address, None) or _Bucket(ADDRESS_BURST, now)
        bucket.tokens = min(ADDRESS_BURST, bucket.tokens + max(0.0, now - bucket.at) * ADDRESS_PER_S)
        bucket.at = now
        self._keep(self._buckets, address, bucket)
        wait = self._account_wait_s(name, now)
        if wait > 0:
            return wait
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / ADDRESS_PER_S
        bucket.tokens -= 1
        return 0.0

    def failed(self, name: str, now: float) -> None:
        """The attempt was wrong."""
        failures = self._failures.pop(name, None)
        if failures is None or now - failures.at > FORGET_AFTER_S:
            failures = _Failures(0, now)
        failures.count += 1
        failures.at = now
        self._keep(self._failures, name, failures)

    def forgiven(self, name: str) -> None:
        """The attempt was neither wrong nor complete: take back the last failure."""
        failures = self._failures.get(name)
        if failures is not None and failures.count:
            failures.count -= 1

    def succeeded(self, name: str) -> None:
        """The attempt was right: the account starts afresh."""
        self._failures.pop(name, None)

    def _account_wait_s(self, name: str, now: float) -> float:
        failures = self._failures.get(name)
        if failures is None or failures.count < FREE_FAILURES or now - failures.at > FORGET_AFTER_S:
            return 0.0
        doublings = min(failures.count - FREE_FAILURES, 16)
        return max(0.0, failures.at + min(FIRST_WAIT_S * 2.0**doublings, LONGEST_WAIT_S) - now)

    def _keep(self, table: "OrderedDict[str, _Entry]", key: str, value: _Entry) -> None:
        table[key] = value
        if len(table) > self._table_max:
            table.popitem(last=False)


def _counted_as(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed.packed, 64), strict=False))
