"""A synthetic street, drawn cheaply: only what moves is painted, straight into the picture's YUV planes.

The still background is drawn once with Pillow. For every picture the rectangles painted last time are copied
back from it, and vehicles, clouds, the traffic light and the clock are laid on top with numpy. That costs a
fraction of a millisecond, so the clock on the picture can be the true one.
"""

import random
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from commonview.rendering.fonts import caption_font, chinese_font_file, drawable, latin_font
from commonview.simulator.controls_head import Look
from commonview.simulator.scene_view import Picture, Plane, View, even, part_of

Colour = tuple[int, int, int]

_SKIES: Final[tuple[tuple[Colour, Colour], ...]] = (
    ((96, 156, 214), (206, 226, 240)),
    ((70, 104, 168), (244, 190, 150)),
    ((120, 170, 190), (230, 236, 220)),
    ((92, 112, 160), (214, 196, 222)),
    ((58, 86, 130), (160, 190, 214)),
)
_WALLS: Final[tuple[Colour, ...]] = (
    (182, 150, 124),
    (148, 160, 172),
    (196, 178, 148),
    (126, 138, 152),
    (170, 128, 116),
    (158, 172, 156),
)
_PAINTS: Final[tuple[Colour, ...]] = (
    (196, 58, 52),
    (54, 98, 176),
    (236, 236, 232),
    (40, 44, 52),
    (226, 176, 56),
    (72, 140, 96),
)
_LIGHTS: Final[tuple[Colour, ...]] = ((66, 200, 96), (240, 190, 60), (226, 62, 54))
_LIGHT_CYCLE_S: Final = (8.0, 2.0, 6.0)
_WEEKDAYS: Final = "一二三四五六日"


@dataclass(frozen=True, slots=True)
class _Mover:
    """A sprite crossing the picture for ever: position in pixels as a linear function of time."""

    sprite: Picture
    top: int
    start: float
    speed_px_s: float


def _to_yuv(image: Image.Image) -> Picture:
    """Convert RGBA of even size to YUV (BT.601, limited range)."""
    rgba = np.asarray(image.convert("RGBA"), dtype=np.float32)
    red, green, blue = rgba[..., 0], rgba[..., 1], rgba[..., 2]
    mask = rgba[..., 3] > 127
    y = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    u = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
    v = 128 + 0.439 * red - 0.368 * green - 0.071 * blue

    def halved(plane: npt.NDArray[np.float32]) -> Plane:
        rows, columns = plane.shape
        small: Plane = plane.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3)).astype(np.uint8)
        return small

    return Picture(y.astype(np.uint8), halved(u), halved(v), mask, mask[::2, ::2])


