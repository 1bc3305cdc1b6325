# ruff: noqa: E501 - a table is read by its rows
"""The one table of diagnosis: pattern -> cause -> next check.

A cause and a check are stable words; what they say to people stands in `words/*.json`, never here. To teach
the house a new trouble: write a pattern under `rules/`, add a row, add the words, add a capture to the tests.
The first FAILURE of an exchange is what broke it; its hop is the failing hop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from commonview.explain.model import ExchangeKind as Kind
from commonview.explain.model import Hop, Severity
from commonview.explain.rules import asking, calling, keepalive, registering, streaming
from commonview.explain.verdict import Cause, Check

if TYPE_CHECKING:
    from commonview.explain.rules.hit import Pattern


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: where the `pattern` fits an exchange of these `kinds`, this is the cause and the next check."""

    kinds: frozenset[Kind]
    pattern: Pattern
    cause: Cause
    check: Check
    hop: Hop
    severity: Severity


_REG, _KEEP = frozenset({Kind.REGISTRATION}), frozenset({Kind.KEEPALIVE})
_ASK, _SUB = frozenset({Kind.QUERY, Kind.COMMAND}), frozenset({Kind.SUBSCRIPTION})
_CALL, _TEXT = frozenset({Kind.SESSION}), frozenset({Kind.QUERY, Kind.COMMAND, Kind.NOTIFICATION, Kind.OTHER})
_CARRIED, _ALL = _TEXT | _SUB, frozenset(Kind)
_FAIL, _WARN, _HINT = Severity.FAILURE, Severity.WARNING, Severity.HINT

