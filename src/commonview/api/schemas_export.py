"""Exports as the API shows them."""

from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field, StringConstraints, field_validator

from commonview.api.export_desk import ExportWish
from commonview.api.schemas import Answer, Id, Request
from commonview.api.schemas_network import LiveGrantOut
from commonview.api.schemas_recording import Stream
from commonview.rendering import CutMode, Export, ExportState

MOST_CHANNELS = 16


class ExportIn(Request):
    """A span of some channels to be taken away: a purpose and a reason, or a running grant for them."""

    channel_ids: Annotated[list[Id], Field(min_length=1, max_length=MOST_CHANNELS)]
    stream_number: Stream = 0
    begin: AwareDatetime
    end: AwareDatetime
    cut: CutMode = CutMode.KEY_FRAMES
    burn_time: bool = False
    """Burn the time into every picture; everything is encoded anew."""
    time_zone: Annotated[str, StringConstraints(max_length=64)] = "Asia/Shanghai"
    """Of the time burned in."""
    watermark: bool = False
    """Burn the user name and the grant into every picture; everything is encoded anew."""
    purpose_id: Id | None = None
    reason: Annotated[str, StringConstraints(max_length=500)] | None = None
    duration_s: Annotated[int, Field(ge=60, le=86400)] | None = None
    grant_id: Id | None = None

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("no such time zone") from error
        return value

    @field_validator("channel_ids")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))

    def wish(self) -> ExportWish:
        """What the desk is asked for."""
        return ExportWish(
            channel_ids=tuple(self.channel_ids),
            stream_number=self.stream_number,
            begin=self.begin,
            end=self.end,
            cut=self.cut,
            time_zone=self.time_zone if self.burn_time else None,
            watermark=self.watermark,
            purpose_id=self.purpose_id,
            reason=self.reason,
            duration_s=self.duration_s,
            grant_id=self.grant_id,
        )


class ExportFileOut(Answer):
    """One file of an export, and where to fetch it."""

    name: str
    channel_id: str
    """Empty for the manifest."""
    bytes: int
    sha256: str
    url: str


class ExportOut(Answer):
    """An export as it stands."""

    id: str
    channel_ids: list[str]
    channel_names: list[str]
    stream_number: int
    begin: AwareDatetime
    end: AwareDatetime
    cut: CutMode
    time_zone: str | None
    watermark: str
    grant_id: str
    reason: str
    state: ExportState
    progress: float
    failure: str | None
    """A stable code."""
    bytes: int
    files: list[ExportFileOut]
    package_url: str | None
    """Everything in one archive, once it is finished."""
    created_at: AwareDatetime
    ended_at: AwareDatetime | None
    kept_until: AwareDatetime | None

    @classmethod
    def of(cls, export: Export, names: dict[str, str]) -> Self:
        """An export, with the names of its channels."""
        base = f"/api/exports/{export.id}"
        terms = export.terms
        return cls(
            id=export.id,
            channel_ids=list(terms.channel_ids),
            channel_names=[names.get(one, one) for one in terms.channel_ids],
            stream_number=terms.stream_number,
            begin=terms.begin,
            end=terms.end,
            cut=terms.cut,
            time_zone=terms.time_zone,
            watermark=terms.watermark,
            grant_id=export.grant_id,
            reason=terms.reason,
            state=export.state,
            progress=export.progress,
            failure=export.failure,
            bytes=export.bytes,
            files=[
                ExportFileOut(
                    name=one.name,
                    channel_id=one.channel_id,
                    bytes=one.bytes,
                    sha256=one.sha256,
                    url=f"{base}/files/{one.name}",
                )
                for one in export.files
            ],
            package_url=f"{base}/package" if export.files else None,
            created_at=export.created_at,
            ended_at=export.ended_at,
            kept_until=export.kept_until,
        )


class ExportOrdered(Answer):
    """An export that was taken, and the grant it stands on."""

    export: ExportOut
    grant: LiveGrantOut
