"""Fuzz target: any bytes as an ONVIF answer, event or probe match are read or refused, within the bounds."""

from commonview.network.sources.onvif.client import _profile, _profile2
from commonview.network.sources.onvif.discovery import read_match
from commonview.network.sources.onvif.events import event_of
from commonview.network.sources.onvif.soap import Fault, envelope, open_envelope, read_time
from commonview.network.sources.onvif.xml import MAX_ELEMENTS, XmlRefused
from tests.network.test_onvif import MATCH

_PROFILES = (
    '<r:GetProfilesResponse xmlns:r="urn:r"><r:Profiles token="a"><r:Name>main</r:Name><r:Configurations>'
    "<r:VideoSource><tt:SourceToken>1</tt:SourceToken></r:VideoSource><r:VideoEncoder>"
    "<tt:Encoding>H265</tt:Encoding>"
    "<tt:Resolution><tt:Width>1920</tt:Width><tt:Height>1080</tt:Height></tt:Resolution></r:VideoEncoder>"
    "</r:Configurations></r:Profiles></r:GetProfilesResponse>"
)
_EVENT = (
    '<r:PullMessagesResponse xmlns:r="urn:r"><r:NotificationMessage>'
    "<r:Topic>tns1:VideoSource/MotionAlarm</r:Topic>"
    '<r:Message><tt:Message UtcTime="2026-01-01T00:00:00Z"><tt:Data>'
    '<tt:SimpleItem Name="State" Value="true"/>'
    "</tt:Data></tt:Message></r:Message></r:NotificationMessage></r:PullMessagesResponse>"
)
SEEDS = [MATCH, envelope(_PROFILES), envelope(_EVENT)]


def one_input(data: bytes) -> None:
    read_match(data, "10.0.0.9", "uuid:1")
    try:
        answer = open_envelope(data)
    except (XmlRefused, Fault):
        return
    assert sum(1 for _ in answer.walk()) <= MAX_ELEMENTS
    read_time(answer)
    for child in answer.children:
        for profile in (_profile(child), _profile2(child)):
            assert profile is None or 0 < len(profile.token) <= 128
        event_of(child)
