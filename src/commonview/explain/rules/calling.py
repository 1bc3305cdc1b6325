"""Patterns of INVITE, ACK, BYE and their SDP (GB/T 28181-2022 9.2 to 9.9, Annex G)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from commonview.explain.model import ExchangeKind
from commonview.explain.rules.hit import Hit, Pattern, place, seen, shown
from commonview.explain.transactions import status_of
from commonview.wire.sdp import MediaTransport

if TYPE_CHECKING:
    from commonview.explain.drafts import Draft, Scene
    from commonview.explain.transactions import Transaction

NAMED_REFUSALS: Final = frozenset({400, 403, 404, 408, 415, 480, 481, 482, 483, 486, 487, 488, 500, 503})


def invite_of(draft: Draft) -> Transaction:
    """The INVITE that counts: the last that was answered with success, else the last."""
    invites = draft.named("INVITE")
    return next((each for each in reversed(invites) if each.status // 100 == 2), invites[-1])


def answered(draft: Draft) -> bool:
    """Whether a 2xx came."""
    return invite_of(draft).status // 100 == 2


def refused_with(status: int) -> Pattern:
    """The INVITE is refused with exactly this status."""

    def pattern(draft: Draft, _: Scene) -> Hit | None:
        invite = invite_of(draft)
        if invite.status != status or (status == 487 and draft.named("CANCEL")):
            return None
        return Hit({"status": status, "reason": _reason(invite)}, shown([invite]))

    return pattern


def refused(draft: Draft, _: Scene) -> Hit | None:
    """Refused with any other status."""
    invite = invite_of(draft)
    if invite.status < 300 or invite.status in NAMED_REFUSALS:
        return None
    return Hit({"status": invite.status, "reason": _reason(invite)}, shown([invite]))


def _reason(invite: Transaction) -> str:
    final = invite.final
    text = getattr(final.message, "reason", "") if final is not None else ""
    return "".join(mark for mark in text if mark.isprintable())[:60]


def cancelled(draft: Draft, _: Scene) -> Hit | None:
    """The caller gave up before the device had answered."""
    cancel = draft.named("CANCEL")
    if not cancel or answered(draft):
        return None
    waited = cancel[0].request.at - draft.started_at
    return Hit({"seconds": round(waited, 1)}, shown([invite_of(draft), cancel[0]]))


def unanswered(draft: Draft, scene: Scene) -> Hit | None:
    """Not even 100 Trying comes back."""
    invite = invite_of(draft)
    if invite.responses or invite.misdirected or scene.recording.ends - invite.request.at < 4:
        return None
    params: dict[str, str | int | float] = {
        "count": 1 + len(invite.repeats),
        "address": place(invite.request.target),
    }
    return Hit(params, seen(invite.request, *invite.repeats[:3]))


def stuck(draft: Draft, scene: Scene) -> Hit | None:
    """100 or 180, and then nothing."""
    invite = invite_of(draft)
    if not invite.responses or invite.final is not None or draft.named("CANCEL"):
        return None
    waited = scene.recording.ends - invite.responses[-1].at
    if waited < 8:
        return None
    last = status_of(invite.responses[-1])
    return Hit({"status": last, "seconds": round(waited)}, seen(invite.request, invite.responses[-1]))


# -- SDP


def _final(draft: Draft) -> tuple[int, ...]:
    return seen(invite_of(draft).final)


def sdp_missing(draft: Draft, _: Scene) -> Hit | None:
    """A 200 without a session description."""
    final = invite_of(draft).final
    if not answered(draft) or final is None or final.message is None or final.message.body.strip():
        return None
    return Hit({}, _final(draft))


def sdp_unreadable(draft: Draft, scene: Scene) -> Hit | None:
    """A description without media line or address."""
    if not answered(draft) or draft.answer is not None or sdp_missing(draft, scene) is not None:
        return None
    return Hit({}, _final(draft))


def ssrc_missing(draft: Draft, _: Scene) -> Hit | None:
    """The answer has no usable y= (trap 33): the offered number holds."""
    if draft.answer is None or draft.answer.ssrc is not None:
        return None
    return Hit({"y": (draft.answer.ssrc_text or "")[:24]}, _final(draft))


def media_refused(draft: Draft, _: Scene) -> Hit | None:
    """Port 0 in the answer."""
    if draft.answer is None or draft.answer.port != 0:
        return None
    return Hit({}, _final(draft))


def address_private(draft: Draft, _: Scene) -> Hit | None:
    """c= names an address that cannot be reached from the other side (trap 45)."""
    for sdp, sender, carrier in (
        (draft.answer, invite_of(draft).request.target, invite_of(draft).final),
        (draft.offer, invite_of(draft).request.source, invite_of(draft).request),
    ):
        if sdp is None:
            continue
        try:
            named, real = ip_address(sdp.address), ip_address(sender[0])
        except ValueError:
            continue
        lost = named.is_loopback and not real.is_loopback
        if lost or (named.is_private and not real.is_private and not named.is_loopback):
            return Hit({"named": sdp.address, "real": sender[0]}, seen(carrier))
    return None


def other_transport(draft: Draft, _: Scene) -> Hit | None:
    """UDP was offered and TCP answered, or the other way round."""
    if draft.offer is None or draft.answer is None or draft.offer.transport is draft.answer.transport:
        return None
    params: dict[str, str | int | float] = {
        "offered": draft.offer.transport.value,
        "answered": draft.answer.transport.value,
    }
    return Hit(params, _final(draft))


def same_setup(draft: Draft, _: Scene) -> Hit | None:
    """Both wait to be dialled, or both dial (RFC 4145 4.1)."""
    offer, answer = draft.offer, draft.answer
    if offer is None or answer is None or offer.transport is not MediaTransport.TCP:
        return None
    if offer.setup is None or offer.setup != answer.setup or offer.setup == "actpass":
        return None
    return Hit({"setup": offer.setup}, seen(invite_of(draft).request) + _final(draft))


# -- the dialog


def ack_missing(draft: Draft, scene: Scene) -> Hit | None:
    """A 200 that is never acknowledged is repeated, and the device gives up after 32 s."""
    invite = invite_of(draft)
    final = invite.final
    if not answered(draft) or final is None or draft.named("ACK"):
        return None
    repeated = sum(1 for each in invite.responses if status_of(each) == status_of(final))
    if repeated < 2 and scene.recording.ends - final.at < 2:
        return None
    return Hit({"count": repeated}, seen(invite.request, final))


def bye_missing(draft: Draft, scene: Scene) -> Hit | None:
    """The same channel is called again although nobody hung up (trap 46)."""
    if not answered(draft) or draft.named("BYE"):
        return None
    later = [
        each
        for each in scene.of(draft.device_id, ExchangeKind.SESSION)
        if each.started_at > draft.started_at
        and each.subject == draft.subject
        and each.first.request.source == draft.first.request.source
        and each.offer is not None
        and draft.offer is not None
        and each.offer.session_name == draft.offer.session_name
    ]
    if not later or any(flow.last_at > later[0].started_at for flow in draft.flows):
        return None
    return Hit({"seconds": round(later[0].started_at - draft.started_at)}, seen(later[0].first.request))


def bye_unanswered(draft: Draft, scene: Scene) -> Hit | None:
    """BYE without an answer."""
    for each in draft.named("BYE"):
        if not each.responses and scene.recording.ends - each.request.at > 4:
            return Hit({"address": place(each.request.target)}, seen(each.request, *each.repeats[:3]))
    return None


def bye_refused(draft: Draft, _: Scene) -> Hit | None:
    """BYE refused: the other side has forgotten the call."""
    for each in draft.named("BYE"):
        if each.status >= 400:
            return Hit({"status": each.status}, shown([each]))
    return None


def ended_at_once(draft: Draft, _: Scene) -> Hit | None:
    """The device hangs up right after its own 200."""
    final, byes = invite_of(draft).final, draft.named("BYE")
    if not answered(draft) or final is None or not byes or byes[0].request.source != draft.device:
        return None
    after = byes[0].request.at - final.at
    if after > 5 or any(flow.packets > 50 for flow in draft.flows) or draft.named("MESSAGE"):
        return None
    return Hit({"seconds": round(after, 1)}, shown([byes[0]]))


def control_refused(draft: Draft, _: Scene) -> Hit | None:
    """INFO with MANSRTSP refused, in SIP or inside its body (trap 47)."""
    for each in draft.named("INFO"):
        final = each.final
        body = b"" if final is None or final.message is None else final.message.body
        inner = body.split(b" ", 2)[1:2] if body.startswith(b"RTSP/") else []
        status = int(inner[0]) if inner and inner[0].isdigit() and len(inner[0]) == 3 else each.status
        if status >= 400:
            first = b"" if each.request.message is None else each.request.message.body.split(b"\r\n")[0]
            words = first.decode("ascii", "replace").split(" ")[0][:16]
            return Hit({"status": status, "method": words or "INFO"}, shown([each]))
    return None
