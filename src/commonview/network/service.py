"""The verbs of the network room. Everything runs on one asyncio loop; database work happens off it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from commonview.media import MediaTransport
    from commonview.network.model import (
        Channel,
        Device,
        LiveSession,
        Refusal,
        TreeDevice,
    )


class NetworkService(Protocol):
    """Cameras join, are listed and are watched.

    Verbs that only look are plain functions on in-memory state and never wait. Verbs that change something
    are coroutines and return once the change is durable.
    """

    async def start(self) -> None:
        """Restore registrations, open the SIP listeners and begin to watch liveness.

        Raises:
            StartupError: an address or port cannot be bound.
        """

    async def close(self) -> None:
        """Send BYE for every session, write what is only in memory, close the listeners."""

    def devices(self) -> tuple[Device, ...]:
        """Every known device, by id."""

    def device(self, device_id: str) -> Device:
        """One device. Raises `DeviceUnknown`."""

    def channel(self, channel_id: str) -> Channel:
        """One channel by its house-wide key. Raises `ChannelUnknown`."""

    def tree(self) -> tuple[TreeDevice, ...]:
        """Every device with its channels, for the console."""

    def refusals(self) -> tuple[Refusal, ...]:
        """Registrations and keep-alives turned away lately, newest first; bounded, not durable."""

    async def update_device(
        self,
        device_id: str,
        *,
        name: str | None = None,
        media_transport: MediaTransport | None = None,
        password: str | None = None,
        clear: frozenset[str] = frozenset(),
    ) -> Device:
        """Change what the operator decides; ``None`` leaves a field as it is.

        ``clear`` names fields to reset: ``"name"`` to what the device says, ``"media_transport"`` to the
        default, ``"password"`` to the enrolment password.
        Raises `DeviceUnknown`, `DeviceInvalid`, `StorageUnavailable`.
        """

    async def refresh_catalogue(self, device_id: str) -> Device:
        """Ask the device for its catalogue again and return at once; progress shows in ``device.catalogue``.

        Raises `DeviceUnknown`, `DeviceOffline`.
        """

    async def start_live(self, channel_id: str, *, access_id: str) -> LiveSession:
        """The one session of the channel, started if there is none; returns before the camera answers.

        ``access_id`` is expected to join within a minute; until then the session is not idle. A device that
        is offline gives a session that has already failed with ``device_offline``, so that the console has
        one place to look. Raises `ChannelUnknown`.
        """

    async def leave(self, access_id: str) -> None:
        """The viewer of this access is no longer wanted: cut it. Unknown ids are no error."""

    def sessions(self) -> tuple[LiveSession, ...]:
        """Running sessions and the most recent ended ones, newest first."""

    def session(self, session_id: str) -> LiveSession:
        """One session with its timeline. Raises `SessionUnknown`."""

    async def report_picture(self, access_id: str, elapsed_ms: int) -> None:
        """The viewer says that its first picture appeared, so long after its click."""

    def counters(self) -> dict[str, int]:
        """Everything this room counts, by stable dotted names."""
