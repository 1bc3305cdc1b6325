"""Shapes of the sources: cameras and recorders that are asked by RTSP or ONVIF."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, SecretStr

from commonview.api.schemas import Answer, Request
from commonview.network.sources import SourceKind, SourceOutcome, SourceTransport

Text = Annotated[str, Field(max_length=128)]
Url = Annotated[str, Field(min_length=1, max_length=2048)]
Fingerprint = Annotated[str, Field(max_length=128)]
Password = Annotated[SecretStr, Field(max_length=128)]


class StreamProfileOut(Answer):
    """One stream of a channel; 0 is the main stream."""

    number: int
    url: str
    name: str
    codec: str
    width: int
    height: int


class SourceChannelOut(Answer):
    """One picture of a source; `gb_id` is the id it has here."""

    gb_id: str
    name: str
    has_ptz: bool
    profiles: list[StreamProfileOut]


class SourceCheckOut(Answer):
    """What came of asking the source the last time."""

    outcome: SourceOutcome
    at: datetime
    detail: str


class SourceOut(Answer):
    """A source. `id` is the id of its device; the password is never shown."""

    id: str
    kind: SourceKind
    name: str
    url: str
    username: str
    has_password: bool
    transport: SourceTransport
    enabled: bool
    certificate_sha256: str
    channels: list[SourceChannelOut]
    created_at: datetime
    check: SourceCheckOut | None


class ChannelPlanIn(Request):
    """A picture of an RTSP source: its name and the URLs of its streams, the main one first."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    urls: Annotated[list[Url], Field(min_length=1, max_length=3)]


class SourceAsk(Request):
    """Whom to ask: RTSP by `channels`, ONVIF by `url` (http://HOST[:PORT]/onvif/device_service).

    `certificate_sha256` is of the one certificate that a server of `rtsps://` may show.
    """

    kind: SourceKind
    url: Annotated[str, Field(max_length=2048)] = ""
    channels: Annotated[list[ChannelPlanIn], Field(default_factory=list, max_length=64)]
    username: Text = ""
    password: Password = SecretStr("")
    certificate_sha256: Fingerprint = ""


class SourceAdd(SourceAsk):
    """A source to add."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    transport: SourceTransport = SourceTransport.TCP


class SourceUpdate(Request):
    """What to change of a source; what is absent stays, an empty password forgets the one that is kept."""

    name: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    channels: Annotated[list[ChannelPlanIn], Field(min_length=1, max_length=64)] | None = None
    username: Text | None = None
    password: Password | None = None
    transport: SourceTransport | None = None
    enabled: bool | None = None
    certificate_sha256: Fingerprint | None = None


class DiscoverRequest(Request):
    """Where to look: one of the server's own IPv4 addresses (multicast there), or one device."""

    interface: Annotated[str, Field(max_length=64)] = ""
    address: Annotated[str, Field(max_length=64)] = ""


class DiscoveredOut(Answer):
    """A device that answered; `url` can be given to a new ONVIF source."""

    address: str
    url: str
    name: str
    hardware: str
    endpoint: str


class SourceTestOut(Answer):
    """What asking a source said; nothing is kept of it.

    `certificate_sha256` is of a certificate that was shown and that nobody vouches for.
    """

    outcome: SourceOutcome
    detail: str
    manufacturer: str
    model: str
    firmware: str
    certificate_sha256: str
    channels: list[SourceChannelOut]