RULES: Final = (
    # Everything below the messages comes first: it explains the rest.
    Rule(_ALL, asking.tls_failed, Cause.TLS_FAILED, Check.TLS, Hop.TRANSPORT, _FAIL),
    Rule(_ALL, registering.misdirected, Cause.ANSWER_MISDIRECTED, Check.RPORT, Hop.TRANSPORT, _FAIL),
    Rule(_CARRIED, asking.pieces, Cause.PIECES_LOST, Check.MTU, Hop.TRANSPORT, _FAIL),
    Rule(_CARRIED, asking.long_refused, Cause.LONG_MESSAGE_REFUSED, Check.MTU, Hop.TRANSPORT, _FAIL),
    Rule(_ALL, asking.looped, Cause.LOOP, Check.CASCADE_LOOP, Hop.REQUEST, _FAIL),
    # Registration
    Rule(_REG, registering.wrong_realm, Cause.WRONG_REALM, Check.DOMAIN, Hop.AUTHENTICATION, _FAIL),
    Rule(_REG, registering.wrong_username, Cause.WRONG_USERNAME, Check.IDENTITY, Hop.AUTHENTICATION, _FAIL),
    Rule(_REG, registering.stale_nonce, Cause.STALE_NONCE_LOOP, Check.DEVICE_DIGEST, Hop.AUTHENTICATION, _FAIL),
    Rule(_REG, registering.wrong_password, Cause.WRONG_PASSWORD, Check.PASSWORD, Hop.AUTHENTICATION, _FAIL),
    Rule(_REG, registering.never_proves, Cause.NEVER_PROVES, Check.DEVICE_DIGEST, Hop.AUTHENTICATION, _FAIL),
    Rule(_REG, registering.broken_proof, Cause.BROKEN_PROOF, Check.FIRMWARE, Hop.AUTHENTICATION, _FAIL),
    Rule(_REG, registering.wrong_identity, Cause.WRONG_IDENTITY, Check.IDENTITY, Hop.REGISTER, _FAIL),
    Rule(_REG, registering.wrong_id, Cause.WRONG_ID, Check.IDENTITY, Hop.REGISTER, _FAIL),
    Rule(_REG, registering.wrong_domain, Cause.WRONG_DOMAIN, Check.DOMAIN, Hop.REGISTER, _FAIL),
    Rule(_REG, registering.forbidden, Cause.REGISTER_FORBIDDEN, Check.ADMISSION, Hop.REGISTER, _FAIL),
    Rule(_REG, registering.too_brief, Cause.REGISTER_TOO_BRIEF, Check.EXPIRY, Hop.REGISTER, _FAIL),
    Rule(_REG, registering.refused, Cause.REGISTER_REFUSED, Check.ADMISSION, Hop.REGISTER, _FAIL),
    Rule(_REG, registering.redirect_loop, Cause.REDIRECT_LOOP, Check.REDIRECTION, Hop.REGISTER, _FAIL),
    Rule(_REG, registering.unanswered, Cause.REGISTER_UNANSWERED, Check.REACHABILITY, Hop.REGISTER, _FAIL),
    Rule(_REG, registering.duplicate_id, Cause.DUPLICATE_ID, Check.UNIQUE_IDS, Hop.REGISTER, _WARN),
    Rule(_REG, registering.flapping, Cause.REGISTRATION_FLAPPING, Check.DEVICE_STABILITY, Hop.REGISTER, _WARN),
    Rule(_REG, registering.short_expiry, Cause.EXPIRY_TOO_SHORT, Check.EXPIRY, Hop.REGISTER, _WARN),
    Rule(_REG, registering.address_changed, Cause.ADDRESS_CHANGED, Check.NAT_BINDING, Hop.REGISTER, _WARN),
    Rule(_REG, registering.clock_skew, Cause.CLOCK_SKEW, Check.TIME_SYNC, Hop.REGISTER, _WARN),
    Rule(_REG, registering.behind_nat, Cause.BEHIND_NAT, Check.CONTACT_ADDRESS, Hop.REGISTER, _HINT),
    Rule(_REG, registering.version_mismatch, Cause.VERSION_MISMATCH, Check.EDITION, Hop.REGISTER, _HINT),
    # Keep-alive
    Rule(_KEEP, keepalive.refused, Cause.KEEPALIVE_REFUSED, Check.NAT_BINDING, Hop.KEEPALIVE, _FAIL),
    Rule(_KEEP, keepalive.unanswered, Cause.KEEPALIVE_UNANSWERED, Check.REACHABILITY, Hop.KEEPALIVE, _FAIL),
    Rule(_KEEP, keepalive.stopped, Cause.KEEPALIVE_STOPPED, Check.DEVICE_POWER, Hop.KEEPALIVE, _FAIL),
    Rule(_KEEP, keepalive.slow, Cause.KEEPALIVE_SLOW, Check.KEEPALIVE_SETTINGS, Hop.KEEPALIVE, _WARN),
    Rule(_KEEP, keepalive.fault, Cause.KEEPALIVE_FAULT, Check.DEVICE_STATUS, Hop.KEEPALIVE, _WARN),
    # Messages of any kind
    Rule(_TEXT, asking.forbidden, Cause.REQUEST_FORBIDDEN, Check.NAT_BINDING, Hop.REQUEST, _FAIL),
    Rule(_ALL, asking.wrong_sender, Cause.WRONG_SENDER, Check.IDENTITY, Hop.REQUEST, _WARN),
    Rule(_ALL - _REG - _KEEP - _CALL, asking.unanswered, Cause.REQUEST_UNANSWERED, Check.REACHABILITY, Hop.REQUEST, _FAIL),
    Rule(_ALL, asking.wrong_length, Cause.WRONG_LENGTH, Check.CONTENT_LENGTH, Hop.CONTENT, _WARN),
    Rule(_ALL, asking.unreadable, Cause.UNREADABLE, Check.FIRMWARE, Hop.CONTENT, _FAIL),
    Rule(_TEXT, asking.refused, Cause.REQUEST_REFUSED, Check.COMMAND_SUPPORT, Hop.REQUEST, _FAIL),
    Rule(_CARRIED, asking.charset_damaged, Cause.CHARSET_DAMAGED, Check.CHARSET, Hop.CONTENT, _WARN),
    Rule(_CARRIED, asking.charset_declared_wrongly, Cause.CHARSET_DECLARED_WRONGLY, Check.CHARSET, Hop.CONTENT, _HINT),
    Rule(_CARRIED, asking.xml_mended, Cause.XML_MENDED, Check.FIRMWARE, Hop.CONTENT, _WARN),
    # Queries and commands
    Rule(_ASK, asking.no_answer, Cause.NO_ANSWER, Check.SLOW_DEVICE, Hop.ANSWER, _FAIL),
    Rule(_ASK, asking.answer_refused, Cause.ANSWER_REFUSED, Check.NAT_BINDING, Hop.ANSWER, _FAIL),
    Rule(_ASK, asking.pages_missing, Cause.PAGES_MISSING, Check.CATALOGUE_PAGING, Hop.ANSWER, _WARN),
    Rule(_ASK, asking.answered_error, Cause.ANSWERED_ERROR, Check.COMMAND_SUPPORT, Hop.ANSWER, _FAIL),
    Rule(_ASK, asking.other_cmd_type, Cause.OTHER_CMD_TYPE, Check.FIRMWARE, Hop.ANSWER, _HINT),
    Rule(_ASK, asking.other_sn, Cause.OTHER_SN, Check.FIRMWARE, Hop.ANSWER, _HINT),
    Rule(_ASK, registering.clock_skew, Cause.CLOCK_SKEW, Check.TIME_SYNC, Hop.ANSWER, _WARN),
    # Subscriptions
    Rule(_SUB, asking.subscribe_refused, Cause.SUBSCRIBE_REFUSED, Check.SUBSCRIPTION, Hop.SUBSCRIBE, _FAIL),
    Rule(_SUB, asking.notify_refused, Cause.NOTIFY_REFUSED, Check.SUBSCRIPTION, Hop.NOTIFY, _FAIL),
    Rule(_SUB, asking.not_renewed, Cause.SUBSCRIPTION_NOT_RENEWED, Check.SUBSCRIPTION, Hop.SUBSCRIBE, _WARN),
    Rule(_SUB, asking.no_notify, Cause.NO_NOTIFY, Check.SUBSCRIPTION, Hop.NOTIFY, _WARN),
    # Calls
    Rule(_CALL, calling.unanswered, Cause.INVITE_UNANSWERED, Check.REACHABILITY, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.stuck, Cause.INVITE_STUCK, Check.CHANNEL_STATE, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.cancelled, Cause.INVITE_CANCELLED, Check.SLOW_DEVICE, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.refused_with(400), Cause.INVITE_400, Check.OFFER_FORMAT, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.refused_with(403), Cause.INVITE_403, Check.ADMISSION, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.refused_with(404), Cause.INVITE_404, Check.CHANNEL_ID, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.refused_with(408), Cause.INVITE_408, Check.CHANNEL_STATE, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.refused_with(415), Cause.INVITE_415, Check.OFFER_FORMAT, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.refused_with(480), Cause.INVITE_480, Check.CHANNEL_STATE, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.refused_with(481), Cause.INVITE_481, Check.STALE_CALL, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.refused_with(486), Cause.INVITE_486, Check.STREAM_LIMIT, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.refused_with(487), Cause.INVITE_487, Check.CHANNEL_ID, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.refused_with(488), Cause.INVITE_488, Check.MEDIA_TRANSPORT, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.refused_with(500), Cause.INVITE_500, Check.CHANNEL_STATE, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.refused_with(503), Cause.INVITE_503, Check.SERVER_LOAD, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.refused, Cause.INVITE_REFUSED, Check.CHANNEL_STATE, Hop.INVITE, _FAIL),
    Rule(_CALL, calling.sdp_missing, Cause.SDP_MISSING, Check.ANSWER_FORMAT, Hop.SDP, _FAIL),
    Rule(_CALL, calling.sdp_unreadable, Cause.SDP_UNREADABLE, Check.ANSWER_FORMAT, Hop.SDP, _FAIL),
    Rule(_CALL, calling.media_refused, Cause.MEDIA_REFUSED, Check.MEDIA_TRANSPORT, Hop.SDP, _FAIL),
    Rule(_CALL, calling.same_setup, Cause.SETUP_CONFLICT, Check.MEDIA_TRANSPORT, Hop.SDP, _FAIL),
    Rule(_CALL, calling.other_transport, Cause.TRANSPORT_CHANGED, Check.MEDIA_TRANSPORT, Hop.SDP, _FAIL),
    Rule(_CALL, calling.ack_missing, Cause.ACK_MISSING, Check.ACK_PATH, Hop.ACK, _FAIL),
    Rule(_CALL, calling.ended_at_once, Cause.ENDED_AT_ONCE, Check.CHANNEL_STATE, Hop.BYE, _FAIL),
    # Media
    Rule(_CALL, streaming.connect_refused, Cause.MEDIA_CONNECT_REFUSED, Check.MEDIA_FIREWALL, Hop.MEDIA_CONNECTION, _FAIL),
    Rule(_CALL, streaming.connect_unanswered, Cause.MEDIA_CONNECT_UNANSWERED, Check.MEDIA_FIREWALL, Hop.MEDIA_CONNECTION, _FAIL),
    Rule(_CALL, streaming.nobody_dials, Cause.MEDIA_NOBODY_DIALS, Check.MEDIA_TRANSPORT, Hop.MEDIA_CONNECTION, _FAIL),
    Rule(_CALL, streaming.sent_elsewhere, Cause.MEDIA_SENT_ELSEWHERE, Check.MEDIA_ADDRESS, Hop.FIRST_PACKET, _FAIL),
    Rule(_CALL, streaming.connected_and_silent, Cause.MEDIA_CONNECTED_SILENT, Check.CHANNEL_STATE, Hop.FIRST_PACKET, _FAIL),
    Rule(_CALL, streaming.never_came, Cause.MEDIA_NEVER_CAME, Check.MEDIA_FIREWALL, Hop.FIRST_PACKET, _FAIL),
    Rule(_CALL, streaming.transport_stream, Cause.TRANSPORT_STREAM, Check.PAYLOAD, Hop.MEDIA, _FAIL),
    Rule(_CALL, streaming.stopped, Cause.MEDIA_STOPPED, Check.MEDIA_SOURCE, Hop.MEDIA, _FAIL),
    Rule(_CALL, streaming.one_way, Cause.ONE_WAY, Check.MEDIA_FIREWALL, Hop.MEDIA, _FAIL),
    Rule(_CALL, calling.address_private, Cause.ADDRESS_PRIVATE, Check.MEDIA_ADDRESS, Hop.SDP, _WARN),
    Rule(_CALL, streaming.from_elsewhere, Cause.MEDIA_FROM_ELSEWHERE, Check.MEDIA_SOURCE, Hop.MEDIA, _WARN),
    Rule(_CALL, streaming.other_ssrc, Cause.SSRC_MISMATCH, Check.SSRC_POLICY, Hop.MEDIA, _WARN),
    Rule(_CALL, streaming.mixed_ssrc, Cause.STREAMS_MIXED, Check.SSRC_POLICY, Hop.MEDIA, _WARN),
    Rule(_CALL, streaming.elementary_stream, Cause.ELEMENTARY_STREAM, Check.PAYLOAD, Hop.MEDIA, _WARN),
    Rule(_CALL, streaming.other_payload_type, Cause.PAYLOAD_TYPE, Check.PAYLOAD, Hop.MEDIA, _WARN),
    Rule(_CALL, streaming.interleaved, Cause.INTERLEAVED_FRAMING, Check.PAYLOAD, Hop.MEDIA, _WARN),
    Rule(_CALL, streaming.gaps, Cause.MEDIA_GAPS, Check.NETWORK_QUALITY, Hop.MEDIA, _WARN),
    Rule(_CALL, streaming.lossy, Cause.MEDIA_LOSS, Check.NETWORK_QUALITY, Hop.MEDIA, _WARN),
    # How it ended
    Rule(_CALL, calling.bye_missing, Cause.BYE_MISSING, Check.STALE_CALL, Hop.BYE, _WARN),
    Rule(_CALL, calling.bye_unanswered, Cause.BYE_UNANSWERED, Check.REACHABILITY, Hop.BYE, _WARN),
    Rule(_CALL, calling.bye_refused, Cause.BYE_REFUSED, Check.STALE_CALL, Hop.BYE, _WARN),
    Rule(_CALL, streaming.after_bye, Cause.MEDIA_AFTER_BYE, Check.STALE_CALL, Hop.BYE, _WARN),
    Rule(_CALL, calling.control_refused, Cause.CONTROL_REFUSED, Check.COMMAND_SUPPORT, Hop.REQUEST, _WARN),
    Rule(_CALL, calling.ssrc_missing, Cause.SSRC_MISSING, Check.SSRC_POLICY, Hop.SDP, _HINT),
)  # fmt: skip
"""In the order in which they are asked. An exchange may break several rules; each row speaks once."""
