"""Events of an ONVIF device by a pull point (ONVIF Core 9.1): motion, tampering, loss of signal, inputs.

Topics about persons, faces, plates or objects are not taken: nothing here says who or what was seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from commonview.network.sources.errors import SourceFailed
from commonview.network.sources.model import SourceOutcome
from commonview.network.sources.onvif import soap
from commonview.network.sources.onvif.model import OnvifEvent, SourceAlarmKind

if TYPE_CHECKING:
    from commonview.network.sources.onvif.client import OnvifClient
    from commonview.network.sources.onvif.xml import Node

_MAX_MESSAGES: Final = 100
_NAME_CHARS: Final = 128
_TOPICS: Final = {
    "VideoSource/MotionAlarm": SourceAlarmKind.MOTION,
    "RuleEngine/CellMotionDetector/Motion": SourceAlarmKind.MOTION,
    "RuleEngine/MotionRegionDetector/Motion": SourceAlarmKind.MOTION,
    "RuleEngine/TamperDetector/Tamper": SourceAlarmKind.TAMPER,
    "VideoSource/GlobalSceneChange/ImagingService": SourceAlarmKind.TAMPER,
    "VideoSource/GlobalSceneChange/AnalyticsService": SourceAlarmKind.TAMPER,
    "VideoSource/ImageTooDark/ImagingService": SourceAlarmKind.TAMPER,
    "VideoSource/SignalLoss": SourceAlarmKind.SIGNAL_LOSS,
    "Device/Trigger/DigitalInput": SourceAlarmKind.INPUT,
}
_SOURCES: Final = ("Source", "VideoSourceToken", "VideoSource", "VideoSourceConfigurationToken", "InputToken")
_STATES: Final = ("State", "IsMotion", "IsTamper", "LogicalState", "Value")


class PullPoint:
    """One subscription; `pull` keeps it alive, `close` gives it back."""

    def __init__(self, client: OnvifClient) -> None:
        self._client = client
        self._address = ""
        self.unused = 0
        """Messages about what is not taken here."""

    async def open(self) -> None:
        """Subscribe. Raises `SourceFailed`; ``unsupported`` when the device has no events."""
        services = await self._client.services()
        body = "<q:InitialTerminationTime>PT2M</q:InitialTerminationTime>"
        answer = await self._client.call(
            services.events,
            soap.EVENTS,
            "CreatePullPointSubscription",
            body,
            header=_action(f"{soap.EVENTS}/EventPortType/CreatePullPointSubscriptionRequest"),
        )
        self._address = self._client.near(answer.value("SubscriptionReference", "Address"))
        if not self._address:
            raise SourceFailed(SourceOutcome.PROTOCOL, "the device named no address for its events")

    async def pull(self, wait_s: int = 20) -> list[OnvifEvent]:
        """Wait for events, at most ``wait_s``; empty when none came. Raises `SourceFailed`."""
        body = f"<q:Timeout>PT{wait_s}S</q:Timeout><q:MessageLimit>{_MAX_MESSAGES}</q:MessageLimit>"
        answer = await self._client.call(
            self._address,
            soap.EVENTS,
            "PullMessages",
            body,
            header=_action(f"{soap.EVENTS}/PullPointSubscription/PullMessagesRequest", self._address),
            wait_s=wait_s,
        )
        messages = answer.all("NotificationMessage")[:_MAX_MESSAGES]
        found = [event_of(message) for message in messages]
        self.unused += found.count(None)
        return [event for event in found if event is not None]

    async def close(self) -> None:
        """Unsubscribe. Raises `SourceFailed`."""
        if self._address:
            address, self._address = self._address, ""
            await self._client.call(
                address,
                soap.NOTIFICATION,
                "Unsubscribe",
                header=_action(f"{soap.NOTIFICATION}w-2/SubscriptionManager/UnsubscribeRequest", address),
            )


def _action(action: str, to: str = "") -> str:
    address = f"<wsa:To>{escape(to)}</wsa:To>" if to else ""
    return f"<wsa:Action>{escape(action)}</wsa:Action>{address}"


def event_of(message: Node) -> OnvifEvent | None:
    """The event in a notification; None when it is about something that is not taken here."""
    topic = "/".join(part.rpartition(":")[2] for part in message.value("Topic").split("/"))
    kind = _TOPICS.get(topic)
    content = message.find("Message", "Message")
    if kind is None or content is None:
        return None
    source = _items(content.find("Source"))
    data = _items(content.find("Data"))
    state = next((data[name] for name in _STATES if name in data), None)
    if state is None or content.attributes.get("PropertyOperation") == "Deleted":
        return None
    return OnvifEvent(
        kind=kind,
        active=state.lower() in ("true", "1"),
        at=soap.moment(content.attributes.get("UtcTime", "")),
        video_source=next((source[name] for name in _SOURCES if name in source), "")[:_NAME_CHARS],
        topic=topic,
    )


def _items(node: Node | None) -> dict[str, str]:
    items = node.all("SimpleItem") if node is not None else []
    return {item.attributes.get("Name", ""): item.attributes.get("Value", "") for item in items}
