"""SIP without sockets: messages, fields, digest, transactions and dialogs (RFC 3261).

Read a message with `parse_datagram` or a `StreamFramer`, its fields with `SipUri`, `NameAddr`, `Via` and
`CSeq`; drive whole exchanges with a `SipCore`, which takes bytes and time and gives bytes and events back.
"""

from commonview.wire.sip.core import SipCore
from commonview.wire.sip.counters import SipCounters
from commonview.wire.sip.dialog import Dialog
from commonview.wire.sip.digest import Challenge, Credentials
from commonview.wire.sip.errors import SipOverload, SipParseError
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest, SipResponse, parse_datagram
from commonview.wire.sip.nonces import NonceBook, NonceVerdict
from commonview.wire.sip.stream import StreamFramer
from commonview.wire.sip.uri import CSeq, NameAddr, SipUri, Via

__all__ = [
    "CSeq",
    "Challenge",
    "Credentials",
    "Dialog",
    "Flow",
    "Headers",
    "NameAddr",
    "NonceBook",
    "NonceVerdict",
    "SipCore",
    "SipCounters",
    "SipOverload",
    "SipParseError",
    "SipRequest",
    "SipResponse",
    "SipUri",
    "StreamFramer",
    "Via",
    "parse_datagram",
]
