"""Draw hair: what falls behind the head and over the shoulders first, what frames the face after the face.

A style is a function (head, volume) that gives the shapes of its back and of its front, in head units; `volume` is how
far it stands off the skull.
"""

from collections.abc import Callable

import numpy as np

from pocket.world.canvas import Canvas, ellipse, smooth, stroke
from pocket.world.colours import darker, lighter
from pocket.world.face import tones
from pocket.world.head import HAIR, Head

Shapes = list[np.ndarray]
CROWN = -1.2


def draw_hair_back(canvas: Canvas, head: Head) -> None:
    """Draw what lies behind face and neck."""
    colour = darker(tones(head)[2], 0.2)
    canvas.label = HAIR
    for shape in _shapes(head)[0]:
        canvas.polygon(head.frame(shape), colour)
    canvas.label = None


def draw_hair_front(canvas: Canvas, head: Head) -> None:
    """Draw what lies on the forehead and beside the face, with a soft sheen."""
    colour = tones(head)[2]
    bright, dark = lighter(colour, 0.28), darker(colour, 0.22)
    placed = [head.frame(shape) for shape in _shapes(head)[1]]
    canvas.label = HAIR
    for shape in placed:
        canvas.polygon(shape, colour)
    canvas.label = None
    if not placed:
        _shine_of_a_bald_head(canvas, head)
    for shape in placed[:1]:
        with canvas.clip(shape):
            shade = smooth([(0.55, -1.8), (2.2, -1.8), (2.2, 1.4), (0.95, 1.2), (1.02, -0.4)])
            canvas.polygon(head.frame(shade), dark, 0.5)
            angles = np.linspace(np.pi * 1.18, np.pi * 1.56, 9)
            arc = np.stack([0.86 * np.cos(angles), 0.98 * np.sin(angles)], axis=1)
            widths = np.interp(np.linspace(0, 1, 9), [0, 0.4, 1], [0.03, 0.17, 0.03])
            canvas.polygon(head.frame(stroke(arc, widths)), bright, 0.75)


def _shine_of_a_bald_head(canvas, head):
    x, y = head.place((-0.3, -0.86))
    skin = tones(head)[0]
    canvas.glow(x, y, 0.34 * head.frame.unit, lighter(skin, 0.85), 0.9, ry=0.16 * head.frame.unit)


def _shapes(head: Head) -> tuple[Shapes, Shapes]:
    return STYLES[head.identity.hair_style](head, 0.05 + 0.17 * head.identity.hair_volume)


def _cap(head: Head, volume: float, hairline: list[tuple[float, float]], low: float = 0.05) -> np.ndarray:
    """Hair over the skull: an arc down to `low` at both ears, and a `hairline` from left to right that turns along."""
    angles = np.linspace(0, -np.pi, 25)
    wide = head.width + 0.07 + 0.6 * volume
    outer = np.stack([wide * np.cos(angles), low + (CROWN - volume - low) * -np.sin(angles)], axis=1)
    line = np.array(hairline) * (head.width, 1)
    held = np.abs(line[:, :1]).clip(0, 1) ** 2.5  # at the ears it stays where it is
    inner = smooth(head.turn(line) * (1 - held) + line * held, closed=False)
    return np.concatenate([outer, inner])


def _clumps(centres: np.ndarray, radii: np.ndarray) -> Shapes:
    return [ellipse(x, y, radius) for (x, y), radius in zip(centres, radii, strict=True)]


HIGH = [
    (-1.0, 0.05),
    (-0.9, -0.25),
    (-0.72, -0.62),
    (-0.3, -0.78),
    (0.3, -0.78),
    (0.72, -0.62),
    (0.9, -0.25),
    (1.0, 0.05),
]


def _bald(head, volume):
    return [], []


def _short(head, volume):
    hairline = [(-1.0, 0.12), (-0.9, -0.2), (-0.8, -0.5), (-0.45, -0.52), (0.1, -0.66), (0.6, -0.72), (0.86, -0.5)]
    return [], [_cap(head, 0.06 + 0.6 * volume, [*hairline, (0.92, -0.2), (1.0, 0.12)], low=0.12)]


def _quiff(head, volume):
    front = smooth(
        [
            (-0.84, -0.55),
            (-0.95, -0.95),
            (-0.75, -1.28 - volume),
            (-0.1, -1.42 - 1.3 * volume),
            (0.65, -1.48 - 1.5 * volume),
            (1.08, -1.24 - volume),
            (0.98, -0.95),
            (0.76, -0.66),
            (0.1, -0.72),
            (-0.5, -0.6),
        ]
    )
    sides = _cap(head, 0.02, [(-1.0, 0.1), (-0.86, -0.35), (-0.6, -0.68), (0.6, -0.7), (0.86, -0.35), (1.0, 0.1)], 0.1)
    return [], [sides, front]


