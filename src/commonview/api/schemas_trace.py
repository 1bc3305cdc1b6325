"""Bodies of the trace room: exchanges with their findings, messages and media."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import Field

from commonview.api.schemas import Answer, Params
from commonview.explain import (
    Cause,
    Check,
    Exchange,
    ExchangeKind,
    Hop,
    Outcome,
    Severity,
    Sighting,
    Words,
    full_text,
    gist,
)


class FindingOut(Answer):
    """What is wrong: where (`hop`), why (`cause`), what to check next, and the messages that show it."""

    cause: Cause
    check: Check
    hop: Hop
    severity: Severity
    params: Params
    evidence: list[int]


class ExchangeOut(Answer):
    """One story: a registration, a query with its answer, a media session from INVITE to BYE."""

    id: str
    kind: ExchangeKind
    device_id: str
    subject: str
    outcome: Outcome
    started_at: datetime
    ended_at: datetime
    device_address: str
    platform_address: str
    params: Params
    findings: list[FindingOut]


class ExchangePage(Answer):
    """Exchanges, newest first; `total` counts all that are remembered."""

    items: list[ExchangeOut]
    total: int


class TraceMessageOut(Answer):
    """One message, redacted. A series of keep-alives stands as one with `copies`."""

    number: int
    at: datetime
    transport: str
    from_device: bool
    source: str
    target: str
    summary: str
    text: str
    copies: int
    repairs: list[str]
    fault: str


class MediaFactOut(Answer):
    """Something about the media of a call, at its moment; `word` is stable."""

    at: datetime
    word: str
    params: Params


class ExchangeDetail(ExchangeOut):
    """An exchange with everything that was said in it."""

    messages: list[TraceMessageOut] = Field(max_length=2000)
    messages_left_out: int
    media: list[MediaFactOut]


MAX_MESSAGES = 500


def _when(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _place(address: tuple[str, int]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def _fields(exchange: Exchange) -> dict[str, object]:
    return {
        "id": f"{exchange.device_id}~{exchange.id}",
        "kind": exchange.kind,
        "device_id": exchange.device_id,
        "subject": exchange.subject,
        "outcome": exchange.outcome,
        "started_at": _when(exchange.started_at),
        "ended_at": _when(exchange.ended_at),
        "device_address": _place(exchange.device),
        "platform_address": _place(exchange.platform),
        "params": exchange.params,
        "findings": [
            FindingOut(
                cause=each.cause,
                check=each.check,
                hop=each.hop,
                severity=each.severity,
                params=each.params,
                evidence=list(each.evidence),
            )
            for each in exchange.findings
        ],
    }


def exchange_out(exchange: Exchange) -> ExchangeOut:
    """An exchange for a list."""
    return ExchangeOut.model_validate(_fields(exchange))


def exchange_detail(exchange: Exchange) -> ExchangeDetail:
    """An exchange with its first messages and its media."""
    words = Words("en")
    kept = exchange.messages[:MAX_MESSAGES]
    return ExchangeDetail.model_validate(
        {
            **_fields(exchange),
            "messages": [_message(each, exchange, words) for each in kept],
            "messages_left_out": len(exchange.messages) - len(kept),
            "media": [
                MediaFactOut(at=_when(fact.at), word=fact.word, params=fact.params) for fact in exchange.facts
            ],
        }
    )


def _message(sighting: Sighting, exchange: Exchange, words: Words) -> TraceMessageOut:
    return TraceMessageOut(
        number=sighting.number,
        at=_when(sighting.at),
        transport=sighting.transport,
        from_device=sighting.source == exchange.device,
        source=_place(sighting.source),
        target=_place(sighting.target),
        summary=gist(sighting, words),
        text=full_text(sighting),
        copies=sighting.copies,
        repairs=list(sighting.repairs),
        fault=sighting.fault,
    )
