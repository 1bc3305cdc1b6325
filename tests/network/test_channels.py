import pytest

from commonview.network.channels import kind_of, watchable
from commonview.network.model import Channel, ChannelKind, ChannelStatus
from commonview.network.tree.rows import channel_of_row, row_of
from commonview.wire.manscdp import CatalogItem

NVR = "34020000001180000001"
CAMERA = "34020000001320000001"


def channel_of(device_id: str, item: CatalogItem) -> Channel:
    given = dict.fromkeys(("given_name", "given_place", "given_longitude", "given_latitude", "vanished_at"))
    return channel_of_row({**row_of(device_id, item), **given})


@pytest.mark.parametrize(
    ("gb_id", "kind"),
    [
        (CAMERA, ChannelKind.VIDEO),
        ("34020000001310000001", ChannelKind.VIDEO),
        (NVR, ChannelKind.DEVICE),
        ("34020000001340000001", ChannelKind.OTHER),
        ("34020000001370000001", ChannelKind.OTHER),
        ("340200", ChannelKind.ORGANISATION),
        ("34020000002160000001", ChannelKind.ORGANISATION),
        ("34020000009990000001", ChannelKind.VIDEO),
        ("camera-1", ChannelKind.VIDEO),
    ],
)
def test_kind_follows_the_type_code_and_doubt_means_camera(gb_id: str, kind: ChannelKind) -> None:
    assert kind_of(gb_id) is kind


def test_channel_takes_over_what_the_item_says() -> None:
    item = CatalogItem(device_id=CAMERA, name="北门", status="ON", parent_ids=(NVR, "34020000002160000001"))
    channel = channel_of(NVR, item)
    assert channel.id == f"{NVR}-{CAMERA}"
    assert (channel.name, channel.status) == ("北门", ChannelStatus.ON)
    assert channel.parent_id == f"{NVR}/34020000002160000001"


def test_item_without_a_name_is_called_by_its_id_and_long_texts_are_cut() -> None:
    assert channel_of(NVR, CatalogItem(device_id=CAMERA)).name == CAMERA
    assert len(channel_of(NVR, CatalogItem(device_id=CAMERA, name="x" * 9999)).name) == 256


def test_recorder_with_cameras_shows_the_cameras_and_one_without_shows_itself() -> None:
    itself = channel_of(NVR, CatalogItem(device_id=NVR))
    camera = channel_of(NVR, CatalogItem(device_id=CAMERA))
    alarm = channel_of(NVR, CatalogItem(device_id="34020000001340000001"))
    assert watchable({NVR: itself, CAMERA: camera, alarm.gb_id: alarm}) == [camera]
    assert watchable({NVR: itself, alarm.gb_id: alarm}) == [itself]
