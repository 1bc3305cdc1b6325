"""From what was recorded to what a story is told of: entries become sightings, trails become media."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from commonview.explain import Connecting, Recording, Sighting, read_sdp
from commonview.wire.sip import SipParseError, SipRequest, parse_datagram

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonview.explain import Address
    from commonview.network.sip_endpoint import Flow
    from commonview.network.trace.media_trail import Trail
    from commonview.network.trace.ring import Entry


def sighting_of(entry: Entry, offset: float, local: Callable[[Flow], str]) -> list[Sighting]:
    """An entry as one sighting; a series of keep-alives as its request and, if there is one, its answer."""
    flow = entry.flow
    host, _, port = local(flow).rpartition(":")
    ours, theirs = (host.strip("[]"), int(port)), flow.peer
    ends = (theirs, ours) if entry.received else (ours, theirs)
    at, transport = entry.at + offset, flow.transport
    first = _sighting(entry.number, at, transport, ends, entry.data)
    if not entry.answer:
        return [first]
    found = [first, _sighting(entry.number, at, transport, (ends[1], ends[0]), entry.answer)]
    if entry.count > 1:
        found[0] = replace(
            first, copies=entry.count, until=entry.until + offset, longest_gap_s=entry.longest_gap_s
        )
    return found


def _sighting(number: int, at: float, transport: str, ends: tuple[Address, Address], raw: bytes) -> Sighting:
    try:
        message, fault = parse_datagram(raw), ""
    except SipParseError as error:
        return Sighting(number, at, transport, *ends, raw, error.partial, error.reason)
    return Sighting(number, at, transport, *ends, raw, message, fault)


def add_media(recording: Recording, trails: list[Trail]) -> None:
    """Put each trail to the call in whose offer its port stood."""
    calls: list[tuple[float, Address, str]] = []
    for sighting in recording.sightings:
        message = sighting.message
        if isinstance(message, SipRequest) and message.method == "INVITE":
            offer = read_sdp(sighting)
            call_id = message.headers.get("Call-ID") or ""
            if offer is not None and not any(known[2] == call_id for known in calls[-50:]):
                calls.append((sighting.at, (offer.address, offer.port), call_id))
    for trail in trails:
        begins = trail.facts[0].at if trail.facts else trail.first_at
        matching = [call for call in calls if call[1][1] == trail.port and call[0] <= begins + 1.0]
        if not matching:
            continue
        _, place, call_id = matching[-1]
        recording.facts.setdefault(call_id, []).extend(trail.facts)
        flow = trail.flow(place)
        if flow is not None:
            recording.flows.append(flow)
        for fact in trail.facts:
            if fact.word == "tcp_connected":
                recording.connections.append(Connecting(fact.at, place, place, "open"))
            elif fact.word == "tcp_failed" and fact.params.get("reason") == "connect_refused":
                recording.connections.append(Connecting(fact.at, place, place, "refused"))
