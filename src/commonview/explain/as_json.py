"""A story for machines: every stable word with its values, and the sentences in the wanted language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commonview.explain.ladder import address, gist
from commonview.explain.report import say

if TYPE_CHECKING:
    from commonview.explain.model import Exchange, Finding, MediaFlow, Sighting, Story
    from commonview.explain.reading import Reading
    from commonview.explain.words import Words


def capture_document(reading: Reading, story: Story, words: Words, device_id: str | None) -> dict[str, Any]:
    """What `commonview explain --json` prints."""
    exchanges = story.exchanges if device_id is None else story.of(device_id)
    counters = reading.counters
    return {
        "begins": story.begins,
        "ends": story.ends,
        "packets": counters.frames,
        "messages": story.messages,
        "damage": reading.damage,
        "counters": {
            "udp": counters.udp,
            "tcp": counters.tcp,
            "other": counters.other,
            "malformed": counters.malformed,
            "cut": counters.cut,
            "fragments": counters.fragments,
            "half_datagrams": counters.half_datagrams,
            "stream_gaps": reading.gaps,
            "messages_left_out": reading.messages_left_out,
        },
        "devices": list(dict.fromkeys(each.device_id for each in exchanges)),
        "exchanges": [exchange_document(each, words) for each in exchanges],
        "unclaimed_media": [_flow(each) for each in story.flows],
    }


def exchange_document(exchange: Exchange, words: Words) -> dict[str, Any]:
    """One exchange."""
    return {
        "id": exchange.id,
        "kind": exchange.kind.value,
        "device_id": exchange.device_id,
        "subject": exchange.subject,
        "outcome": exchange.outcome.value,
        "started_at": exchange.started_at,
        "ended_at": exchange.ended_at,
        "device": address(exchange.device),
        "platform": address(exchange.platform),
        "params": exchange.params,
        "findings": [_finding(each, words) for each in exchange.findings],
        "messages": [_message(each, words) for each in exchange.messages],
        "media": [_flow(each) for each in exchange.flows],
    }


def _finding(finding: Finding, words: Words) -> dict[str, Any]:
    return {
        "cause": finding.cause.value,
        "check": finding.check.value,
        "hop": finding.hop.value,
        "severity": finding.severity.value,
        "params": finding.params,
        "evidence": list(finding.evidence),
        "text": {
            "what": say(words, "what", finding),
            "why": say(words, "why", finding),
            "check": words.say(f"check.{finding.check.value}"),
        },
    }


def _message(sighting: Sighting, words: Words) -> dict[str, Any]:
    return {
        "packet": sighting.number,
        "at": sighting.at,
        "transport": sighting.transport,
        "source": address(sighting.source),
        "target": address(sighting.target),
        "summary": gist(sighting, words),
        "bytes": len(sighting.raw),
        "copies": sighting.copies,
    }


def _flow(flow: MediaFlow) -> dict[str, Any]:
    return {
        "source": address(flow.source),
        "target": address(flow.target),
        "transport": flow.transport,
        "framing": flow.framing,
        "ssrc": f"{flow.ssrc:010d}",
        "packets": flow.packets,
        "bytes": flow.octets,
        "lost": flow.lost,
        "loss_percent": flow.loss_percent,
        "payload_types": list(flow.payload_types),
        "content": flow.content,
        "bitrate_kbps": flow.bitrate_kbps,
        "first_at": flow.first_at,
        "last_at": flow.last_at,
        "longest_gap_s": round(flow.longest_gap_s, 3),
    }
