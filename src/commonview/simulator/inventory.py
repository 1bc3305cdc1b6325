"""What a simulated device offers: its channels by id, in order, and which of them work."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from commonview.simulator.settings import CameraSettings, Channel
from commonview.wire.gbid import classify
from commonview.wire.manscdp import CatalogItem


class Inventory(Protocol):
    """The channels behind one registration."""

    def find(self, channel_id: str) -> Channel | None:
        """The channel of that id."""
        ...

    def first(self) -> Channel | None:
        """The channel that the device's own id means."""
        ...

    def knows(self, gb_id: str) -> bool:
        """Whether a query may ask about this id."""
        ...

    def count(self, gb_id: str) -> int:
        """How many items a catalogue query about this id brings."""
        ...

    def items(self, gb_id: str) -> Iterator[CatalogItem]:
        """These items, in order (Annex J: the id itself and what is below it)."""
        ...

    def channels(self) -> Iterator[Channel]:
        """Every channel."""
        ...


class ChannelList:
    """The channels of one device. They may come, go, and stop working while it runs."""

    def __init__(self, camera: CameraSettings) -> None:
        self._camera = camera
        self._channels = {channel.channel_id: channel for channel in camera.channels}
        self._off: set[str] = set()

    def find(self, channel_id: str) -> Channel | None:
        """See `Inventory`."""
        return self._channels.get(channel_id)

    def first(self) -> Channel | None:
        """See `Inventory`."""
        return next(iter(self._channels.values()), None)

    def knows(self, gb_id: str) -> bool:
        """See `Inventory`."""
        return gb_id == self._camera.device_id or gb_id in self._channels

    def channels(self) -> Iterator[Channel]:
        """See `Inventory`."""
        return iter(self._channels.values())

    def count(self, gb_id: str) -> int:
        """See `Inventory`."""
        if gb_id == self._camera.device_id:
            return len(self._channels) + len(self._camera.speakers)
        return int(gb_id in self._channels)

    def items(self, gb_id: str) -> Iterator[CatalogItem]:
        """See `Inventory`."""
        for channel in self._channels.values():
            if gb_id in {self._camera.device_id, channel.channel_id}:
                yield self.item(channel)
        if gb_id == self._camera.device_id:
            yield from (speaker_item(speaker_id, self._camera) for speaker_id in self._camera.speakers)

    def item(self, channel: Channel, event: str = "") -> CatalogItem:
        """The catalogue line of one channel."""
        made = catalogue_item(channel, self._camera)
        return replace(made, status="OFF" if channel.channel_id in self._off else "ON", event=event)

    def switch(self, channel_id: str, *, on: bool) -> CatalogItem:
        """A channel stops working, or works again. Raises `KeyError` for one that is not there."""
        channel = self._channels[channel_id]
        (self._off.discard if on else self._off.add)(channel_id)
        return self.item(channel, "ON" if on else "OFF")

    def add(self, channel: Channel) -> CatalogItem:
        """One more channel."""
        self._channels[channel.channel_id] = channel
        return self.item(channel, "ADD")

    def remove(self, channel_id: str) -> CatalogItem:
        """One channel less. Raises `KeyError` for one that is not there."""
        channel = self._channels.pop(channel_id)
        self._off.discard(channel_id)
        return self.item(channel, "DEL")


def catalogue_item(channel: Channel, camera: CameraSettings) -> CatalogItem:
    """The line of a channel that hangs below its device."""
    return _below_device(channel.channel_id, channel.name, camera)


def speaker_item(speaker_id: str, camera: CameraSettings) -> CatalogItem:
    """The line of a loudspeaker: a child of type 137 of the main device (9.12)."""
    return _below_device(speaker_id, "loudspeaker", camera)


def _below_device(gb_id: str, name: str, camera: CameraSettings) -> CatalogItem:
    return CatalogItem(
        device_id=gb_id,
        name=name,
        manufacturer=camera.manufacturer,
        model=camera.model,
        civil_code=classify(gb_id).civil_code or camera.server.domain[:6],
        address="Simulated",
        parental=False,
        parent_ids=(camera.device_id,),
        register_way=1,
        secrecy=0,
        status="ON",
    )
