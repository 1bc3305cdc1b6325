"""Names for simulated cameras, Chinese and English, as a district would give them."""

from typing import Final

STREET_NAMES: Final = (
    "东门 East Gate",
    "中心广场 Central Square",
    "滨河路 Riverside Road",
    "火车站 Railway Station",
    "南桥 South Bridge",
    "人民公园 People's Park",
    "科技园 Science Park",
    "老城街 Old Town Street",
    "西市场 West Market",
    "体育馆 Sports Hall",
    "图书馆 Library",
    "北环路 North Ring Road",
)


def camera_name(index: int, prefix: str | None = None) -> str:
    """The name of camera `index` (from 0): `prefix` and a number, or a street name, numbered when reused."""
    if prefix is not None:
        return f"{prefix} {index + 1}"
    name = STREET_NAMES[index % len(STREET_NAMES)]
    round_ = index // len(STREET_NAMES)
    return name if round_ == 0 else f"{name} {round_ + 1}"


def channel_name(camera: str, index: int, count: int) -> str:
    """The name of one channel; a camera with one channel gives it its own name."""
    return camera if count == 1 else f"{camera} #{index + 1}"
