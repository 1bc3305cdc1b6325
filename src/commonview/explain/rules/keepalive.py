"""Patterns of keep-alive (GB/T 28181-2022 9.6)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from commonview.explain.model import ExchangeKind
from commonview.explain.rules.hit import UNANSWERED_AFTER_S, Hit, place, seen, shown

if TYPE_CHECKING:
    from commonview.explain.drafts import Draft, Scene

KEEPALIVE_TIMEOUT_S: Final = 180.0  # 9.6: three times 60 s unless set otherwise


def refused(draft: Draft, _: Scene) -> Hit | None:
    """The platform does not take the keep-alive: it does not know the device at that address."""
    refusals = [each for each in draft.transactions if each.status >= 400]
    if not refusals:
        return None
    return Hit({"status": refusals[-1].status, "count": len(refusals)}, shown(refusals))


def unanswered(draft: Draft, scene: Scene) -> Hit | None:
    """Keep-alives without an answer."""
    silent = [
        each
        for each in draft.transactions
        if not each.responses
        and not each.misdirected
        and scene.recording.ends - each.request.at > UNANSWERED_AFTER_S
    ]
    if not silent or silent[-1] is not draft.transactions[-1]:
        return None
    return Hit({"count": len(silent), "address": place(draft.platform)}, shown(silent))


def slow(draft: Draft, _: Scene) -> Hit | None:
    """Pauses longer than platforms wait by default."""
    longest = max((each.request.longest_gap_s for each in draft.transactions), default=0.0)
    times = [each.request.at for each in draft.transactions]
    longest = max([longest, *(b - a for a, b in pairwise(times))])
    if longest <= KEEPALIVE_TIMEOUT_S:
        return None
    return Hit(
        {"seconds": round(longest), "timeout": round(KEEPALIVE_TIMEOUT_S)}, shown(draft.transactions[-2:])
    )


def stopped(draft: Draft, scene: Scene) -> Hit | None:
    """They came regularly, and no more."""
    if draft is not scene.of(draft.device_id, ExchangeKind.KEEPALIVE)[-1]:
        return None
    silence = scene.recording.ends - draft.latest
    if len(draft.transactions) < 2 or silence <= KEEPALIVE_TIMEOUT_S:
        return None
    return Hit({"seconds": round(silence)}, shown(draft.transactions[-1:]))


def fault(draft: Draft, _: Scene) -> Hit | None:
    """The device itself says that something is wrong."""
    for each in draft.transactions:
        body = b"" if each.request.message is None else each.request.message.body
        if re.search(rb"<Status>\s*ERROR", body, re.IGNORECASE):
            return Hit({}, seen(each.request))
    return None
