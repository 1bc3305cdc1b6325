"""The words of the quirks room: what a peer can do otherwise than the standard says, named and typed.

Quirks are data, per peer: an entry of the table or an operator sets a flag for those it matches, nothing is
switched for everybody. The defaults of `Profile` are the standard's own way.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from commonview.media import SsrcPolicy
from commonview.wire.charset import GB2312, GB18030, UTF_8
from commonview.wire.version import GbVersion

if TYPE_CHECKING:
    from collections.abc import Mapping


class Flag(StrEnum):
    """Every way in which a peer may be peculiar; each is a field of `Profile` of the same name."""

    CHARSET = "charset_policy"
    SUB_STREAM = "sub_stream"
    SSRC = "ssrc"
    MEDIA_ADDRESS = "media_address"
    TCP_PASSIVE_REFUSED = "tcp_passive_refused"
    SUBJECT_USES_CAMERA_ID = "subject_uses_camera_id"
    SCALE_FORMAT = "scale_format"
    RECORD_TYPE_ALL = "record_type_all"
    IGNORE_NOTIFY_STATUS = "ignore_notify_status"
    ALARM_EVENT = "alarm_event"
    GUARD_FIRST = "guard_first"
    CONFIG_TARGET = "config_target"
    CONFIG_UNANSWERED = "config_unanswered"
    I_FRAME_SPELLING = "i_frame_spelling"
    TALK = "talk"
    NO_REREGISTRATION = "no_reregistration"
    DIGEST_ALGORITHM = "digest_algorithm"
    DIGEST_QOP = "digest_qop"
    NOTE = "note"


class Charset(StrEnum):
    """In what a peer is written to."""

    DECLARED = "declared"  # what its version wants (6.10): GB18030 from 2022 on, GB2312 before
    GB2312 = "GB2312"
    GB18030 = "GB18030"
    UTF_8 = "UTF-8"


class SubStreamDialect(StrEnum):
    """How an SDP asks for the sub stream."""

    STREAMNUMBER = "streamnumber"  # a=streamnumber:1 (2022, Annex G)
    STREAM = "stream"  # a=stream:1
    STREAMPROFILE = "streamprofile"  # a=streamprofile:1
    STREAM_MODE = "streamMode"  # a=streamMode:SUB


class MediaAddress(StrEnum):
    """Where a peer's media address is read."""

    SDP = "sdp"
    SIGNALLING = (
        "signalling"  # its SDP names an address that cannot be reached; it sends from where it signals
    )


class ScaleFormat(StrEnum):
    """How Scale is written in MANSRTSP."""

    DECIMAL = "decimal"  # 4.0
    SHORT = "short"  # 4
    SIX_PLACES = "six_places"  # 4.000000


class ConfigTarget(StrEnum):
    """Whose DeviceID a configuration must carry."""

    CHANNEL = "channel"
    DEVICE = "device"


class TalkDialect(StrEnum):
    """How a conversation with a device begins."""

    BROADCAST = "broadcast"  # Notify/Broadcast, then the device calls us (9.12)
    INVITE = "invite"  # our INVITE with s=Talk (2016)


class DigestAlgorithm(StrEnum):
    """The one digest algorithm a peer is challenged with."""

    AS_SET = "as_set"  # what sip_digest_algorithms says
    MD5 = "MD5"
    SHA_256 = "SHA-256"
    SM3 = "SM3"


class DigestQop(StrEnum):
    """Whether a peer is offered qop=auth."""

    AS_SET = "as_set"  # what sip_digest_qop says
    NONE = "none"
    AUTH = "auth"


class NoteWish(StrEnum):
    """Whether a peer's requests carry a keyed digest (2022 8.3), and what a wrong or missing one means."""

    AS_SET = "as_set"  # what sip_note_policies says
    OFF = "off"
    ACCEPT = "accept"  # a wrong one is refused, none at all is taken
    REQUIRE = "require"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How to speak with one peer. Immutable and shared by all peers that are alike."""

    version: GbVersion = GbVersion.V2016
    charset_policy: Charset = Charset.DECLARED
    sub_stream: SubStreamDialect = SubStreamDialect.STREAMNUMBER
    ssrc: SsrcPolicy = SsrcPolicy.LEARN
    media_address: MediaAddress = MediaAddress.SDP
    tcp_passive_refused: bool = False
    subject_uses_camera_id: bool = True
    scale_format: ScaleFormat = ScaleFormat.DECIMAL
    record_type_all: bool = False
    ignore_notify_status: bool = False
    alarm_event: str = "Alarm"
    guard_first: bool = False
    config_target: ConfigTarget = ConfigTarget.CHANNEL
    config_unanswered: bool = False
    i_frame_spelling: str = ""  # as the edition spells it
    talk: TalkDialect = TalkDialect.BROADCAST
    no_reregistration: bool = False
    digest_algorithm: DigestAlgorithm = DigestAlgorithm.AS_SET
    digest_qop: DigestQop = DigestQop.AS_SET
    note: NoteWish = NoteWish.AS_SET
    entries: tuple[str, ...] = ()

    @property
    def charset(self) -> str:
        """The charset to write in. 2022 says GB18030, 2016 GB2312 (6.10)."""
        if self.charset_policy is Charset.DECLARED:
            return self.version.charset
        return {Charset.GB2312: GB2312, Charset.GB18030: GB18030, Charset.UTF_8: UTF_8}[self.charset_policy]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which peers an entry speaks of; every given part must be contained in the peer's, letter case aside.

    ``vendor`` is sought in manufacturer, model and User-Agent, because devices tell their maker in any of
    them. ``version`` is an exact effective version.
    """

    vendor: tuple[str, ...] = ()
    model: str = ""
    firmware: str = ""
    user_agent: str = ""
    version: GbVersion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the table: whom it matches, what it sets, and who saw it."""

    name: str
    match: Match
    sets: Mapping[Flag, object]
    trap: int | None
    source: str
