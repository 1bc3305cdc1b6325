"""A simulated lower platform: one registration, a catalogue of any number of channels in a tree.

Nothing is kept for a channel that nobody asks about: its id, its name and its place follow from its number.
A few channels draw, the others show the pictures of the first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from commonview.simulator.camera import SimulatedCamera
from commonview.simulator.frames import FrameSource
from commonview.simulator.names import STREET_NAMES
from commonview.simulator.recorder import Recorder
from commonview.simulator.settings import (
    CameraSettings,
    Channel,
    Faults,
    Report,
    Server,
    SignallingTransport,
    say_nothing,
)
from commonview.wire.gbid import TypeCode, classify, compose
from commonview.wire.manscdp import CatalogItem
from commonview.wire.version import GbVersion

_SERIALS: Final = 1_000_000
_REGIONS: Final = 10
_ORGANISATIONS: Final = 40
MOST_CHANNELS: Final = 10 * _SERIALS


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSettings:
    """One lower platform. `platform_id` has type 200; its first ten digits are those of all its channels.

    Raises `ValueError` for another kind of id, or more than ten million channels.
    """

    server: Server
    password: str = field(repr=False)
    platform_id: str = "34020100002000000001"
    name: str = "下级平台 Lower Platform"
    channels: int = 1000
    transport: SignallingTransport = "tcp"
    local_host: str = "127.0.0.1"
    expires_s: int = 3600
    keepalive_s: float = 60.0
    page_items: int | None = None
    version: GbVersion = GbVersion.V2022
    max_streams: int = 64

    def __post_init__(self) -> None:
        if classify(self.platform_id).type is not TypeCode.SIGNALLING_SERVER:
            raise ValueError(f"{self.platform_id!r} is not the id of a platform (type 200)")
        if not 0 <= self.channels <= MOST_CHANNELS:
            raise ValueError(f"a simulated platform has up to {MOST_CHANNELS} channels")

    def camera(self) -> CameraSettings:
        """The platform as the device it is to its superior."""
        return CameraSettings(
            device_id=self.platform_id,
            name=self.name,
            server=self.server,
            password=self.password,
            channels=(),
            transport=self.transport,
            local_host=self.local_host,
            expires_s=self.expires_s,
            keepalive_s=self.keepalive_s,
            catalogue_page_items=self.page_items,
            version=self.version,
            charset=self.version.charset,
            max_streams=self.max_streams,
            model="Simulated Platform",
        )


class PlatformTree:
    """The catalogue: platform, regions, a business group with virtual organisations, cameras (Annex J)."""

    def __init__(
        self, settings: PlatformSettings, sources: Sequence[FrameSource], recorder: Recorder | None = None
    ) -> None:
        """Channel n shows `sources[n]`, those beyond show the first. Raises `ValueError` without a source."""
        if not sources:
            raise ValueError("a simulated platform needs one source at least")
        self._settings = settings
        self._sources = tuple(sources)
        self._recorder = recorder
        self._domain = settings.platform_id[:10]
        self._region = settings.platform_id[:6]
        self.group_id = compose(self._domain, TypeCode.BUSINESS_GROUP, 0, 1)

    def find(self, channel_id: str) -> Channel | None:
        """See `Inventory`."""
        number = self._number(channel_id)
        return None if number is None else self._channel(number)

    def first(self) -> Channel | None:
        """See `Inventory`."""
        return self._channel(0) if self._settings.channels else None

    def channels(self) -> Iterator[Channel]:
        """See `Inventory`."""
        return map(self._channel, range(self._settings.channels))

    def knows(self, gb_id: str) -> bool:
        """See `Inventory`."""
        return next(self.items(gb_id), None) is not None

    def count(self, gb_id: str) -> int:
        """See `Inventory`."""
        if gb_id == self._settings.platform_id:
            return 2 + self._regions + self._organisations + self._settings.channels
        return sum(1 for _ in self.items(gb_id))

    def items(self, gb_id: str) -> Iterator[CatalogItem]:
        """See `Inventory`."""
        if gb_id == self._settings.platform_id:
            yield CatalogItem(device_id=gb_id, name=self._settings.name, status="ON")
            yield from map(self._region_item, range(self._regions))
            yield from self._group_items()
            yield from map(self._item, range(self._settings.channels))
        elif gb_id == self.group_id:
            yield from self._group_items()
            yield from map(self._item, range(self._settings.channels))
        elif (number := self._number(gb_id)) is not None:
            yield self._item(number)
        else:
            yield from self._part(gb_id)

    def _part(self, gb_id: str) -> Iterator[CatalogItem]:
        """A region or a virtual organisation with what belongs to it."""
        for place in range(self._regions):
            if gb_id == self._region_id(place):
                yield self._region_item(place)
                yield from map(self._item, range(place, self._settings.channels, _REGIONS))
        for place in range(self._organisations):
            if gb_id == self._organisation_id(place):
                yield self._organisation_item(place)
                yield from map(self._item, range(place, self._settings.channels, _ORGANISATIONS))

    @property
    def _regions(self) -> int:
        return min(_REGIONS, self._settings.channels)

    @property
    def _organisations(self) -> int:
        return min(_ORGANISATIONS, self._settings.channels)

    def channel_id(self, number: int) -> str:
        """The id of a channel, counted from 0."""
        network, serial = divmod(number, _SERIALS)
        return compose(self._domain, TypeCode.IP_CAMERA, network, serial)

    def _number(self, channel_id: str) -> int | None:
        if len(channel_id) != 20 or not channel_id.isdigit() or channel_id[:10] != self._domain:
            return None
        if int(channel_id[10:13]) != TypeCode.IP_CAMERA:
            return None
        number = int(channel_id[13:])
        return number if number < self._settings.channels else None

    def _name(self, number: int) -> str:
        return f"{STREET_NAMES[number % len(STREET_NAMES)]} {number + 1}"

    def _channel(self, number: int) -> Channel:
        source = self._sources[number] if number < len(self._sources) else self._sources[0]
        return Channel(self.channel_id(number), self._name(number), source, self._recorder)

    def _region_id(self, place: int) -> str:
        return f"{self._region}{place + 1:02d}"

    def _organisation_id(self, place: int) -> str:
        return compose(self._domain, TypeCode.VIRTUAL_ORGANISATION, 0, place + 1)

    def _region_item(self, place: int) -> CatalogItem:
        return CatalogItem(device_id=self._region_id(place), name=f"街道 District {place + 1}")

    def _group_items(self) -> Iterator[CatalogItem]:
        yield CatalogItem(
            device_id=self.group_id, name="治安 Public Order", parent_ids=(self._settings.platform_id,)
        )
        yield from map(self._organisation_item, range(self._organisations))

    def _organisation_item(self, place: int) -> CatalogItem:
        return CatalogItem(
            device_id=self._organisation_id(place),
            name=f"片区 Beat {place + 1}",
            business_group_id=self.group_id,
        )

    def _item(self, number: int) -> CatalogItem:
        settings = self._settings
        organisation = self._organisation_id(number % _ORGANISATIONS)
        return CatalogItem(
            device_id=self.channel_id(number),
            name=self._name(number),
            manufacturer="Commonview",
            model="Simulated Camera",
            civil_code=self._region_id(number % _REGIONS),
            address="Simulated",
            parental=False,
            parent_ids=(settings.platform_id, organisation),
            register_way=1,
            secrecy=0,
            status="ON",
            longitude=round(117.2 + number % 1000 / 10_000, 6),
            latitude=round(31.8 + number // 1000 % 1000 / 10_000, 6),
            business_group_id=self.group_id,
        )


def simulated_platform(
    settings: PlatformSettings,
    sources: Sequence[FrameSource],
    *,
    recorder: Recorder | None = None,
    faults: Faults | None = None,
    report: Report = say_nothing,
) -> SimulatedCamera:
    """A lower platform: to its superior a device like any other, with a tree behind it."""
    tree = PlatformTree(settings, sources, recorder)
    return SimulatedCamera(settings.camera(), faults=faults, report=report, inventory=tree)