class Scene:
    """One camera's street. `seed` decides its colours, houses and traffic; sizes in pixels, even."""

    def __init__(self, name: str, width: int, height: int, seed: int) -> None:
        self.width, self.height = width, height
        self._chance = random.Random(seed)  # noqa: S311  # decides colours
        self._road_top = int(height * 0.66) // 2 * 2
        self._unit = height / 576
        self._front = self._background = _to_yuv(self._draw_background())
        self._view = View.of(Look(), width, height)
        self._movers = self._make_clouds() + self._make_traffic()
        self._light = self._make_light()
        self._light_at = (int(width * 0.82) // 2 * 2, self._road_top - self._even(150))
        self._captions = self._make_captions(name)
        self._clock = _Clock(self._even(26))
        self._dirty: list[tuple[int, int, int, int]] = []

    def _even(self, size: float) -> int:
        return max(2, int(size * self._unit) // 2 * 2)

    def look(self, look: Look) -> bool:
        """Look there: panned to the right of the front, tilted down from it, nearer by the zoom.

        The street goes round once in the width of the picture; above and below it ends. True when the view
        changed: then the planes must be begun anew.
        """
        view = View.of(look, self.width, self.height)
        if view == self._view:
            return False
        self._view = view
        self._background = view.of_background(self._front)
        return True

    def begin(self, planes: tuple[Plane, Plane, Plane]) -> None:
        """Paint the whole background into the planes, which later `draw` calls must be given again."""
        np.copyto(planes[0], self._background.y)
        np.copyto(planes[1], self._background.u)
        np.copyto(planes[2], self._background.v)
        self._dirty.clear()

    def draw(self, planes: tuple[Plane, Plane, Plane], elapsed_s: float, now: datetime) -> None:
        """Paint the picture of this moment: everything that moved, and the clock."""
        for left, top, right, bottom in self._dirty:
            half = (slice(top // 2, bottom // 2), slice(left // 2, right // 2))
            planes[0][top:bottom, left:right] = self._background.y[top:bottom, left:right]
            planes[1][half] = self._background.u[half]
            planes[2][half] = self._background.v[half]
        self._dirty.clear()
        view, shift = self._view, self._view.shift
        light_left, light_top = self._light_at
        light = self._light[self._light_state(elapsed_s)]
        self._lay(planes, light, *view.place((light_left - shift) % self.width, light_top))
        for mover in self._movers:
            span = self.width + mover.sprite.width
            place = (mover.start + mover.speed_px_s * elapsed_s - shift) % span - mover.sprite.width
            self._lay(planes, mover.sprite, *view.place(int(place) // 2 * 2, mover.top))
        for caption, left, top in self._captions:
            self._lay(planes, caption, left, top, 1.0)
        self._clock.draw(planes, self._even(20), self._even(18), now)

    def _lay(
        self,
        planes: tuple[Plane, Plane, Plane],
        sprite: Picture,
        left: int,
        top: int,
        zoom: float | None = None,
    ) -> None:
        zoom = self._view.zoom if zoom is None else zoom
        x0, x1 = max(left, 0), min(left + even(sprite.width * zoom), self.width)
        y0, y1 = max(top, 0), min(top + even(sprite.height * zoom), self.height)
        if x0 >= x1 or y0 >= y1:
            return
        inside, half_inside = part_of(sprite, (x0 - left, x1 - left), (y0 - top, y1 - top), zoom)
        half = (slice(y0 // 2, y1 // 2), slice(x0 // 2, x1 // 2))
        np.copyto(planes[0][y0:y1, x0:x1], sprite.y[inside], where=sprite.mask[inside])
        np.copyto(planes[1][half], sprite.u[half_inside], where=sprite.half_mask[half_inside])
        np.copyto(planes[2][half], sprite.v[half_inside], where=sprite.half_mask[half_inside])
        self._dirty.append((x0, y0, x1, y1))

    @staticmethod
    def _light_state(elapsed_s: float) -> int:
        at = elapsed_s % sum(_LIGHT_CYCLE_S)
        for state, seconds in enumerate(_LIGHT_CYCLE_S):
            if at < seconds:
                return state
            at -= seconds
        return 0

    def _draw_background(self) -> Image.Image:
        image = Image.new("RGB", (self.width, self.height))
        draw = ImageDraw.Draw(image)
        self._draw_sky(draw)
        self._draw_houses(draw)
        self._draw_road(draw)
        return image

    def _draw_sky(self, draw: ImageDraw.ImageDraw) -> None:
        high, low = self._chance.choice(_SKIES)
        for row in range(self._road_top):
            share = row / self._road_top
            colour = tuple(round(a + (b - a) * share) for a, b in zip(high, low, strict=True))
            draw.line([(0, row), (self.width, row)], fill=(colour[0], colour[1], colour[2]))

    def _draw_houses(self, draw: ImageDraw.ImageDraw) -> None:
        ground = self._road_top - self._even(36)
        left = -self._even(40)
        while left < self.width:
            wide = self._even(self._chance.randint(90, 170))
            top = ground - self._even(self._chance.randint(110, 260))
            wall = self._chance.choice(_WALLS)
            draw.rectangle([left, top, left + wide, ground], fill=wall)
            draw.rectangle([left, top, left + wide, top + self._even(8)], fill=_shade(wall, 0.7))
            step = self._even(26)
            for x in range(left + self._even(12), left + wide - self._even(18), step):
                for y in range(top + self._even(20), ground - self._even(26), self._even(30)):
                    glass = (250, 226, 150) if self._chance.random() < 0.2 else _shade(wall, 0.5)
                    draw.rectangle([x, y, x + self._even(13), y + self._even(17)], fill=glass)
            left += wide + self._even(self._chance.choice((0, 0, 24)))
        draw.rectangle([0, ground, self.width, self._road_top], fill=(168, 168, 162))
        for x in range(self._even(60), self.width, self._even(150)):
            self._draw_tree(draw, x, ground)

    def _draw_tree(self, draw: ImageDraw.ImageDraw, x: int, ground: int) -> None:
        crown = self._even(self._chance.randint(26, 36))
        green = (64 + self._chance.randint(0, 30), 120 + self._chance.randint(0, 30), 70)
        trunk = self._even(4)
        draw.rectangle([x - trunk, ground - crown, x + trunk, ground + self._even(6)], fill=(98, 74, 56))
        draw.ellipse([x - crown, ground - 3 * crown, x + crown, ground - crown // 2], fill=green)
        lit = _shade(green, 1.15)
        draw.ellipse([x - crown // 2, ground - 3 * crown + 4, x + crown // 3, ground - 2 * crown], fill=lit)

    def _draw_road(self, draw: ImageDraw.ImageDraw) -> None:
        draw.rectangle([0, self._road_top, self.width, self.height], fill=(78, 82, 88))
        draw.rectangle([0, self._road_top, self.width, self._road_top + self._even(6)], fill=(206, 206, 200))
        middle = (self._road_top + self.height) // 2
        draw.rectangle([0, middle - 3, self.width, middle - 1], fill=(222, 184, 72))
        draw.rectangle([0, middle + 2, self.width, middle + 4], fill=(222, 184, 72))
        for lane in (0.25, 0.75):
            y = round(self._road_top + (self.height - self._road_top) * lane)
            for x in range(0, self.width, self._even(70)):
                draw.rectangle([x, y, x + self._even(34), y + 3], fill=(214, 216, 216))

    def _make_captions(self, name: str) -> list[tuple[Picture, int, int]]:
        """What is written over everything else: the channel's name and that this is no real picture."""
        font = caption_font(self._even(26))
        captions = []
        for text, bottom in ((name, self.height - self._even(16)), ("模拟画面 SIMULATED", self._even(50))):
            words = drawable(text)
            probe = ImageDraw.Draw(Image.new("L", (4, 4)))
            left, top, right, floor = probe.textbbox((0, 0), words, font=font, stroke_width=2)
            size = (round(right - left) // 2 * 2 + 4, round(floor - top) // 2 * 2 + 4)
            image = Image.new("RGBA", size)
            ImageDraw.Draw(image).text(
                (2 - left, 2 - top),
                words,
                font=font,
                fill=(255, 255, 255, 255),
                stroke_width=2,
                stroke_fill=(20, 24, 30, 255),
            )
            place = (self.width - self._even(20) - size[0], bottom - size[1])
            captions.append((_to_yuv(image), place[0] // 2 * 2, place[1] // 2 * 2))
        return captions

    def _make_clouds(self) -> list[_Mover]:
        movers = []
        for _ in range(3):
            wide, tall = self._even(self._chance.randint(90, 150)), self._even(36)
            image = Image.new("RGBA", (wide, tall))
            draw = ImageDraw.Draw(image)
            white = (244, 246, 250, 255)
            draw.ellipse([0, tall // 3, wide // 2, tall - 1], fill=white)
            draw.ellipse([wide // 3, tall // 4, wide - 1, tall - 1], fill=white)
            draw.ellipse([wide // 4, 0, wide * 3 // 4, tall - 4], fill=white)
            top = self._even(self._chance.randint(56, 110))
            movers.append(
                _Mover(_to_yuv(image), top, self._chance.uniform(0, self.width), self._chance.uniform(4, 11))
            )
        return movers

    def _make_traffic(self) -> list[_Mover]:
        movers = []
        lane_height = (self.height - self._road_top) / 4
        for lane in range(4):
            direction = -1 if lane < 2 else 1
            speed = direction * self._unit * self._chance.uniform(60, 130)
            for number in range(2):
                sprite = self._draw_vehicle(right=direction > 0, long=lane == 1 and number == 0)
                bottom = round(self._road_top + lane_height * (lane + 1)) - self._even(4)
                top = (bottom - sprite.height) // 2 * 2
                start = self._chance.uniform(0, 0.3) * self.width + number * self.width * 0.55
                movers.append(_Mover(sprite, top, start, speed))
        return movers

    def _draw_vehicle(self, *, right: bool, long: bool) -> Picture:
        wide, tall = self._even(190 if long else 100), self._even(56 if long else 40)
        paint = self._chance.choice(_PAINTS)
        image = Image.new("RGBA", (wide, tall))
        draw = ImageDraw.Draw(image)
        wheel = self._even(9)
        body_top = 0 if long else tall * 2 // 5
        box = [1, body_top, wide - 2, tall - wheel]
        draw.rounded_rectangle(box, radius=self._even(6), fill=(*paint, 255))
        glass = (176, 206, 222, 255)
        if long:
            for x in range(self._even(10), wide - self._even(24), self._even(26)):
                draw.rectangle([x, self._even(9), x + self._even(18), self._even(25)], fill=glass)
        else:
            roof = [(wide // 5, body_top), (wide // 3, 2), (wide * 7 // 10, 2), (wide * 9 // 10, body_top)]
            draw.polygon(roof, fill=(*_shade(paint, 0.85), 255))
            pane = [
                (wide // 3, 6),
                (wide * 2 // 3, 6),
                (wide * 4 // 5, body_top - 2),
                (wide // 4, body_top - 2),
            ]
            draw.polygon(pane, fill=glass)
        for x in (wide // 5, wide * 4 // 5):
            draw.ellipse([x - wheel, tall - 2 * wheel, x + wheel, tall - 1], fill=(24, 24, 28, 255))
        draw.rectangle([wide - 6, tall // 2, wide - 3, tall // 2 + 6], fill=(255, 244, 190, 255))
        if not right:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return _to_yuv(image)

    def _make_light(self) -> list[Picture]:
        pictures = []
        wide, tall, lamp = self._even(24), self._even(120), self._even(14)
        for state, lit in enumerate(_LIGHTS):
            image = Image.new("RGBA", (wide, tall))
            draw = ImageDraw.Draw(image)
            draw.rectangle([wide // 2 - 2, 3 * wide, wide // 2 + 2, tall], fill=(70, 74, 80, 255))
            draw.rounded_rectangle([0, 0, wide - 1, 3 * wide - 4], radius=5, fill=(34, 38, 44, 255))
            for place in range(3):
                on = state == 2 - place
                top = 4 + place * (wide - 3)
                edge = (wide - lamp) // 2
                fill = (*lit, 255) if on else (62, 66, 72, 255)
                draw.ellipse([edge, top, edge + lamp, top + lamp], fill=fill)
            pictures.append(_to_yuv(image))
        return pictures


class _Clock:
    """The date and time, composed of glyphs drawn once, on a dark band."""

    def __init__(self, size: int) -> None:
        self._chinese = chinese_font_file() is not None
        digits = latin_font(size)
        self._cells = {each: self._cell(each, digits, size) for each in "0123456789-:. "}
        self._days = [self._cell(self._day(day), caption_font(size), size) for day in range(7)]
        self._shown = ""
        self._line = self._cells[" "]

    def _day(self, weekday: int) -> str:
        if self._chinese:
            return f" 星期{_WEEKDAYS[weekday]} "
        return f" {('Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun')[weekday]} "

    @staticmethod
    def _cell(text: str, font: object, size: int) -> Plane:
        probe = ImageDraw.Draw(Image.new("L", (4, 4)))
        wide = probe.textlength(text, font=font)  # type: ignore[arg-type]  # either kind of Pillow font
        image = Image.new("L", (max(2, round(wide)), (size + size // 2) // 2 * 2), 22)
        draw = ImageDraw.Draw(image)
        # Different fonts share a line by their baseline.
        draw.text((0, size + size // 8), text, fill=235, font=font, anchor="ls")  # type: ignore[arg-type]
        return np.asarray(image, dtype=np.uint8)

    def draw(self, planes: tuple[Plane, Plane, Plane], left: int, top: int, now: datetime) -> None:
        """Write `now` to the tenth of a second at the given even place."""
        text = now.strftime("%Y-%m-%d|%H:%M:%S.") + str(now.microsecond // 100_000)
        if text != self._shown:
            date, _, time = text.partition("|")
            cells = [self._cells[each] for each in date]
            cells.append(self._days[now.weekday()])
            cells += [self._cells[each] for each in time]
            line = np.hstack(cells)
            self._line = line[:, : line.shape[1] // 2 * 2]
            self._shown = text
        rows, columns = self._line.shape
        columns = min(columns, planes[0].shape[1] - left)
        planes[0][top : top + rows, left : left + columns] = self._line[:, :columns]
        half = (slice(top // 2, (top + rows) // 2), slice(left // 2, (left + columns) // 2))
        planes[1][half] = 128
        planes[2][half] = 128


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, round(part * factor)) for part in colour)
    return red, green, blue
