"""Patterns of MESSAGE: queries, pages, commands, notifications, subscriptions, and what carries them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from commonview.explain.documents import read_manscdp, user_and_host
from commonview.explain.model import ExchangeKind
from commonview.explain.redaction import BLOT
from commonview.explain.rules.hit import UNANSWERED_AFTER_S, Hit, place, seen, shown
from commonview.wire.charset import DAMAGED
from commonview.wire.manscdp.errors import Repair

if TYPE_CHECKING:
    from commonview.explain.documents import Document
    from commonview.explain.drafts import Draft, Scene
    from commonview.explain.model import Sighting
    from commonview.explain.transactions import Transaction

ANSWER_AFTER_S: Final = 10.0
LONG_MESSAGE_BYTES: Final = 1300
# A.2.3: these commands are answered by a Response, the others by the 200 alone.
_ANSWERED_COMMANDS: Final = ("RecordCmd", "GuardCmd", "AlarmCmd", "HomePosition", "DeviceUpgrade")


def _size(transaction: Transaction) -> int:
    return len(transaction.request.raw)


def unanswered(draft: Draft, scene: Scene) -> Hit | None:
    """A request that nobody answers, not even with a SIP status."""
    for each in draft.transactions:
        if each.method == "ACK" or each.responses or each.misdirected or _in_pieces(each, scene):
            continue
        if scene.recording.ends - each.request.at > UNANSWERED_AFTER_S:
            params: dict[str, str | int | float] = {
                "method": each.method,
                "address": place(each.request.target),
                "count": 1 + len(each.repeats),
            }
            return Hit(params, seen(each.request, *each.repeats[:3]))
    return None


def _in_pieces(transaction: Transaction, scene: Scene) -> bool:
    hosts = transaction.request.source[0], transaction.request.target[0]
    return any(
        (one.source[0], one.target[0]) == hosts and abs(one.at - transaction.request.at) < 2
        for one in scene.recording.pieces
    )


def pieces(draft: Draft, scene: Scene) -> Hit | None:
    """A long message that did not come whole: IP fragments lost, or cut into what is no SIP (trap 3)."""
    for one in scene.recording.pieces:
        if {one.source[0], one.target[0]} != {draft.device[0], draft.platform[0]}:
            continue
        if draft.started_at - 1 <= one.at <= draft.latest + ANSWER_AFTER_S:
            return Hit({"received": one.received, "why": one.why, "source": place(one.source)}, (one.frame,))
    return None


def long_refused(draft: Draft, _: Scene) -> Hit | None:
    """Only what is long is refused: it was cut on its way, or is too long for the other side."""
    for each in draft.transactions:
        if each.status in (400, 413, 513) and _size(each) > LONG_MESSAGE_BYTES:
            params: dict[str, str | int | float] = {"status": each.status, "size": _size(each)}
            return Hit(params, shown([each]))
    return None


def refused(draft: Draft, scene: Scene) -> Hit | None:
    """A request of MESSAGE kind is refused with a SIP status."""
    if long_refused(draft, scene) is not None:
        return None
    for each in draft.transactions:
        if each.method in ("MESSAGE", "INFO", "OPTIONS") and each.status >= 400 and each.status != 403:
            params: dict[str, str | int | float] = {"method": each.method, "status": each.status}
            return Hit(params, shown([each]))
    return None


def forbidden(draft: Draft, _: Scene) -> Hit | None:
    """403 to a MESSAGE: the receiver does not count the sender as registered (trap 15)."""
    for each in draft.transactions:
        if each.method == "MESSAGE" and each.status == 403:
            params: dict[str, str | int | float] = {
                "sender": each.from_user() or "?",
                "address": place(each.request.source),
            }
            return Hit(params, shown([each]))
    return None


def _is_shortened(sighting: Sighting) -> bool:
    """Whether a secret was taken out of the body before it was kept, so that its length says nothing."""
    return sighting.message is not None and BLOT in sighting.message.body


def wrong_length(draft: Draft, _: Scene) -> Hit | None:
    """Content-Length and the body disagree (traps 1 and 2)."""
    for sighting in draft.sightings():
        if _is_shortened(sighting):
            continue
        wrong = [word for word in sighting.repairs if word.startswith("length_")]
        if (wrong or "Content-Length" in sighting.fault) and sighting.message is not None:
            declared = sighting.message.headers.get("Content-Length") or "?"
            params: dict[str, str | int | float] = {"declared": declared, "real": len(sighting.message.body)}
            return Hit(params, seen(sighting))
    return None


def unreadable(draft: Draft, scene: Scene) -> Hit | None:
    """A message that is not valid SIP, or a body that is no valid XML."""
    for sighting in draft.sightings():
        if sighting.fault and "Content-Length" not in sighting.fault:
            return Hit({"fault": sighting.fault[:80]}, seen(sighting))
    for each in draft.named("MESSAGE"):
        message = each.request.message
        if message is None or not message.body.strip() or wrong_length(draft, scene) is not None:
            continue
        if "xml" in each.headers.get("Content-Type", "").lower() and read_manscdp(message.body) is None:
            return Hit({"fault": "XML"}, shown([each]))
    return None


def charset_damaged(draft: Draft, _: Scene) -> Hit | None:
    """Text that fits neither UTF-8 nor GB18030, or that was broken before it was sent."""
    for each, document in [*draft.pages, *_own(draft)]:
        body = b"" if each.request.message is None else each.request.message.body
        if document.charset is DAMAGED or b"\xef\xbf\xbd" in body:
            return Hit({"declared": document.declared or "?"}, seen(each.request))
    return None


def charset_declared_wrongly(draft: Draft, scene: Scene) -> Hit | None:
    """The declaration names another charset than the bytes are in (trap 16)."""
    if charset_damaged(draft, scene) is not None:
        return None
    for each, document in [*draft.pages, *_own(draft)]:
        body = b"" if each.request.message is None else each.request.message.body
        utf8 = document.charset == "UTF-8"
        if body.isascii() or not document.declared:
            continue
        if utf8 is not (document.declared in ("UTF-8", "UTF8")):
            params: dict[str, str | int | float] = {"declared": document.declared, "real": document.charset}
            return Hit(params, seen(each.request))
    return None


def xml_mended(draft: Draft, _: Scene) -> Hit | None:
    """Raw markup inside a value (trap 4): strict readers drop the whole page."""
    for each, document in [*draft.pages, *_own(draft)]:
        if Repair.RAW_MARKUP in document.repairs:
            return Hit({}, seen(each.request))
    return None


def _own(draft: Draft) -> list[tuple[Transaction, Document]]:
    return [] if draft.document is None else [(draft.first, draft.document)]


# -- queries and commands


def _accepted(draft: Draft) -> bool:
    return draft.first.status // 100 == 2


def no_answer(draft: Draft, scene: Scene) -> Hit | None:
    """200 came, the business answer never did (9.3.3: they are two messages)."""
    if not _accepted(draft) or draft.pages or draft.first.misdirected or pieces(draft, scene) is not None:
        return None
    if draft.kind is ExchangeKind.COMMAND and not _wants_answer(draft):
        return None
    waited = scene.recording.ends - draft.first.last_at
    if waited < ANSWER_AFTER_S:
        return None
    return Hit({"cmd_type": draft.subject, "seconds": round(waited)}, shown([draft.first]))


def _wants_answer(draft: Draft) -> bool:
    fields = {} if draft.document is None else draft.document.fields
    return draft.subject == "DeviceConfig" or any(name in fields for name in _ANSWERED_COMMANDS)


def pages_missing(draft: Draft, scene: Scene) -> Hit | None:
    """Fewer items came than SumNum promises (Annex M, trap 17)."""
    promised = max((page.promised or 0 for _, page in draft.pages), default=0)
    items = [item for _, page in draft.pages for item in page.items]
    received = len(set(items))
    if received >= promised or scene.recording.ends - draft.latest < ANSWER_AFTER_S:
        return None
    params: dict[str, str | int | float] = {
        "received": received,
        "promised": promised,
        "pages": len(draft.pages),
        "twice": len(items) - received,
    }
    return Hit(params, seen(draft.first.request, *(each.request for each, _ in draft.pages[-5:])))


def answered_error(draft: Draft, _: Scene) -> Hit | None:
    """The business answer says ERROR (trap 24: a 200 is no execution)."""
    for each, page in draft.pages:
        if page.result not in ("", "OK"):
            return Hit({"cmd_type": page.cmd_type, "result": page.result[:32]}, seen(each.request))
    return None


def other_cmd_type(draft: Draft, _: Scene) -> Hit | None:
    """Answered under another name (trap 23)."""
    for each, page in draft.pages:
        if page.cmd_type != draft.subject:
            return Hit({"asked": draft.subject, "answered": page.cmd_type}, seen(each.request))
    return None


def other_sn(draft: Draft, _: Scene) -> Hit | None:
    """The answer carries another SN than the question (A.1)."""
    if draft.document is None:
        return None
    for each, page in draft.pages:
        if page.sn != draft.document.sn:
            params: dict[str, str | int | float] = {"asked": draft.document.sn[:20], "answered": page.sn[:20]}
            return Hit(params, seen(each.request))
    return None


def answer_refused(draft: Draft, _: Scene) -> Hit | None:
    """The asker itself refuses the answer it asked for."""
    bad = [each for each, _ in draft.pages if each.status >= 400]
    return Hit({"status": bad[0].status, "count": len(bad)}, shown(bad)) if bad else None


# -- subscriptions


def subscribe_refused(draft: Draft, _: Scene) -> Hit | None:
    """SUBSCRIBE is refused."""
    for each in draft.named("SUBSCRIBE"):
        if each.status >= 400:
            return Hit({"status": each.status, "event": draft.subject}, shown([each]))
    return None


def _granted(draft: Draft) -> tuple[Transaction, int] | None:
    for each in reversed(draft.named("SUBSCRIBE")):
        final = each.final
        if each.status // 100 == 2 and final is not None and final.message is not None:
            text = final.message.headers.get("Expires") or each.headers.get("Expires", "")
            return each, int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    return None


def not_renewed(draft: Draft, scene: Scene) -> Hit | None:
    """It ran out and nobody renewed it (trap 28)."""
    granted = _granted(draft)
    if granted is None or granted[1] == 0 or granted[0].headers.get("Expires", "").strip() == "0":
        return None
    later = [
        each
        for each in scene.of(draft.device_id, ExchangeKind.SUBSCRIPTION)
        if each.subject == draft.subject and each.started_at > draft.started_at
    ]
    ran_out = granted[0].last_at + granted[1]
    if scene.recording.ends < ran_out + 1 or any(each.started_at <= ran_out for each in later):
        return None
    return Hit({"seconds": granted[1], "event": draft.subject}, shown([granted[0]]))


def notify_refused(draft: Draft, _: Scene) -> Hit | None:
    """The subscriber does not know the dialog of its own subscription any more."""
    bad = [each for each in draft.named("NOTIFY") if each.status >= 400]
    return Hit({"status": bad[0].status, "count": len(bad)}, shown(bad)) if bad else None


def no_notify(draft: Draft, scene: Scene) -> Hit | None:
    """RFC 6665 4.1.2.2: a NOTIFY must follow at once; devices that never send one have not subscribed us."""
    granted = _granted(draft)
    if granted is None or granted[1] == 0 or draft.named("NOTIFY"):
        return None
    waited = scene.recording.ends - granted[0].last_at
    if waited < 60:
        return None
    return Hit({"seconds": round(waited), "event": draft.subject}, shown([granted[0]]))


# -- below and around


def tls_failed(draft: Draft, scene: Scene) -> Hit | None:
    """TLS between the two failed while they could not talk."""
    hosts = {draft.device[0], draft.platform[0]}
    for one in scene.recording.tls:
        if {one.source[0], one.target[0]} == hosts and abs(one.at - draft.started_at) < 60:
            return Hit({"alert": one.alert, "address": place(one.target)}, (one.frame,))
    return None


def looped(draft: Draft, scene: Scene) -> Hit | None:
    """A request comes back to somebody who has already passed it on (trap 14)."""
    for each in draft.transactions:
        if each.status in (482, 483):
            return Hit({"status": each.status, "hops": _via_count(each)}, shown([each]))
    if draft.kind in (ExchangeKind.REGISTRATION, ExchangeKind.KEEPALIVE):
        return None
    for other in scene.of(draft.device_id, draft.kind):
        if other is draft or other.subject != draft.subject or abs(other.started_at - draft.started_at) > 5:
            continue
        back = (other.first.request.target, other.first.request.source) == (
            draft.first.request.source,
            draft.first.request.target,
        )
        if back and other.call_id == draft.call_id:
            return Hit({"status": 0, "hops": 2}, seen(draft.first.request, other.first.request))
    return None


def _via_count(transaction: Transaction) -> int:
    message = transaction.request.message
    return 0 if message is None else len(message.headers.get_all("Via"))


def wrong_sender(draft: Draft, scene: Scene) -> Hit | None:
    """From names somebody else than the one registered at that address (traps 8 and 32)."""
    for each in draft.transactions:
        if each.request.source != draft.device or each.method not in ("MESSAGE", "NOTIFY"):
            continue
        known = scene.roles.at.get((each.request.source, each.request.target))
        user = user_and_host(each.headers.get("From", ""))[0]
        if known is not None and user and user != known and each.status >= 400:
            return Hit({"sender": user, "registered": known}, shown([each]))
    return None
