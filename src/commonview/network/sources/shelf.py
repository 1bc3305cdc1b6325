"""The sources as they are kept: their rows, their ids in our domain, their sealed passwords. Blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from commonview.network.sources import records, store
from commonview.network.sources.errors import SourceInvalid
from commonview.network.sources.exchange import Credentials
from commonview.wire.gbid import TypeCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from commonview.foundation.database import Database
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.registrar import PasswordVault
    from commonview.network.sources.model import Source, SourceChannel, SourceTest


class SourceShelf:
    """Every verb is one transaction; each raises `StorageUnavailable`."""

    def __init__(self, database: Database, vault: PasswordVault, directory: Directory, domain: str) -> None:
        self._database = database
        self._vault = vault
        self._directory = directory
        self._domain = domain

    def load(self) -> list[Source]:
        """Every source."""
        with self._database.read() as conn:
            return store.load(conn)

    def add(self, source: Source, password: str, tested: SourceTest) -> tuple[Source, DeviceRecord]:
        """A new source with ids of its own, and its device. Raises `SourceInvalid`."""
        with self._database.begin() as conn:
            source_id = self._new_id(conn, records.device_type(len(source.channels)))
            numbered = tuple(
                replace(channel, gb_id=self._new_id(conn, TypeCode.IP_CAMERA)) for channel in source.channels
            )
            source = replace(self.sealed(replace(source, id=source_id), password), channels=numbered)
            record = records.record_of(
                source,
                manufacturer=tested.manufacturer,
                model=tested.model,
                firmware=tested.firmware,
            )
            store.add(conn, source, record)
        return source, record

    def _new_id(self, conn: Connection, type_code: TypeCode) -> str:
        try:
            return records.new_id(
                conn,
                self._domain,
                type_code,
                lambda made: self._directory.get(made) is not None or store.is_channel(conn, made),
            )
        except ValueError:
            raise SourceInvalid("every id of this type in our domain is used up", field="name") from None

    def change(self, source: Source, record: DeviceRecord) -> None:
        """A source was edited."""
        with self._database.begin() as conn:
            store.change(conn, source, record)

    def remove(self, source_id: str) -> None:
        """A source is no more; its ids are not given again."""
        with self._database.begin() as conn:
            store.remove(conn, source_id)

    def refresh(self, source: Source, record: DeviceRecord, found: Sequence[SourceChannel]) -> Source:
        """What the device has now; a picture that is known by its video source keeps its id."""
        kept = {channel.video_source: channel.gb_id for channel in source.channels}
        with self._database.begin() as conn:
            channels = tuple(
                replace(one, gb_id=kept.get(one.video_source) or self._new_id(conn, TypeCode.IP_CAMERA))
                for one in found
            )
            source = replace(source, channels=channels)
            store.change(conn, source, record)
        return source

    def sealed(self, source: Source, password: str) -> Source:
        """The source with this password, or with none."""
        sealed = self._vault.seal(password.encode(), _context(source.id)) if password else None
        return replace(source, password_sealed=sealed, has_password=bool(password))

    def credentials(self, source: Source) -> Credentials:
        """With what a source is asked."""
        sealed = source.password_sealed
        password = self._vault.open(sealed, _context(source.id)).decode() if sealed is not None else ""
        return Credentials(source.username, password)


def _context(source_id: str) -> str:
    """What a sealed password is bound to."""
    return f"source:{source_id}"
