"""What devices report by themselves: alarms, positions, and our subscriptions (GB/T 28181-2022 9.4, 9.11)."""

from commonview.network.events.desk import EventDesk, EventSettings
from commonview.network.events.errors import AlarmAcknowledged, AlarmUnknown, LinkageInvalid, LinkageUnknown
from commonview.network.events.linkages import Actions
from commonview.network.events.model import (
    AlarmCode,
    AlarmState,
    DeviceAlarm,
    DevicePosition,
    DeviceSubscription,
    Linkage,
    LinkageAction,
    LinkageDraft,
    SubscriptionKind,
    SubscriptionStatus,
)

__all__ = [
    "Actions",
    "AlarmAcknowledged",
    "AlarmCode",
    "AlarmState",
    "AlarmUnknown",
    "DeviceAlarm",
    "DevicePosition",
    "DeviceSubscription",
    "EventDesk",
    "EventSettings",
    "Linkage",
    "LinkageAction",
    "LinkageDraft",
    "LinkageInvalid",
    "LinkageUnknown",
    "SubscriptionKind",
    "SubscriptionStatus",
]
