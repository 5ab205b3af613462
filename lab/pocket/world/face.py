"""Draw a bare head: ears, skin with soft light, eyes, brows, nose, mouth, freckles."""

import numpy as np

from pocket.world.canvas import SMALL_CIRCLE, Canvas, ellipse, moved, smooth, stroke
from pocket.world.colours import EYES, HAIR, SKIN, Colour, along, darker, lighter, lit, mix
from pocket.world.head import EYE_LINE, FACE, NOSE_LINE, Head
from pocket.world.head import SKIN as BARE

LID = 0.8  # how far the upper lid opens
INK = (52, 36, 48)
WHITE = (255, 252, 246)
FRECKLES = np.array(
    [
        (-0.62, 0.38),
        (-0.5, 0.45),
        (-0.38, 0.38),
        (-0.55, 0.55),
        (-0.42, 0.56),
        (-0.27, 0.47),
        (-0.7, 0.5),
        (0.62, 0.39),
        (0.49, 0.46),
        (0.37, 0.38),
        (0.56, 0.56),
        (0.41, 0.55),
        (0.27, 0.48),
        (0.7, 0.49),
        (-0.1, 0.33),
        (0.1, 0.34),
    ]
)


def tones(head: Head) -> tuple[Colour, Colour, Colour]:
    """Skin, skin in shadow, hair."""
    skin = along(SKIN, head.identity.skin)
    return skin, mix(darker(skin, 0.16), (196, 84, 62), 0.14), along(HAIR, head.identity.hair)


def draw_face(canvas: Canvas, head: Head) -> None:
    """Draw ears, skin, eyes, brows and nose; beard, mouth, hair and glasses come after."""
    skin, shadow, hair = tones(head)
    _ears(canvas, head, skin, shadow)
    canvas.label = FACE
    outline = head.frame(head.outline)
    canvas.polygon(outline, skin)
    canvas.label = None
    with canvas.clip(outline):
        _light(canvas, head, skin, shadow)
        _nose(canvas, head, skin, shadow)
    for side in (0, 1):
        _eye(canvas, head, side, shadow)
        _brow(canvas, head, side, mix(hair, INK, 0.35))


def _ears(canvas, head, skin, shadow):
    canvas.label = BARE
    yaw = np.sin(np.radians(head.pose.yaw))
    for side in (-1, 1):
        x = side * (head.width + 0.03) - 0.16 * yaw
        canvas.polygon(head.frame(ellipse(x, EYE_LINE + 0.14, 0.17, 0.26)), skin)
        canvas.polygon(head.frame(ellipse(x + side * 0.02, EYE_LINE + 0.15, 0.09, 0.16)), shadow)


def _light(canvas, head, skin, shadow):
    """Warm light from the upper left, shade along the right cheek and under the hair, rosy cheeks, freckles."""
    unit = head.frame.unit
    # The shade is the part of the face that lies outside a copy of it shifted to the left.
    bright = head.outline * (0.97, 1.0) + (-0.15, -0.07)
    rim = np.concatenate([head.outline * 1.2, (head.outline * 1.2)[:1], bright[:1], bright[::-1]])
    canvas.polygon(head.frame(rim), shadow, 0.55)
    (x, y) = head.place((-0.35, -0.25))
    canvas.glow(x, y, 0.95 * unit, lighter(skin, 0.4), 0.55)
    rosy = lit(skin, (1.05, 0.74, 0.71))
    for side in (-1, 1):
        x, y = head.place((side * 0.6, 0.52))
        canvas.glow(x, y, 0.36 * unit * head.breadth(side * 0.6), rosy, 0.75, ry=0.28 * unit)
    if head.identity.freckles:
        brown = mix(shadow, (92, 40, 26), 0.7)
        for x, y in head.place(FRECKLES):
            canvas.dot(x, y, 0.05 * unit, brown, 0.35 + 0.5 * head.identity.freckles)


def _nose(canvas, head, skin, shadow):
    size, unit = head.identity.nose_size, head.frame.unit
    bridge = [(0.02, EYE_LINE + 0.06), (0.17 * size, NOSE_LINE + 0.02), (0.1 * size, NOSE_LINE + 0.09)]
    bridge += [(-0.1 * size, NOSE_LINE + 0.09), (-0.17 * size, NOSE_LINE + 0.02)]
    canvas.polygon(head.place(smooth(bridge)), darker(shadow, 0.1), 0.75)
    x, y = head.place((0, NOSE_LINE - 0.01))
    tip = lit(skin, (1.03, 0.87, 0.85))
    canvas.polygon(SMALL_CIRCLE * (0.165 * size * unit, 0.125 * size * unit) + (x, y), tip)
    x, y = head.place((-0.04, NOSE_LINE - 0.05))
    canvas.polygon(SMALL_CIRCLE * (0.06 * size * unit, 0.045 * size * unit) + (x, y), lighter(skin, 0.6))