def _curly(head, volume):
    angles = np.linspace(np.pi * 0.93, np.pi * 2.07, 11)
    reach = 1.02 + 0.7 * volume
    rim = np.stack([(head.width + 0.1) * reach * np.cos(angles), 0.1 + 1.22 * reach * np.sin(angles)], axis=1)
    x = np.linspace(-0.62, 0.62, 5)
    fringe = head.turn(np.stack([x * head.width, -0.74 - 0.1 * np.cos(3 * x)], axis=1))
    sizes = 0.24 + 0.3 * volume + 0.03 * np.cos(5 * angles)
    cap = _cap(head, 0.05 + volume, HIGH)
    return [ellipse(0, -0.3, 1.15 * reach, 1.15 * reach)], [
        cap,
        *_clumps(rim, sizes),
        *_clumps(fringe, np.full(5, 0.24)),
    ]


def _afro(head, volume):
    big = 1.34 + 1.1 * volume
    angles = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    rim = np.stack([0.86 * big * np.cos(angles), -0.5 + 0.84 * big * np.sin(angles)], axis=1)
    back = [ellipse(0, -0.5, big * 0.92, big * 0.88), *_clumps(rim, np.full(18, 0.22 * big))]
    front = _cap(
        head,
        0.3 + volume,
        [(-1.02, 0.2), (-0.88, -0.3), (-0.7, -0.58), (0, -0.72), (0.7, -0.58), (0.88, -0.3), (1.02, 0.2)],
        0.2,
    )
    return back, [front]


def _bob(head, volume):
    wide = head.width + 0.22 + volume
    back = smooth(
        [
            (-0.6, -1.25),
            (-wide, -0.5),
            (-wide - 0.05, 0.4),
            (-wide - 0.08, 1.15),
            (-0.7, 1.28),
            (0.7, 1.28),
            (wide + 0.08, 1.15),
            (wide + 0.05, 0.4),
            (wide, -0.5),
            (0.6, -1.25),
        ]
    )
    fringe = [(-1.0, 0.75), (-0.9, 0.2), (-0.88, -0.3), (-0.5, -0.36), (0, -0.38), (0.5, -0.36), (0.88, -0.3)]
    front = _cap(head, 0.08 + volume, [*fringe, (0.9, 0.2), (1.0, 0.75)], 0.75)
    return [back], [front]


def _long(head, volume):
    wide = head.width + 0.24 + volume
    back = smooth(
        [
            (-0.6, -1.25),
            (-wide, -0.4),
            (-wide - 0.1, 0.8),
            (-wide - 0.24, 2.0),
            (-wide - 0.1, 2.9),
            (-1.0, 3.2),
            (-0.7, 2.5),  # from here a gap for neck and collar
            (-0.5, 1.6),
            (0.5, 1.6),
            (0.7, 2.5),
            (1.0, 3.2),
            (wide + 0.1, 2.9),
            (wide + 0.24, 2.0),
            (wide + 0.1, 0.8),
            (wide, -0.4),
            (0.6, -1.25),
        ]
    )
    parting = [(-1.0, 1.1), (-0.93, 0.4), (-0.84, -0.2), (-0.42, -0.66), (0.0, -0.98), (0.42, -0.66), (0.84, -0.2)]
    front = _cap(head, 0.1 + volume, [*parting, (0.93, 0.4), (1.0, 1.1)], 1.1)
    return [back], [front]


def _bun(head, volume):
    y = CROWN - 0.28 - volume
    back = ellipse(0.03, y, 0.46 + 0.8 * volume, 0.4 + 0.8 * volume)
    return [back], [
        _cap(head, 0.06 + 0.4 * volume, HIGH),
        ellipse(-0.03, y - 0.03, 0.4 + 0.8 * volume, 0.34 + 0.8 * volume),
    ]


def _ponytail(head, volume):
    side = -1 if head.pose.yaw > 0 else 1  # it swings to where the back of the head shows
    tail = np.array([(0.5, -1.15), (1.1, -1.35), (1.62 + volume, -0.8), (1.72 + volume, 0.2), (1.55, 1.25), (1.3, 1.7)])
    tail = np.concatenate([tail, [(1.28, 0.9), (1.22, 0.1), (1.0, -0.5)]])
    sweep = [(-1.0, 0.05), (-0.9, -0.25), (-0.78, -0.55), (-0.2, -0.86), (0.5, -0.72), (0.84, -0.45), (1.0, 0.05)]
    return [smooth(tail * (side, 1))], [_cap(head, 0.06 + 0.4 * volume, sweep)]


def _braids(head, volume):
    shapes = []
    for side in (-1, 1):
        for step in range(6):
            x = side * (head.width + 0.2 + 0.07 * step)
            shapes.append(ellipse(x, 0.62 + 0.42 * step, 0.29 + 0.5 * volume - 0.018 * step, 0.28))
    parting = [(-1.0, 0.45), (-0.9, -0.15), (-0.62, -0.6), (0.0, -0.95), (0.62, -0.6), (0.9, -0.15), (1.0, 0.45)]
    return [ellipse(0, -0.1, head.width + 0.2 + volume, 1.1)], [_cap(head, 0.07 + 0.6 * volume, parting, 0.45), *shapes]


STYLES: dict[str, Callable[[Head, float], tuple[Shapes, Shapes]]] = {
    "bald": _bald,
    "short": _short,
    "quiff": _quiff,
    "curly": _curly,
    "afro": _afro,
    "bob": _bob,
    "long": _long,
    "bun": _bun,
    "ponytail": _ponytail,
    "braids": _braids,
}
