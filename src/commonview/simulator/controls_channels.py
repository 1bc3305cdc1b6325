"""The state of every channel of a device, made when it is first needed: most are never controlled."""

from collections.abc import Callable, Iterator, Mapping

from commonview.simulator.controls_state import ChannelState
from commonview.simulator.inventory import Inventory


class ChannelStates(Mapping[str, ChannelState]):
    """State by channel id; the device's own id means its first channel."""

    def __init__(self, device_id: str, inventory: Inventory, fresh: Callable[[str], ChannelState]) -> None:
        """`fresh` makes the state of a channel of that name."""
        self._device_id = device_id
        self._inventory = inventory
        self._fresh = fresh
        self._made: dict[str, ChannelState] = {}

    def __getitem__(self, channel_id: str) -> ChannelState:
        state = self._made.get(channel_id)
        if state is None:
            state = self._made[channel_id] = self._make(channel_id)
        return state

    def _make(self, channel_id: str) -> ChannelState:
        channel = self._inventory.find(channel_id)
        if channel is not None:
            return self._fresh(channel.name)
        if channel_id != self._device_id:
            raise KeyError(channel_id)
        first = self._inventory.first()
        return self._fresh("") if first is None else self[first.channel_id]

    def __iter__(self) -> Iterator[str]:
        yield self._device_id
        yield from (one.channel_id for one in self._inventory.channels() if one.channel_id != self._device_id)

    def __len__(self) -> int:
        return sum(1 for _ in self)
