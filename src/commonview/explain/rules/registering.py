"""Patterns of REGISTER (GB/T 28181-2022 9.1, RFC 3261 10 and 22)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from commonview.explain.documents import user_and_host
from commonview.explain.model import ExchangeKind
from commonview.explain.rules.hit import UNANSWERED_AFTER_S, Hit, place, seen, shown
from commonview.explain.transactions import status_of
from commonview.wire.sip import Challenge, Credentials, NameAddr, SipParseError

if TYPE_CHECKING:
    from commonview.explain.drafts import Draft, Scene
    from commonview.explain.transactions import Transaction

SHORTEST_EXPIRY_S: Final = 60
SKEW_S: Final = 60.0
_BEIJING: Final = timezone(timedelta(hours=8))
_TIME: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)")


def _challenge(transaction: Transaction) -> Challenge | None:
    final = transaction.final
    value = (
        "" if final is None or final.message is None else final.message.headers.get("WWW-Authenticate", "")
    )
    try:
        return Challenge.parse(value or "")
    except SipParseError:
        return None


def _credentials(transaction: Transaction) -> Credentials | None:
    value = transaction.headers.get("Authorization")
    if value is None:
        return None
    try:
        return Credentials.parse(value)
    except SipParseError:
        return None


def _proofs(draft: Draft) -> list[tuple[Transaction, Credentials]]:
    pairs = [(each, _credentials(each)) for each in draft.named("REGISTER")]
    return [(each, given) for each, given in pairs if given is not None]


def _succeeded(draft: Draft) -> bool:
    return any(each.status // 100 == 2 for each in draft.named("REGISTER"))


def _refused_proofs(draft: Draft) -> list[tuple[Transaction, Credentials]]:
    return [(each, given) for each, given in _proofs(draft) if each.status in (401, 403, 407)]


def _stale(transaction: Transaction) -> bool:
    challenge = _challenge(transaction)
    return challenge is not None and challenge.stale


def _wrong_realm(draft: Draft) -> tuple[Transaction, str, str] | None:
    realms = [found.realm for each in draft.named("REGISTER") if (found := _challenge(each)) is not None]
    for each, given in _refused_proofs(draft):
        if realms and given.realm not in realms:
            return each, given.realm, realms[-1]
    return None


def wrong_realm(draft: Draft, _: Scene) -> Hit | None:
    """The proof names another realm than the challenge."""
    found = _wrong_realm(draft)
    if found is None:
        return None
    return Hit({"given": found[1][:64], "asked": found[2][:64]}, shown([found[0]]))


def wrong_username(draft: Draft, _: Scene) -> Hit | None:
    """The proof is made for another user than the one who registers."""
    for each, given in _refused_proofs(draft):
        if given.username != each.from_user() and _wrong_realm(draft) is None:
            return Hit({"given": given.username[:64], "id": each.from_user()}, shown([each]))
    return None


def wrong_identity(draft: Draft, _: Scene) -> Hit | None:
    """From and To of a REGISTER name different ids."""
    for each in draft.named("REGISTER"):
        sender, owner = each.from_user(), each.to_user()
        if sender != owner and each.status not in (0, 200, 401):
            return Hit({"from": sender or "?", "to": owner or "?"}, shown([each]))
    return None


def wrong_id(draft: Draft, _: Scene) -> Hit | None:
    """An id that is not of 20 digits, and refused."""
    for each in draft.named("REGISTER"):
        user = each.from_user()
        malformed = len(user) != 20 or not user.isdigit()
        if malformed and each.status // 100 in (4, 6) and each.status not in (401, 407):
            return Hit({"id": user or "?", "status": each.status}, shown([each]))
    return None


def wrong_domain(draft: Draft, scene: Scene) -> Hit | None:
    """Refused before any challenge, and the domain in From is not that of the platform."""
    for each in draft.named("REGISTER"):
        host = user_and_host(each.headers.get("From", ""))[1]
        platform = user_and_host(getattr(each.request.message, "uri", ""))[0]
        ours = platform[:10]
        if each.status not in (400, 403, 404) or _credentials(each) is not None or not ours:
            continue
        if host[:10] != ours and host.isdigit() and wrong_id(draft, scene) is None:
            return Hit({"domain": host, "expected": ours, "status": each.status}, shown([each]))
    return None


def stale_nonce(draft: Draft, _: Scene) -> Hit | None:
    """The same nonce again and again, or one that is always too old."""
    refused = [each for each, _ in _refused_proofs(draft) if _stale(each)]
    if len(refused) >= 3 and not _succeeded(draft):
        return Hit({"count": len(refused)}, shown(refused))
    used: dict[str, list[Transaction]] = {}
    for each, given in _refused_proofs(draft):
        used.setdefault(given.nonce, []).append(each)
    again = max(used.values(), key=len, default=[])
    return Hit({"count": len(again)}, shown(again)) if len(again) >= 3 and not _succeeded(draft) else None


def wrong_password(draft: Draft, scene: Scene) -> Hit | None:
    """A proof for the right realm and user, made with the challenge's nonce, is refused."""
    if _wrong_realm(draft) is not None or stale_nonce(draft, scene) is not None:
        return None
    refused = [
        each
        for each, given in _refused_proofs(draft)
        if not _stale(each) and given.username == each.from_user()
    ]
    last = draft.named("REGISTER")[-1]
    if not refused or (last.status // 100 == 2 and len(refused) < 2):
        return None
    if _succeeded(draft) and last not in refused:
        return None
    return Hit({"count": len(refused), "status": refused[-1].status}, shown(refused))


def never_proves(draft: Draft, _: Scene) -> Hit | None:
    """Challenged, it only repeats itself."""
    challenged = [each for each in draft.named("REGISTER") if each.status in (401, 407)]
    if len(challenged) < 2 or any("Authorization" in each.headers for each in draft.named("REGISTER")):
        return None
    challenge = _challenge(challenged[0])
    algorithm = "?" if challenge is None else challenge.algorithm
    return Hit({"count": len(challenged), "algorithm": algorithm}, shown(challenged))


def broken_proof(draft: Draft, _: Scene) -> Hit | None:
    """An Authorization that cannot be read (trap 6)."""
    for each in draft.named("REGISTER"):
        if "Authorization" in each.headers and _credentials(each) is None and each.status >= 400:
            return Hit({"status": each.status}, shown([each]))
    return None


def forbidden(draft: Draft, scene: Scene) -> Hit | None:
    """403 although nothing was proved yet."""
    if any(rule(draft, scene) for rule in (wrong_identity, wrong_id, wrong_domain)):
        return None
    for each in draft.named("REGISTER"):
        if each.status == 403 and "Authorization" not in each.headers:
            return Hit({}, shown([each]))
    return None


def refused(draft: Draft, scene: Scene) -> Hit | None:
    """Any other final refusal."""
    if any(rule(draft, scene) for rule in (wrong_identity, wrong_id, wrong_domain, broken_proof)):
        return None
    last = draft.named("REGISTER")[-1]
    if last.status >= 400 and last.status not in (401, 403, 407, 423):
        return Hit({"status": last.status}, shown([last]))
    return None


def too_brief(draft: Draft, _: Scene) -> Hit | None:
    """423: the wanted expiry is too short for the platform."""
    for each in draft.named("REGISTER"):
        if each.status == 423:
            final = each.final
            least = "" if final is None or final.message is None else final.message.headers.get("Min-Expires")
            return Hit({"wanted": _expires(each) or 0, "least": least or "?"}, shown([each]))
    return None


def unanswered(draft: Draft, scene: Scene) -> Hit | None:
    """Nothing comes back."""
    waiting = [each for each in draft.named("REGISTER") if not each.responses and not each.misdirected]
    if not waiting or waiting[-1] is not draft.named("REGISTER")[-1]:
        return None
    if scene.recording.ends - waiting[0].request.at < UNANSWERED_AFTER_S:
        return None
    tries = sum(1 + len(each.repeats) for each in waiting)
    return Hit({"count": tries, "address": place(draft.platform)}, shown(waiting))


def redirect_loop(draft: Draft, _: Scene) -> Hit | None:
    """Sent on from server to server without end (9.1.2.3)."""
    moved = [each for each in draft.named("REGISTER") if each.status in (301, 302)]
    if len(moved) < 2 or _succeeded(draft):
        return None
    final = moved[-1].final
    contact = "" if final is None or final.message is None else final.message.headers.get("Contact", "")
    return Hit({"count": len(moved), "target": user_and_host(contact or "")[1] or "?"}, shown(moved))


def _expires(transaction: Transaction) -> int | None:
    text = transaction.headers.get("Expires", "")
    if not text:
        text = transaction.headers.get("Contact", "").lower().partition("expires=")[2].partition(";")[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def short_expiry(draft: Draft, _: Scene) -> Hit | None:
    """Registered for less than a minute."""
    for each in draft.named("REGISTER"):
        wanted = _expires(each)
        if each.status // 100 == 2 and wanted is not None and 0 < wanted < SHORTEST_EXPIRY_S:
            return Hit({"seconds": wanted}, shown([each]))
    return None


def flapping(draft: Draft, _: Scene) -> Hit | None:
    """Registers anew every few seconds (trap 13)."""
    good = [each for each in draft.named("REGISTER") if each.status // 100 == 2 and _expires(each) != 0]
    if len(good) < 4:
        return None
    every = (good[-1].request.at - good[0].request.at) / (len(good) - 1)
    return Hit({"count": len(good), "seconds": round(every, 1)}, shown(good)) if every < 45 else None


def duplicate_id(draft: Draft, scene: Scene) -> Hit | None:
    """Two addresses take turns under one id."""
    same = [each for each in scene.of(draft.device_id, ExchangeKind.REGISTRATION) if _succeeded(each)]
    if draft not in same:
        return None
    turns = sorted(
        (one.request.at, one.request.source)
        for each in same
        for one in each.transactions
        if one.status == 200
    )
    hosts = [address for _, address in turns]
    order = [place(a) for a, b in zip(hosts, [None, *hosts[:-1]], strict=True) if a != b]
    if len(order) < 3 or len(set(order)) < 2:
        return None
    return Hit(
        {"first": order[0], "second": next(each for each in order if each != order[0])},
        shown(draft.transactions),
    )


def address_changed(draft: Draft, scene: Scene) -> Hit | None:
    """The id comes from a new address, and stays there."""
    if duplicate_id(draft, scene) is not None or not _succeeded(draft):
        return None
    before = [
        each
        for kind in (ExchangeKind.REGISTRATION, ExchangeKind.KEEPALIVE)
        for each in scene.of(draft.device_id, kind)
        if each.started_at < draft.started_at
        and each.device != draft.device
        and each.platform == draft.platform
    ]
    if not before:
        return None
    return Hit({"before": place(before[-1].device), "now": place(draft.device)}, shown(draft.transactions))


def behind_nat(draft: Draft, _: Scene) -> Hit | None:
    """Contact is a private address, and the message came from another one."""
    if not _succeeded(draft):
        return None
    each = draft.named("REGISTER")[-1]
    try:
        uri = NameAddr.parse(each.headers.get("Contact", "")).sip_uri()
        named, real = ip_address(uri.host), ip_address(each.request.source[0])
    except (SipParseError, ValueError):
        return None
    if named == real or not named.is_private:
        return None
    return Hit(
        {"contact": f"{uri.host}:{uri.port or 5060}", "real": place(each.request.source)}, shown([each])
    )


def version_mismatch(draft: Draft, _: Scene) -> Hit | None:
    """The two sides speak different editions (Annex I)."""
    for each in draft.named("REGISTER"):
        final = each.final
        theirs = "" if final is None or final.message is None else final.message.headers.get("X-GB-Ver") or ""
        ours = each.headers.get("X-GB-Ver", "")
        if ours and theirs and ours.strip() != theirs.strip():
            return Hit({"device": ours.strip()[:8], "platform": theirs.strip()[:8]}, shown([each]))
    return None


def clock_skew(draft: Draft, scene: Scene) -> Hit | None:
    """A clock that is off, seen against the clock of the capture (9.10)."""
    for each in draft.transactions:
        final = each.final
        value = "" if final is None or final.message is None else final.message.headers.get("Date") or ""
        skew = skew_of(value, each.request.at)
        if each.method == "REGISTER" and skew is not None and abs(skew) > SKEW_S:
            return Hit({"who": draft.platform[0], "seconds": round(skew)}, shown([each]))
    for page, document in draft.pages:
        skew = skew_of(document.fields.get("DeviceTime", ""), page.request.at)
        if skew is not None and abs(skew) > SKEW_S:
            return Hit({"who": draft.device_id, "seconds": round(skew)}, shown([page]))
    return None


def skew_of(text: str, at: float) -> float | None:
    """Seconds a written time is ahead of `at`; None when it is no time. Times are Beijing's (9.10.3)."""
    found = _TIME.match(text.strip())
    if found is None or at < 10**9:
        return None
    try:
        year, month, day, hour, minute, second = (int(each) for each in found.groups())
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_BEIJING)
    except ValueError:
        return None
    return (moment.astimezone(UTC) - datetime.fromtimestamp(at, UTC)).total_seconds()


def misdirected(draft: Draft, _: Scene) -> Hit | None:
    """Answers go to the address in Via, not to where the request came from (RFC 3581)."""
    for each in draft.transactions:
        if each.misdirected and not each.responses:
            answer = each.misdirected[0]
            params: dict[str, str | int | float] = {
                "asked_from": place(each.request.source),
                "answered_to": place(answer.target),
                "status": status_of(answer),
            }
            return Hit(params, seen(each.request, answer))
    return None
