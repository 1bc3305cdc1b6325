"""Patterns of the media itself: whether it came, from whom, what it was, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from commonview.explain.model import ExchangeKind
from commonview.explain.rules.calling import answered, invite_of, media_refused, same_setup
from commonview.explain.rules.hit import Hit, place, seen
from commonview.wire.sdp import MediaTransport

if TYPE_CHECKING:
    from commonview.explain.drafts import Draft, Scene
    from commonview.explain.model import Address, Connecting, MediaFlow

FIRST_PACKET_AFTER_S: Final = 5.0
STALL_S: Final = 3.0
LOSS_PERCENT: Final = 1.0
_OFFERED: Final = 96


def _began(draft: Draft) -> float | None:
    """When media was due: the ACK, else the 200."""
    final = invite_of(draft).final
    if not answered(draft) or final is None:
        return None
    return max([final.at, *(each.request.at for each in draft.named("ACK"))])


def _until(draft: Draft, scene: Scene) -> float:
    byes = draft.named("BYE")
    later = [
        each.started_at
        for each in scene.of(draft.device_id, ExchangeKind.SESSION)
        if each.started_at > draft.started_at and each.subject == draft.subject
    ]
    return byes[0].request.at if byes else min([scene.recording.ends, *later])


def _evidence(draft: Draft) -> tuple[int, ...]:
    return seen(invite_of(draft).request, invite_of(draft).final)


def _offered(draft: Draft) -> Address | None:
    return None if draft.offer is None else (draft.offer.address, draft.offer.port)


def _to_us(draft: Draft) -> list[MediaFlow]:
    """What arrived where the caller had asked for it, or came back on the connection it dialled."""
    wanted = _offered(draft)
    answer = None if draft.answer is None else (draft.answer.address, draft.answer.port)
    return [
        flow
        for flow in draft.flows
        if flow.target == wanted or (flow.transport == "tcp" and flow.source == answer)
    ]


def _missing(draft: Draft, scene: Scene) -> bool:
    began = _began(draft)
    if began is None or not scene.recording.sees_media or _to_us(draft) or draft.offer is None:
        return False
    if draft.answer is None or draft.answer.port == 0 or draft.offer.direction == "sendonly":
        return False
    if draft.device_asked and not scene.recording.sees_sent:  # a voice to the device, from here
        return False
    return _until(draft, scene) - began >= FIRST_PACKET_AFTER_S


def _strays(draft: Draft, scene: Scene) -> list[MediaFlow]:
    """RTP from the device's host, or with the call's number, to another place, at the right time."""
    began, wanted = _began(draft), _offered(draft)
    if began is None or draft.offer is None:
        return []
    numbers = {sdp.ssrc for sdp in (draft.offer, draft.answer) if sdp is not None and sdp.ssrc is not None}
    hosts = {draft.device[0]} | ({draft.answer.address} if draft.answer is not None else set())
    claimed = {flow.target for other in scene.drafts if other is not draft for flow in other.flows}
    return [
        flow
        for flow in scene.recording.flows
        if flow.target != wanted
        and flow.target not in claimed
        and began - 1 <= flow.first_at <= _until(draft, scene) + 1
        and (flow.ssrc in numbers or flow.source[0] in hosts)
    ]


def sent_elsewhere(draft: Draft, scene: Scene) -> Hit | None:
    """The device sends, but not to the address in the offer."""
    strays = _strays(draft, scene) if _missing(draft, scene) else []
    wanted = _offered(draft)
    if not strays or wanted is None:
        return None
    return Hit(
        {"sent_to": place(strays[0].target), "wanted": place(wanted)},
        (*_evidence(draft), strays[0].first_frame),
    )


def _dials(draft: Draft, scene: Scene) -> list[Connecting]:
    places = {(sdp.address, sdp.port) for sdp in (draft.offer, draft.answer) if sdp is not None}
    return [
        one
        for one in scene.recording.connections
        if one.target in places and one.at >= draft.started_at - 0.5
    ]


def _over_tcp(draft: Draft) -> bool:
    return draft.offer is not None and draft.offer.transport is MediaTransport.TCP


def connect_refused(draft: Draft, scene: Scene) -> Hit | None:
    """The media connection is refused."""
    bad = [one for one in _dials(draft, scene) if one.outcome == "refused"] if _over_tcp(draft) else []
    if not bad or _to_us(draft):
        return None
    return Hit({"from": place(bad[0].source), "to": place(bad[0].target), "count": len(bad)}, (bad[0].frame,))


def connect_unanswered(draft: Draft, scene: Scene) -> Hit | None:
    """The media connection is asked for, and nothing answers."""
    dials = _dials(draft, scene) if _over_tcp(draft) else []
    bad = [one for one in dials if one.outcome == "unanswered"]
    if not bad or len(bad) < len(dials) or _to_us(draft):
        return None
    return Hit({"from": place(bad[0].source), "to": place(bad[0].target)}, (bad[0].frame,))


def nobody_dials(draft: Draft, scene: Scene) -> Hit | None:
    """TCP was agreed, and nobody opens the connection."""
    if not _over_tcp(draft) or not _missing(draft, scene) or _dials(draft, scene):
        return None
    if (
        same_setup(draft, scene) is not None
        or sent_elsewhere(draft, scene) is not None
        or draft.offer is None
    ):
        return None
    caller_dials = draft.offer.setup == "active"
    who = invite_of(draft).request.source if caller_dials else invite_of(draft).request.target
    return Hit({"who": who[0], "setup": draft.offer.setup or "passive"}, _evidence(draft))


def connected_and_silent(draft: Draft, scene: Scene) -> Hit | None:
    """The connection stands, and no media comes over it."""
    if not _over_tcp(draft) or not _missing(draft, scene) or sent_elsewhere(draft, scene) is not None:
        return None
    stands = [one for one in _dials(draft, scene) if one.outcome == "open"]
    return Hit({"to": place(stands[0].target)}, (*_evidence(draft), stands[0].frame)) if stands else None


def never_came(draft: Draft, scene: Scene) -> Hit | None:
    """UDP was agreed, and nothing comes."""
    if _over_tcp(draft) or not _missing(draft, scene) or sent_elsewhere(draft, scene) is not None:
        return None
    began, wanted = _began(draft), _offered(draft)
    if began is None or wanted is None or media_refused(draft, scene) is not None:
        return None
    return Hit({"seconds": round(_until(draft, scene) - began), "to": place(wanted)}, _evidence(draft))


def from_elsewhere(draft: Draft, _: Scene) -> Hit | None:
    """It comes from another host than the answer names."""
    if draft.answer is None or draft.offer is None:
        return None
    for flow in _to_us(draft):
        if flow.target == _offered(draft) and flow.source[0] not in (draft.answer.address, draft.device[0]):
            named = place((draft.answer.address, draft.answer.port))
            return Hit({"source": place(flow.source), "named": named}, (*_evidence(draft), flow.first_frame))
    return None


def other_ssrc(draft: Draft, _: Scene) -> Hit | None:
    """The number in the packets is not the agreed one (trap 34)."""
    if draft.offer is None:
        return None
    agreed = draft.offer.ssrc if draft.answer is None or draft.answer.ssrc is None else draft.answer.ssrc
    flows = _to_us(draft)
    if agreed is None or not flows or any(flow.ssrc == agreed for flow in flows):
        return None
    expected, real = f"{agreed:010d}", f"{flows[0].ssrc:010d}"
    return Hit({"expected": expected, "seen": real}, (*_evidence(draft), flows[0].first_frame))


def mixed_ssrc(draft: Draft, _: Scene) -> Hit | None:
    """Several streams at one port (trap 35)."""
    video = [flow for flow in _to_us(draft) if flow.packets > 20 and flow.content != "audio"]
    together = [
        one
        for one in video
        for other in video
        if one is not other and one.first_at <= other.last_at - 1 and other.first_at <= one.last_at - 1
    ]
    if not together:
        return None
    return Hit(
        {"count": len({flow.ssrc for flow in together})}, (together[0].first_frame, together[-1].first_frame)
    )


def transport_stream(draft: Draft, _: Scene) -> Hit | None:
    """The wire carries MPEG-TS where PS was agreed (trap 38)."""
    for flow in _to_us(draft):
        if flow.content == "ts":
            return Hit({"payload_type": flow.payload_types[0]}, (flow.first_frame,))
    return None


def elementary_stream(draft: Draft, _: Scene) -> Hit | None:
    """Bare H.264 or H.265 where PS was agreed (trap 37)."""
    for flow in _to_us(draft):
        if flow.content in ("h264", "h265") and _said_ps(draft):
            return Hit(
                {"codec": flow.content.upper(), "payload_type": flow.payload_types[0]}, (flow.first_frame,)
            )
    return None


def _said_ps(draft: Draft) -> bool:
    said = draft.answer if draft.answer is not None and draft.answer.rtpmaps else draft.offer
    return said is not None and any(each.encoding.upper() == "PS" for each in said.rtpmaps)


def other_payload_type(draft: Draft, _: Scene) -> Hit | None:
    """A payload type nobody agreed on (trap 37)."""
    said = {kind for sdp in (draft.offer, draft.answer) if sdp is not None for kind in sdp.payload_types}
    for flow in _to_us(draft):
        strange = [kind for kind in flow.payload_types if kind not in said]
        if strange and flow.content not in ("ts", "h264", "h265") and flow.packets > 5:
            return Hit({"seen": strange[0], "agreed": min(said, default=_OFFERED)}, (flow.first_frame,))
    return None


def interleaved(draft: Draft, _: Scene) -> Hit | None:
    """Four octets with a dollar before each packet, where RFC 4571 has two (trap 43)."""
    for flow in _to_us(draft):
        if flow.framing == "interleaved":
            return Hit({}, (flow.first_frame,))
    return None


def stopped(draft: Draft, scene: Scene) -> Hit | None:
    """It flowed and broke off while the call stood."""
    flows = _to_us(draft)
    if not flows or (draft.offer is not None and draft.offer.session_name in ("Playback", "Download")):
        return None
    last = max(flow.last_at for flow in flows)
    silence = _until(draft, scene) - last
    if silence < FIRST_PACKET_AFTER_S:
        return None
    first = min(flow.first_at for flow in flows)
    return Hit({"after": round(last - first), "silence": round(silence)}, _evidence(draft))


def gaps(draft: Draft, _: Scene) -> Hit | None:
    """Pauses in a stream that should be steady."""
    for flow in _to_us(draft):
        if flow.longest_gap_s >= STALL_S and flow.packets > 20:
            return Hit({"seconds": round(flow.longest_gap_s, 1)}, (flow.first_frame,))
    return None


def lossy(draft: Draft, _: Scene) -> Hit | None:
    """More than one packet in a hundred is lost."""
    for flow in _to_us(draft):
        if flow.transport == "udp" and flow.packets > 50 and flow.loss_percent >= LOSS_PERCENT:
            return Hit({"percent": flow.loss_percent, "lost": flow.lost}, (flow.first_frame,))
    return None


def one_way(draft: Draft, _: Scene) -> Hit | None:
    """Both should send, one does."""
    both = [sdp for sdp in (draft.offer, draft.answer) if sdp is not None]
    talks = any(sdp.session_name == "Talk" for sdp in both)
    if not talks and not (len(both) == 2 and all(sdp.direction in ("sendrecv", None) for sdp in both)):
        return None
    if not talks and any(sdp.media != "audio" for sdp in both):
        return None
    ways = {(flow.source[0], flow.target[0]) for flow in draft.flows if flow.packets > 5}
    if len(ways) != 1:
        return None
    ((source, target),) = ways
    return Hit({"source": source, "target": target}, _evidence(draft))


def after_bye(draft: Draft, _: Scene) -> Hit | None:
    """It goes on although the call is over."""
    byes = draft.named("BYE")
    if not byes:
        return None
    late = max((flow.last_at - byes[0].last_at for flow in _to_us(draft)), default=0.0)
    return Hit({"seconds": round(late, 1)}, seen(byes[0].request)) if late > 3 else None
