"""Simulated GB/T 28181 cameras over real sockets, for tests, demonstrations and benchmarks."""

from commonview.simulator.camera import CameraState, SimulatedCamera
from commonview.simulator.controls import ControlFault, Controls
from commonview.simulator.errors import SimulatorError, SimulatorExtraMissing, SourceError
from commonview.simulator.faults import CATALOGUE, Fault, FaultEntry, UnknownFault, commit, parse_faults
from commonview.simulator.fleet import FleetSettings, SimulatedFleet
from commonview.simulator.recorder import Recorder, Segment, StillPainter, moments_in, recorded
from commonview.simulator.settings import CameraCounters, CameraSettings, Channel, Faults, Server
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
    "Recorder",
    "Segment",
    "Server",
    "SimulatedCamera",
    "SimulatedFleet",
    "SimulatorError",
    "SimulatorExtraMissing",
    "SourceError",
    "StillPainter",
    "UnknownFault",
    "Voice",
    "commit",
    "moments_in",
    "parse_faults",
    "recorded",
]
