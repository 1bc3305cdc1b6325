"""The conformance tester: our checks of GB/T 28181 pointed at any foreign device or platform."""

from commonview.conformance.bench import DeviceOptions
from commonview.conformance.checks_device import DEVICE_CHECKS
from commonview.conformance.checks_platform import PLATFORM_CHECKS
from commonview.conformance.device_suite import examine_device
from commonview.conformance.errors import ConformanceError
from commonview.conformance.model import (
    REPORT_VERSION,
    Check,
    Finding,
    Level,
    Note,
    Peer,
    Report,
    Role,
    Text,
    Verdict,
)
from commonview.conformance.platform_suite import PlatformOptions, examine_platform
from commonview.conformance.report_html import page
from commonview.conformance.report_json import document
from commonview.conformance.station import Station, StationSettings
from commonview.conformance.visitor import VisitorSettings

__all__ = [
    "DEVICE_CHECKS",
    "PLATFORM_CHECKS",
    "REPORT_VERSION",
    "Check",
    "ConformanceError",
    "DeviceOptions",
    "Finding",
    "Level",
    "Note",
    "Peer",
    "PlatformOptions",
    "Report",
    "Role",
    "Station",
    "StationSettings",
    "Text",
    "Verdict",
    "VisitorSettings",
    "document",
    "examine_device",
    "examine_platform",
    "page",
]
