"""Draw what is worn on a face: beards and glasses."""

import numpy as np

from pocket.world.canvas import Canvas, ellipse, moved, rounded, smooth, stroke
from pocket.world.colours import Colour, darker, lighter, mix
from pocket.world.face import INK, WHITE, tones
from pocket.world.head import EYE_LINE, FACE, MOUTH_LINE, Head


def draw_beard(canvas: Canvas, head: Head) -> None:
    """Draw the identity's beard, if any."""
    kind = head.identity.beard
    hair = tones(head)[2]
    if kind == "full":
        _full_beard(canvas, head, hair)
    elif kind == "stubble":
        with canvas.clip(head.frame(head.outline)):
            canvas.polygon(head.place(_beard(head, 0.0), 0.6), mix(hair, INK, 0.6), 0.42)
    elif kind == "moustache":
        _moustache(canvas, head, darker(hair, 0.12))


def _beard(head: Head, below: float) -> np.ndarray:
    """The area from the ears along the jaw, the upper lip included, `below` beyond the chin."""
    jaw = head.outline[(head.outline[:, 1] > 0.12)]  # from the right ear down and up to the left one
    jaw = jaw * (1 + 0.5 * below, 1 + below)
    w = head.width
    top = smooth(
        [
            (-w, 0.1),
            (-0.8 * w, 0.42),
            (-0.5 * w, 0.62),
            (-0.22, 0.6),
            (0, 0.64),
            (0.22, 0.6),
            (0.5 * w, 0.62),
            (0.8 * w, 0.42),
            (w, 0.1),
        ],
        closed=False,
    )
    return np.concatenate([jaw, top])


def _full_beard(canvas, head, hair):
    canvas.label = FACE
    shape = head.place(_beard(head, 0.13), 0.35)
    canvas.polygon(shape, darker(hair, 0.08))
    canvas.label = None
    with canvas.clip(shape):
        side = moved(_beard(head, 0.13), 0.5, 0.12)
        canvas.polygon(head.place(side, 0.35), darker(hair, 0.3), 0.45)
        for x in (-0.5, -0.2, 0.1, 0.4):
            lock = [(x, 1.02), (x + 0.06, 1.16), (x + 0.03, 1.32)]
            canvas.polygon(head.place(stroke(lock, [0.02, 0.06, 0.02]), 0.35), lighter(hair, 0.2), 0.6)
    lip = smooth([(-0.3, 0.7), (0, 0.67), (0.3, 0.7), (0.27, 0.95), (0, 1.0), (-0.27, 0.95)])
    canvas.polygon(head.place(lip * (head.identity.mouth_width, 1)), mix(tones(head)[0], (196, 84, 62), 0.2), 0.55)


def _moustache(canvas, head, colour: Colour):
    canvas.label = FACE
    y = MOUTH_LINE - 0.13
    half = [(0.0, y - 0.02), (0.16, y - 0.09), (0.36, y - 0.01), (0.52, y + 0.05), (0.36, y + 0.13), (0.12, y + 0.1)]
    for side in (-1, 1):
        canvas.polygon(head.place(smooth(np.array(half) * (side, 1))), colour)
    canvas.label = None


def draw_glasses(canvas: Canvas, head: Head) -> None:
    """Draw the identity's glasses, if any."""
    kind = head.identity.glasses
    if kind == "none":
        return
    canvas.label = FACE
    colour = (20, 108, 116) if kind == "round" else (44, 36, 52)
    width = 0.07 if kind == "round" else 0.09
    rims = []
    for x, y in head.eyes:
        breadth = head.breadth(x)
        x, y = head.turn((x, y + 0.02))
        if kind == "round":
            rim, hole = ellipse(x, y, 0.37 * breadth, 0.36), ellipse(x, y, (0.37 - width) * breadth, 0.36 - width)
        else:
            wide = 0.385 * breadth
            rim = rounded(x - wide, y - 0.3, x + wide, y + 0.3, 0.09)
            hole = rounded(x - wide + width, y - 0.3 + width, x + wide - width, y + 0.3 - width, 0.06)
        ring = np.concatenate([rim, rim[:1], hole[:1], hole[::-1]])
        canvas.polygon(head.frame(hole), WHITE, 0.16)
        glint = [
            (x - 0.16 * breadth, y + 0.02),
            (x - 0.02, y - 0.2),
            (x + 0.06, y - 0.2),
            (x - 0.1 * breadth, y + 0.08),
        ]
        canvas.polygon(head.frame(np.array(glint)), WHITE, 0.3)
        canvas.polygon(head.frame(ring), colour)
        rims.append((rim[:, 0].min(), rim[:, 0].max(), y))
    (left, inner_left, y), (inner_right, right, _) = rims
    bridge = [(inner_left - 0.03, y - 0.06), ((inner_left + inner_right) / 2, y - 0.11), (inner_right + 0.03, y - 0.06)]
    canvas.polygon(head.frame(stroke(bridge, width)), colour)
    yaw = 0.1 * np.sin(np.radians(head.pose.yaw))
    for start, end in ((left + 0.03, -head.width - yaw), (right - 0.03, head.width - yaw)):
        canvas.polygon(head.frame(stroke([(start, y - 0.06), (end, EYE_LINE + 0.0)], width * 0.8)), colour)
    canvas.label = None
