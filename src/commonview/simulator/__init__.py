"""Simulated GB/T 28181 cameras over real sockets, for tests, demonstrations and benchmarks."""

from commonview.simulator.camera import CameraState, SimulatedCamera
from commonview.simulator.controls import ControlFault, Controls
from commonview.simulator.errors import SimulatorError, SimulatorExtraMissing, SourceError
from commonview.simulator.faults import (
    CATALOGUE,
    Fault,
    FaultEntry,
    Party,
    UnknownFault,
    commit,
    parse_faults,
)
from commonview.simulator.fleet import FleetSettings, SimulatedFleet
from commonview.simulator.platform import PlatformSettings, PlatformTree, simulated_platform
from commonview.simulator.recorder import Recorder, Segment, StillPainter, moments_in, recorded
from commonview.simulator.settings import CameraCounters, CameraSettings, Channel, Faults, Server
from commonview.simulator.superior import SimulatedSuperior, SuperiorReport, SuperiorSettings
from commonview.simulator.voice import Voice

__all__ = [
    "CATALOGUE",
    "CameraCounters",
    "CameraSettings",
    "CameraState",
    "Channel",
    "ControlFault",
    "Controls",
    "Fault",
    "FaultEntry",
    "Faults",
    "FleetSettings",
    "Party",
    "PlatformSettings",
    "PlatformTree",
    "Recorder",
    "Segment",
    "Server",
    "SimulatedCamera",
    "SimulatedFleet",
    "SimulatedSuperior",
    "SimulatorError",
    "SimulatorExtraMissing",
    "SourceError",
    "StillPainter",
    "SuperiorReport",
    "SuperiorSettings",
    "UnknownFault",
    "Voice",
    "commit",
    "moments_in",
    "parse_faults",
    "recorded",
    "simulated_platform",
]
