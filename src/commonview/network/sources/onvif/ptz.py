"""Steering an ONVIF camera (ONVIF PTZ service 5.3 to 5.5): the verbs that control calls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from commonview.network.sources.errors import SourceFailed
from commonview.network.sources.model import SourceOutcome
from commonview.network.sources.onvif import soap
from commonview.network.sources.onvif.model import Preset

if TYPE_CHECKING:
    from commonview.network.sources.onvif.client import OnvifClient
    from commonview.network.sources.onvif.xml import Node

_MAX_PRESETS = 512
_NAME_CHARS = 64


class OnvifPtz:
    """Steers one channel. Speeds and positions are in the generic spaces, -1 to 1 (zoom positions 0 to 1).

    Every verb raises `SourceFailed`; returning means that the device accepted, not that it moved.
    """

    def __init__(self, client: OnvifClient, profile: str) -> None:
        self._client = client
        self._profile = profile

    async def move(self, pan: float, tilt: float, zoom: float, *, timeout_s: float = 5.0) -> None:
        """Move on at these speeds; the device stops by itself after ``timeout_s``, whatever becomes of us."""
        velocity = _vector(pan, tilt, zoom, low=-1.0)
        timeout = f"<q:Timeout>PT{max(1, math.ceil(timeout_s))}S</q:Timeout>"
        await self._call("ContinuousMove", f"<q:Velocity>{velocity}</q:Velocity>{timeout}")

    async def stop(self, *, pan_tilt: bool = True, zoom: bool = True) -> None:
        """Stop moving."""
        flags = f"<q:PanTilt>{_word(pan_tilt)}</q:PanTilt><q:Zoom>{_word(zoom)}</q:Zoom>"
        await self._call("Stop", flags)

    async def go_to(self, pan: float, tilt: float, zoom: float) -> None:
        """Go to an absolute position."""
        await self._call("AbsoluteMove", f"<q:Position>{_vector(pan, tilt, zoom, low=0.0)}</q:Position>")

    async def position(self) -> tuple[float, float, float] | None:
        """Pan, tilt and zoom as the device says them; None when it does not."""
        answer = await self._call("GetStatus")
        pan_tilt = answer.find("PTZStatus", "Position", "PanTilt")
        zoom = answer.find("PTZStatus", "Position", "Zoom")
        try:
            if pan_tilt is None:
                return None
            found = (
                float(pan_tilt.attributes["x"]),
                float(pan_tilt.attributes["y"]),
                float(zoom.attributes["x"]) if zoom is not None else 0.0,
            )
        except (KeyError, ValueError):
            return None
        return found if all(map(math.isfinite, found)) else None

    async def home(self) -> None:
        """Go to the home position."""
        await self._call("GotoHomePosition")

    async def presets(self) -> tuple[Preset, ...]:
        """The presets there are."""
        answer = await self._call("GetPresets")
        found = [
            Preset(one.attributes.get("token", "")[:_NAME_CHARS], one.value("Name")[:_NAME_CHARS])
            for one in answer.all("Preset")[:_MAX_PRESETS]
        ]
        return tuple(preset for preset in found if preset.token)

    async def go_to_preset(self, token: str) -> None:
        """Go to a preset."""
        await self._call("GotoPreset", f"<q:PresetToken>{escape(token)}</q:PresetToken>")

    async def set_preset(self, name: str, token: str = "") -> str:
        """Keep where the camera looks now, as a new preset or in place of ``token``; returns the token."""
        place = f"<q:PresetToken>{escape(token)}</q:PresetToken>" if token else ""
        answer = await self._call("SetPreset", f"<q:PresetName>{escape(name)}</q:PresetName>{place}")
        made = answer.value("PresetToken")[:_NAME_CHARS]
        if not made:
            raise SourceFailed(SourceOutcome.PROTOCOL, "the device did not name the preset it made")
        return made

    async def remove_preset(self, token: str) -> None:
        """Remove a preset."""
        await self._call("RemovePreset", f"<q:PresetToken>{escape(token)}</q:PresetToken>")

    async def _call(self, operation: str, body: str = "") -> Node:
        services = await self._client.services()
        profile = f"<q:ProfileToken>{escape(self._profile)}</q:ProfileToken>"
        return await self._client.call(services.ptz, soap.PTZ, operation, profile + body)


def _vector(pan: float, tilt: float, zoom: float, *, low: float) -> str:
    """The elements of a vector; a part that is not a number is still."""
    x, y = (_bounded(value, -1.0) for value in (pan, tilt))
    z = _bounded(zoom, low)
    return f"<tt:PanTilt x={_attribute(x)} y={_attribute(y)}/><tt:Zoom x={_attribute(z)}/>"


def _bounded(value: float, low: float) -> float:
    return min(max(value, low), 1.0) if math.isfinite(value) else 0.0


def _attribute(value: float) -> str:
    return quoteattr(f"{value:.4f}")


def _word(value: bool) -> str:
    return "true" if value else "false"
