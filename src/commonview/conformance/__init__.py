"""The conformance tester: our checks of GB/T 28181 pointed at any foreign device or platform."""

from commonview.conformance.bench import DeviceOptions
from commonview.conformance.checks_device import DEVICE_CHECKS
from commonview.conformance.device_suite import examine_device
from commonview.conformance.errors import ConformanceError
from commonview.conformance.model import Check, Finding, Level, Note, Peer, Report, Role, Text, Verdict
from commonview.conformance.station import Station, StationSettings

__all__ = [
    "DEVICE_CHECKS",
    "Check",
    "ConformanceError",
    "DeviceOptions",
    "Finding",
    "Level",
    "Note",
    "Peer",
    "Report",
    "Role",
    "Station",
    "StationSettings",
    "Text",
    "Verdict",
    "examine_device",
]
