"""Query and Response Catalog: what a device or platform offers (GB/T 28181-2022 A.2.4.3, A.2.6.4, Annex M).

A long catalogue arrives in several messages with one SN. `sum_num` is what the sender claims in total and is
not to be trusted (trap 17): union the items by id and stop at the claimed count or after quiet time.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Self

from commonview.wire.gbid import is_usable
from commonview.wire.manscdp.body import Body, number
from commonview.wire.manscdp.codecs import write_decimal
from commonview.wire.manscdp.errors import Repair
from commonview.wire.manscdp.registry import Message, message
from commonview.wire.manscdp.xml import Element, clean, element
from commonview.wire.version import GbVersion

_TEXT_FIELDS = (
    ("name", "Name"),
    ("manufacturer", "Manufacturer"),
    ("model", "Model"),
    ("civil_code", "CivilCode"),
    ("block", "Block"),
    ("address", "Address"),
)
_STEP_ITEMS = 100
_NUMBER_FIELDS = (("register_way", "RegisterWay"), ("secrecy", "Secrecy"))


@message("Query", "Catalog")
@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogQuery(Message):
    """Ask for everything below `device_id`; the times limit to what was added between them (optional)."""

    start_time: str = ""
    end_time: str = ""

    @classmethod
    def read_in_steps(
        cls, sn: int, device_id: str, body: Body, repairs: tuple[Repair, ...]
    ) -> Generator[None, None, Self]:
        """Take the optional times from the body."""
        yield from ()
        start, end = body.text("StartTime"), body.text("EndTime")
        return cls(
            sn=sn, device_id=device_id, extra=body.rest(), repairs=repairs, start_time=start, end_time=end
        )

    def elements(self, version: GbVersion = GbVersion.V2022) -> Sequence[Element]:
        """StartTime and EndTime when given."""
        times = (("StartTime", self.start_time), ("EndTime", self.end_time))
        return [element(name, value) for name, value in times if value]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogItem:
    """One line of a catalogue. Fields the standard makes optional are empty or None when not told.

    `parent_ids` are the ids of ParentID, which joins several by "/" (trap 31). `parental` is None for values
    that are neither 0 nor 1 (65535 is seen). `longitude`, `latitude` in degrees WGS-84. `extra` keeps every
    other element raw, `Info` included.
    """

    device_id: str
    name: str = ""
    manufacturer: str = ""
    model: str = ""
    civil_code: str = ""
    block: str = ""
    address: str = ""
    parental: bool | None = None
    parent_ids: tuple[str, ...] = ()
    register_way: int | None = None
    secrecy: int | None = None
    status: str = ""
    longitude: float | None = None
    latitude: float | None = None
    business_group_id: str = ""
    event: str = ""
    extra: tuple[Element, ...] = ()

    @property
    def on(self) -> bool | None:
        """Whether the channel works; None when the status is blank or unknown (0 and 1 are seen, trap 30)."""
        return {"ON": True, "1": True, "ONLINE": True, "OK": True, "OFF": False, "0": False}.get(
            self.status.upper(), False if self.status.upper() in {"OFFLINE", "VLOST", "DEFECT"} else None
        )

    @classmethod
    def read(cls, item: Element) -> Self | None:
        """Build from an Item element; None when it has no usable DeviceID, without which it means nothing."""
        body = Body(item)
        device_id = body.text("DeviceID")
        if not is_usable(device_id):
            return None
        texts = {key: body.text(tag) for key, tag in _TEXT_FIELDS}
        parental = body.text("Parental")
        parents = body.text("ParentID")
        numbers = {key: number(body.text(tag)) for key, tag in _NUMBER_FIELDS}
        status = body.text("Status")
        longitude, latitude = _degrees(body.text("Longitude"), 180), _degrees(body.text("Latitude"), 90)
        group, event = body.text("BusinessGroupID"), body.text("Event")
        return cls(
            device_id=device_id,
            **texts,
            parental={"0": False, "1": True}.get(parental),
            parent_ids=tuple(part.strip() for part in parents.split("/") if part.strip())[:32],
            register_way=numbers["register_way"],
            secrecy=numbers["secrecy"],
            status=status,
            longitude=longitude,
            latitude=latitude,
            business_group_id=group,
            event=event,
            extra=body.rest(),
        )

    def element(self) -> Element:
        """The Item element, in schema order; empty optional fields are left out."""
        fields = (
            ("DeviceID", self.device_id),
            ("Event", self.event),
            *((tag, getattr(self, key)) for key, tag in _TEXT_FIELDS),
            ("Parental", "" if self.parental is None else str(int(self.parental))),
            ("ParentID", "/".join(self.parent_ids)),
            *((tag, _written(getattr(self, key))) for key, tag in _NUMBER_FIELDS),
            ("Status", self.status),
            ("Longitude", _written(self.longitude)),
            ("Latitude", _written(self.latitude)),
            ("BusinessGroupID", self.business_group_id),
        )
        return element("Item", (*(element(name, value) for name, value in fields if value), *self.extra))


def _written(value: float | None) -> str:
    return "" if value is None else write_decimal(value)


def _degrees(text: str, bound: int) -> float | None:
    try:
        degrees = float(clean(text))
    except ValueError:
        return None
    return degrees if -bound <= degrees <= bound else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page(Message):
    """One page. `sum_num` is the claimed grand total, None when absent; `refused_items` had no usable id."""

    sum_num: int | None
    items: tuple[CatalogItem, ...] = ()
    refused_items: int = 0

    @classmethod
    def read_in_steps(
        cls, sn: int, device_id: str, body: Body, repairs: tuple[Repair, ...]
    ) -> Generator[None, None, Self]:
        """Take SumNum and the items, some at a time; never trusts the Num attribute."""
        sum_num = body.number("SumNum")
        listed = body.take("DeviceList")
        read: list[CatalogItem | None] = []
        for each in listed.children if listed is not None else ():
            read.append(CatalogItem.read(each))
            if len(read) % _STEP_ITEMS == 0:
                yield
        items = tuple(each for each in read if each is not None)
        return cls(
            sn=sn,
            device_id=device_id,
            extra=body.rest(),
            repairs=repairs,
            sum_num=sum_num,
            items=items,
            refused_items=len(read) - len(items),
        )

    def elements(self, version: GbVersion = GbVersion.V2022) -> Sequence[Element]:
        """SumNum and the list; an empty result has no list element (Annex M)."""
        total = element("SumNum", len(self.items) if self.sum_num is None else self.sum_num)
        if not self.items:
            return (total,)
        return (total, element("DeviceList", [each.element() for each in self.items], Num=len(self.items)))


@message("Response", "Catalog")
@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog(_Page):
    """One page of the answer to a query. See the fields of the page: `sum_num`, `items`, `refused_items`."""


@message("Notify", "Catalog")
@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogNotify(_Page):
    """What changed, in a NOTIFY of the catalogue subscription: each item's `event` says how (9.11)."""
