"""MANSRTSP of a superior goes down as it came, strictly written, and its answer goes up (9.8, Annex B)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonview.network.calls import CallFailed
from commonview.wire.mansrtsp import CONTENT_TYPE, MansrtspError, MansrtspRequest, Method, parse_mansrtsp

if TYPE_CHECKING:
    from collections import Counter

    from commonview.network.cascade.relay import HistoryRelaySource, Run
    from commonview.network.history.source import Ground
    from commonview.network.sip_endpoint import ServerTransaction


async def steer(
    run: Run,
    source: HistoryRelaySource,
    transaction: ServerTransaction,
    ground: Ground,
    counters: Counter[str],
) -> bool:
    """Answer one INFO; True when it ended the relay (TEARDOWN)."""
    asked, body = _read(transaction.request.body)
    if asked is None:
        counters["mansrtsp_unreadable"] += 1
        transaction.respond(400)
        return False
    counters[f"mansrtsp_{asked.method.value.lower()}"] += 1
    if asked.method is Method.TEARDOWN:
        transaction.respond(200)
        return True
    async with run.turn:
        call = source.source.call
        if call is None:
            transaction.respond(481 if run.over else 480)
            return False
        try:
            got = await ground.calls.say(call, "INFO", CONTENT_TYPE, body)
        except CallFailed:
            transaction.respond(504)
            return False
        if got.status < 300 and not run.over:
            run.paused = asked.method is Method.PAUSE
            ground.node.pause_stream(source.stream_id, run.paused)
        headers = (("Content-Type", CONTENT_TYPE),) if got.body else ()
        transaction.respond(got.status, headers=headers, body=got.body)
    return False


def _read(body: bytes) -> tuple[MansrtspRequest | None, bytes]:
    """The request and how it is written; None for what is none, or may not be sent on."""
    try:
        asked = parse_mansrtsp(body)
        return (asked, asked.encode()) if isinstance(asked, MansrtspRequest) else (None, b"")
    except MansrtspError:
        return None, b""
