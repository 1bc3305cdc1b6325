"""Changing and reading a device's configuration: DeviceConfig and ConfigDownload.

GB/T 28181-2022 9.3.2.2, A.2.3.2, A.2.4.8, A.2.6.8, A.2.6.9. A ConfigDownload may ask for several types,
joined by "/", and be answered in several messages with one SN: unite the blocks by type.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from commonview.wire.manscdp.body import Body
from commonview.wire.manscdp.config_blocks import BLOCKS, AnyBlock, ConfigBlock, ConfigType, check_version
from commonview.wire.manscdp.errors import ManscdpError, ManscdpFault, Repair
from commonview.wire.manscdp.registry import Answer, Message, message
from commonview.wire.manscdp.schema import newer_fields, schema_of
from commonview.wire.manscdp.xml import Element, element
from commonview.wire.version import GbVersion

B = TypeVar("B", bound=ConfigBlock)

_SNAP_SHOT_IN_ANSWERS: Final = "SnapShot"
_TYPES: Final = {each.value.casefold(): each for each in ConfigType}
_SUFFIXES: Final = ("config", "cfg", "info", "params", "param", "")


def _stem(name: str) -> str:
    folded = name.casefold()
    for suffix in _SUFFIXES:
        if suffix and folded.endswith(suffix):
            return folded.removesuffix(suffix)
    return folded


_STEMS: Final = {_stem(each.value): each for each in ConfigType}
_TAGS: Final = {
    config_type: frozenset(codec.tag.casefold() for _, codec, _ in schema_of(kind))
    for config_type, kind in BLOCKS.items()
}


def _read_blocks(body: Body, repairs: list[Repair]) -> tuple[AnyBlock, ...]:
    """Every block below the root, under its own name, the other spelling, or recognised by its elements.

    Uniview names blocks differently from their ConfigType (trap 22): told by what is inside.
    """
    blocks: list[AnyBlock] = []
    for name in body.names():
        config_type = _TYPES.get(name.casefold())
        if config_type is None and name.casefold() == _SNAP_SHOT_IN_ANSWERS.casefold():
            config_type = ConfigType.SNAP_SHOT_CONFIG
        renamed = config_type is None
        found = body.take_all(name)
        if config_type is None and found:
            config_type = _recognised(found[0])
        for each in found:
            block = None if config_type is None else BLOCKS[config_type].read_element(each, repairs)
            if block is None:
                body.put_back(each)
                if config_type is not None:
                    repairs.append(Repair.UNREADABLE_VALUE)
                continue
            if renamed:
                repairs.append(Repair.RENAMED_BLOCK)
            blocks.append(block)  # type: ignore[arg-type]  # BLOCKS holds the members of AnyBlock
    return tuple(blocks)


def _recognised(found: Element) -> ConfigType | None:
    """The block that an element under a foreign name is, by its stem or by at least two of its children."""
    inside = {child.name.casefold() for child in found.children}
    by_name = _STEMS.get(_stem(found.name))
    if by_name is not None and (by_name is ConfigType.FRAME_MIRROR or inside & _TAGS[by_name]):
        return by_name
    scores = sorted(((len(inside & tags), each.value, each) for each, tags in _TAGS.items()), reverse=True)
    (best, _, config_type), (second, _, _) = scores[0], scores[1]
    return config_type if best >= 2 and best > second else None


def _block(blocks: tuple[AnyBlock, ...], kind: type[B]) -> B | None:
    for each in blocks:
        if isinstance(each, kind):
            return each
    return None


@message("Control", "DeviceConfig", since=GbVersion.V2016)
@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig(Message):
    """Change the blocks given; unknown ones stay in `extra`: answer ERROR when there is nothing else."""

    blocks: tuple[AnyBlock, ...] = ()

    @classmethod
    def read_in_steps(
        cls, sn: int, device_id: str, body: Body, repairs: tuple[Repair, ...]
    ) -> Generator[None, None, Self]:
        """Take every block."""
        yield from ()
        mended = list(repairs)
        blocks = _read_blocks(body, mended)
        return cls(sn=sn, device_id=device_id, extra=body.rest(), repairs=tuple(mended), blocks=blocks)

    def block(self, kind: type[B]) -> B | None:
        """The block of that class, None when it is not there."""
        return _block(self.blocks, kind)

    def elements(self, version: GbVersion = GbVersion.V2022) -> Sequence[Element]:
        """The blocks under the names of their ConfigTypes."""
        check_version(self.blocks, version)
        return [each.element(each.config_type.value, version) for each in self.blocks]

    def allowed_for(self, version: GbVersion) -> bool:
        """Whether the edition has all these blocks."""
        return self.since <= version and all(each.config_type.since <= version for each in self.blocks)

    def newer_than(self, version: GbVersion) -> tuple[str, ...]:
        """The elements inside the blocks that the edition does not have."""
        return tuple(name for each in self.blocks for name in newer_fields(each, version))


@message("Response", "DeviceConfig", since=GbVersion.V2016)
@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfigResult(Answer):
    """OK or ERROR; the standard has no word for "in part" or "not supported"."""


@message("Query", "ConfigDownload", since=GbVersion.V2016)
@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDownloadQuery(Message):
    """Ask for blocks. `unknown_types` are asked for in words that no ConfigType has."""

    config_types: tuple[ConfigType, ...]
    unknown_types: tuple[str, ...] = ()

    @classmethod
    def read_in_steps(
        cls, sn: int, device_id: str, body: Body, repairs: tuple[Repair, ...]
    ) -> Generator[None, None, Self]:
        """Take ConfigType apart at "/"; SnapShot means SnapShotConfig."""
        yield from ()
        asked = [part.strip() for part in body.text("ConfigType").split("/")[:64] if part.strip()]
        if not asked:
            raise ManscdpError(ManscdpFault.MISSING_FIELD, "ConfigType")
        known = [_TYPES.get(part.casefold()) or _STEMS.get(_stem(part)) for part in asked]
        return cls(
            sn=sn,
            device_id=device_id,
            extra=body.rest(),
            repairs=repairs,
            config_types=tuple(dict.fromkeys(each for each in known if each is not None)),
            unknown_types=tuple(part for part, each in zip(asked, known, strict=True) if each is None),
        )

    def elements(self, version: GbVersion = GbVersion.V2022) -> Sequence[Element]:
        """ConfigType, joined by "/"."""
        if not self.config_types:
            raise ManscdpError(ManscdpFault.NOT_ENCODABLE, "no ConfigType asked for")
        return (element("ConfigType", "/".join(each.value for each in self.config_types)),)

    def allowed_for(self, version: GbVersion) -> bool:
        """Whether the edition has all types asked for."""
        return self.since <= version and all(each.since <= version for each in self.config_types)


@message("Response", "ConfigDownload", since=GbVersion.V2016)
@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDownload(Answer):
    """Some of the blocks asked for; further messages with the same SN may bring more."""

    blocks: tuple[AnyBlock, ...] = ()

    @classmethod
    def read_in_steps(
        cls, sn: int, device_id: str, body: Body, repairs: tuple[Repair, ...]
    ) -> Generator[None, None, Self]:
        """Take Result and every block."""
        yield from ()
        mended = list(repairs)
        result = body.text("Result")
        blocks = _read_blocks(body, mended)
        return cls(
            sn=sn,
            device_id=device_id,
            extra=body.rest(),
            repairs=tuple(mended),
            result=result[:64],
            blocks=blocks,
        )

    def block(self, kind: type[B]) -> B | None:
        """The block of that class, None when it is not there."""
        return _block(self.blocks, kind)

    def elements(self, version: GbVersion = GbVersion.V2022) -> Sequence[Element]:
        """Result and the blocks; here the standard calls the snapshot block SnapShot."""
        check_version(self.blocks, version)
        written = [element("Result", self.result)] if self.result else []
        for each in self.blocks:
            snap_shot = each.config_type is ConfigType.SNAP_SHOT_CONFIG
            tag = _SNAP_SHOT_IN_ANSWERS if snap_shot else each.config_type.value
            written.append(each.element(tag, version))
        return written

    def allowed_for(self, version: GbVersion) -> bool:
        """Whether the edition has all these blocks."""
        return self.since <= version and all(each.config_type.since <= version for each in self.blocks)

    def newer_than(self, version: GbVersion) -> tuple[str, ...]:
        """The elements inside the blocks that the edition does not have."""
        return tuple(name for each in self.blocks for name in newer_fields(each, version))
