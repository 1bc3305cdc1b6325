"""From a recording to its story: every exchange judged by the table of causes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from commonview.explain.causes import RULES
from commonview.explain.drafts import Draft, Scene, put_together
from commonview.explain.model import (
    Exchange,
    ExchangeKind,
    Finding,
    Outcome,
    Params,
    Severity,
    Story,
)

if TYPE_CHECKING:
    from commonview.explain.model import Recording
    from commonview.wire.sdp import GbSdp

_FINAL_WITHOUT_ANSWER = frozenset({"ACK"})
_ORDER = {Severity.FAILURE: 0, Severity.WARNING: 1, Severity.HINT: 2}


def tell(recording: Recording) -> Story:
    """The story of a recording: its exchanges by time, each with outcome, failing hop, cause and check."""
    scene = put_together(recording)
    exchanges = [_judge(draft, scene) for draft in scene.drafts if draft.transactions]
    claimed = {id(flow) for draft in scene.drafts for flow in draft.flows}
    return Story(
        exchanges=tuple(sorted(exchanges, key=lambda each: each.started_at)),
        begins=recording.begins,
        ends=recording.ends,
        messages=sum(each.copies for each in recording.sightings),
        flows=tuple(flow for flow in recording.flows if id(flow) not in claimed),
    )


def _judge(draft: Draft, scene: Scene) -> Exchange:
    findings = [
        Finding(rule.cause, rule.check, rule.hop, rule.severity, hit.params, hit.evidence)
        for rule in RULES
        if draft.kind in rule.kinds and (hit := rule.pattern(draft, scene)) is not None
    ]
    findings.sort(key=lambda each: _ORDER[each.severity])
    messages = tuple(draft.sightings())
    facts = scene.recording.facts.get(draft.call_id, [])
    return Exchange(
        id=_identity(draft),
        kind=draft.kind,
        device_id=draft.device_id,
        subject=draft.subject,
        started_at=draft.started_at,
        ended_at=max([draft.ended_at, *(fact.at for fact in facts)]),
        outcome=_outcome(draft, findings),
        device=draft.device,
        platform=draft.platform,
        params=_params(draft),
        findings=tuple(findings),
        messages=messages,
        flows=tuple(draft.flows),
        facts=tuple(facts),
        call_id=draft.call_id,
    )


def _identity(draft: Draft) -> str:
    """The same for the same exchange however often the story is told."""
    first = draft.first.request
    parts = (draft.kind.value, draft.device_id, draft.call_id, draft.first.cseq, first.number)
    return hashlib.sha256("\n".join(map(str, parts)).encode("utf-8", "replace")).hexdigest()[:20]


def _outcome(draft: Draft, findings: list[Finding]) -> Outcome:
    severities = {each.severity for each in findings}
    if Severity.FAILURE in severities:
        return Outcome.FAILED
    if not _finished(draft):
        return Outcome.UNFINISHED
    return Outcome.DEGRADED if Severity.WARNING in severities else Outcome.OK


def _finished(draft: Draft) -> bool:
    last = draft.transactions[-1]
    if draft.kind is ExchangeKind.SESSION:
        return any(each.status for each in draft.named("INVITE"))
    if draft.kind is ExchangeKind.QUERY and not draft.pages:
        return False
    if draft.kind is ExchangeKind.REGISTRATION:
        return last.status not in (0, 401, 407)
    return last.final is not None or last.method in _FINAL_WITHOUT_ANSWER


def _params(draft: Draft) -> Params:
    params: Params = {"messages": sum(each.copies for each in draft.sightings())}
    if draft.kind is ExchangeKind.REGISTRATION:
        good = [each for each in draft.named("REGISTER") if each.status // 100 == 2]
        params["registered"] = len(good)
        params["attempts"] = len(draft.named("REGISTER"))
        if good and (expires := good[-1].headers.get("Expires", ""))[:9].isdigit():
            params["expires_s"] = int(expires[:9])
    elif draft.kind is ExchangeKind.KEEPALIVE:
        params["count"] = sum(each.request.copies for each in draft.transactions)
    elif draft.kind in (ExchangeKind.QUERY, ExchangeKind.COMMAND):
        params["pages"] = len(draft.pages)
        params["items"] = len({item for _, page in draft.pages for item in page.items})
        promised = max((page.promised or 0 for _, page in draft.pages), default=0)
        if promised:
            params["promised"] = promised
    elif draft.kind is ExchangeKind.SESSION:
        params |= _call_params(draft)
    return params


def _call_params(draft: Draft) -> Params:
    params: Params = {}
    if draft.offer is not None:
        params["mode"] = draft.offer.session_name[:16]
        params["offer"] = _sdp_words(draft.offer)
    if draft.answer is not None:
        params["answer"] = _sdp_words(draft.answer)
    if draft.flows:
        best = max(draft.flows, key=lambda flow: flow.packets)
        params["packets"] = best.packets
        params["bitrate_kbps"] = best.bitrate_kbps
        params["loss_percent"] = best.loss_percent
        params["first_packet_ms"] = max(0, round((best.first_at - draft.started_at) * 1000))
    return params


def _sdp_words(sdp: GbSdp) -> str:
    """One line for people who read SDP: address, transport, role, number, what is in it."""
    encodings = "/".join(dict.fromkeys(each.encoding for each in sdp.rtpmaps[:4]))
    address = f"[{sdp.address}]" if ":" in sdp.address else sdp.address
    words = [f"{address}:{sdp.port}", "TCP" if "TCP" in sdp.transport.value else "UDP"]
    words += [each for each in (sdp.setup, sdp.direction, encodings) if each]
    if sdp.ssrc_text:
        words.append(f"y={sdp.ssrc_text[:24]}")
    return " ".join(words)