def _eye(canvas, head, side, shadow):
    x, y = head.eyes[side]
    breadth, size = head.breadth(x), head.identity.eye_size
    wide, high = 0.255 * breadth * size, 0.205 * size
    x, y = head.turn((x, y))
    frame = head.frame
    colour = along(EYES, head.identity.eyes)
    opening = ellipse(0, 0, wide, high)
    opening[opening[:, 1] < 0, 1] *= LID
    white = frame(moved(opening, x, y))
    canvas.polygon(white, WHITE)
    with canvas.clip(white):
        gaze = x + 0.05 * np.sin(np.radians(head.pose.yaw))
        canvas.polygon(frame(ellipse(gaze, y + 0.005, 0.18 * size * breadth**0.5, 0.185 * size)), darker(colour, 0.35))
        canvas.polygon(frame(ellipse(gaze, y + 0.012, 0.15 * size * breadth**0.5, 0.155 * size)), colour)
        canvas.polygon(frame(ellipse(gaze, y + 0.08, 0.10 * size, 0.075 * size)), lighter(colour, 0.35))
        canvas.polygon(frame(ellipse(gaze, y + 0.005, 0.08 * size, 0.088 * size)), INK)
        canvas.polygon(frame(ellipse(gaze - 0.06, y - 0.05, 0.05 * size)), WHITE)
    woman = head.identity.word == "woman"
    angles = np.linspace(np.pi * 1.04, np.pi * 1.96, 11)
    lid = np.stack([x + wide * 1.04 * np.cos(angles), y + high * (LID + 0.04) * np.sin(angles)], axis=1)
    if woman:  # lashes sweep out beyond the outer corner
        outer = 0 if side == 0 else -1
        direction = -1 if side == 0 else 1
        flick = (x + direction * (wide + 0.09) * 1.0, y - 0.09)
        lid = np.concatenate([[flick], lid]) if outer == 0 else np.concatenate([lid, [flick]])
    widths = np.interp(np.linspace(0, 1, len(lid)), [0, 0.5, 1], [0.035, 0.085 if woman else 0.06, 0.035])
    canvas.polygon(frame(stroke(lid, widths)), INK)


def _brow(canvas, head, side, colour):
    identity = head.identity
    x = head.eyes[side][0]
    out = -1 if side == 0 else 1
    thick = 0.05 + 0.115 * identity.brow_thickness
    slope = 0.11 * identity.brow_angle
    lift = EYE_LINE - 0.205 * identity.eye_size - 0.15
    t = np.linspace(-1, 1, 7)  # from the nose outwards
    points = np.stack([x + out * 0.29 * t, lift - 0.055 * (1 - t**2) - slope * t], axis=1)
    widths = thick * np.interp(t, [-1, -0.6, 0.2, 1], [0.75, 1.0, 0.95, 0.4])
    canvas.polygon(head.place(stroke(points, widths)), colour)


def draw_mouth(canvas: Canvas, head: Head) -> None:
    """Draw the mouth, over a beard if there is one."""
    _, shadow, _ = tones(head)
    identity = head.identity
    line, half = head.mouth, head.mouth_half
    red = mix(shadow, (200, 52, 66), 0.3 + 0.55 * identity.lips)
    dark = (84, 22, 36)
    if head.pose.smile >= 0.65:  # open: dark, teeth above, tongue below
        depth = 0.13 + 0.3 * (head.pose.smile - 0.65)
        x = np.linspace(-1, 1, 9)
        lower = np.stack([x * half, line[:, 1] + depth * (1 - x**2) ** 0.7], axis=1)
        hole = np.concatenate([line, lower[::-1]])
        rim = np.concatenate([line - (0, 0.035), moved(lower, 0, 0.045 + 0.03 * identity.lips)[::-1]])
        canvas.polygon(head.place(rim), red)
        placed = head.place(hole)
        canvas.polygon(placed, dark)
        with canvas.clip(placed):
            teeth = np.concatenate([line - (0, 0.05), moved(line, 0, 0.45 * depth)[::-1]])
            canvas.polygon(head.place(teeth), WHITE)
            canvas.polygon(head.place(ellipse(0, line[4, 1] + depth * 1.05, 0.6 * half, 0.4 * depth)), (219, 104, 104))
        return
    full = 0.045 + 0.06 * identity.lips
    x = np.linspace(-1, 1, 9)
    bow = full * (1 - x**2) * np.where(np.abs(x) < 0.1, 0.8, 1.0)
    lips = np.concatenate([line - np.stack([0 * x, bow * 0.8], axis=1), (line + np.stack([0 * x, bow * 1.4], 1))[::-1]])
    canvas.polygon(head.place(lips), red)
    widths = np.interp(np.abs(x), [0, 0.8, 1], [0.05, 0.05, 0.03])
    canvas.polygon(head.place(stroke(line, widths)), dark)
