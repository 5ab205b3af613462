"""Draw a person: body and clothes by the pose, head by the identity, lit by the scene."""

import numpy as np

from pocket.world.canvas import Canvas, capsule, ellipse, moved, smooth, stroke
from pocket.world.colours import CLOTHES as COLOURS
from pocket.world.colours import Colour, darker, lighter, mix
from pocket.world.face import draw_face, draw_mouth, tones
from pocket.world.face_wear import draw_beard, draw_glasses
from pocket.world.hair import draw_hair_back, draw_hair_front
from pocket.world.head import CLOTHES, SKIN, Frame, Head
from pocket.world.identity import Identity
from pocket.world.pose import Pose

SHORT_SLEEVES = ("t-shirt", "dress")
# Angles of upper arm and forearm in degrees, from straight down outwards.
ARMS = {"standing": (13, 4), "waving": (62, 168), "hands on hips": (42, -48), "arms behind": (16, -30)}
SHOULDER_LINE = 2.25


def draw_person(canvas: Canvas, pose: Pose, identity: Identity) -> Head:
    """Draw the person and return the geometry of the head. Labels every sample that shows a part of the person."""
    head = Head(identity, pose)
    body = Frame(pose.x, pose.y - 0.08 * pose.face_width, pose.face_width / 2)  # a short neck
    skin, shadow, _ = tones(head)
    _shadow_on_the_ground(canvas, body)
    canvas.label = CLOTHES
    sides = (-1, 1)
    behind = pose.gesture == "arms behind"
    if behind:
        for side in sides:
            _arm(canvas, body, pose, side, skin, shadow)
    _legs(canvas, body, pose, skin, shadow)
    _torso(canvas, body, pose)
    if not behind:
        for side in sides:
            _arm(canvas, body, pose, side, skin, shadow)
    draw_hair_back(canvas, head)
    _neck(canvas, body, pose, skin, shadow)
    draw_face(canvas, head)
    draw_beard(canvas, head)
    draw_mouth(canvas, head)
    draw_hair_front(canvas, head)
    draw_glasses(canvas, head)
    canvas.label = None
    return head


def _shadow_on_the_ground(canvas, body):
    x, y = body((0, 11.65))
    canvas.glow(x, y, 2.7 * body.unit, (44, 30, 62), 0.55, ry=0.6 * body.unit)


def _legs(canvas, body, pose, skin, shadow):
    bare = pose.bottom in ("shorts", "skirt") or not pose.bottom
    cloth = COLOURS[pose.bottom_colour]
    for side in (-1, 1):
        hip, ankle = (side * 0.58, 5.6), (side * 0.62, 11.0)
        canvas.label = SKIN if bare else CLOTHES
        canvas.polygon(body(capsule(hip, ankle, 0.62, 0.36 if bare else 0.46)), skin if bare else cloth)
        dark = shadow if bare else darker(cloth)
        canvas.polygon(body(capsule((hip[0] + 0.34, 6.0), (ankle[0] + 0.22, 10.9), 0.24, 0.14)), dark)
        canvas.label = CLOTHES
        shoe = [(side * 0.6 - 0.42, 11.55), (side * 0.6 - 0.36, 11.05), (side * 0.6 + 0.36, 11.05)]
        shoe += [(side * (0.62) + 0.42, 11.55), (side * 0.95, 11.72), (side * 0.3, 11.72)]
        canvas.polygon(body(smooth(sorted_around(shoe))), (92, 62, 52))
        if pose.bottom == "shorts":
            canvas.polygon(body(capsule((side * 0.55, 5.6), (side * 0.66, 7.5), 0.7, 0.62)), cloth)
    if pose.bottom == "skirt":
        skirt = [(-1.2, 5.2), (1.2, 5.2), (1.75, 8.3), (0.9, 8.5), (0, 8.55), (-0.9, 8.5), (-1.75, 8.3)]
        _cloth(canvas, body, np.array(skirt), cloth)
    elif pose.bottom == "trousers":
        canvas.polygon(body(smooth([(-1.2, 5.3), (1.2, 5.3), (1.22, 6.2), (0, 6.5), (-1.22, 6.2)])), cloth)


def sorted_around(points: list[tuple[float, float]]) -> np.ndarray:
    """`points` in the order of their angle around their middle, so that they make a simple outline."""
    array = np.array(points)
    middle = array.mean(axis=0)
    return array[np.argsort(np.arctan2(*(array - middle).T[::-1]))]


def _torso_outline(pose: Pose) -> np.ndarray:
    b = pose.build
    length = {"coat": 8.3, "dress": 8.4, "hoodie": 5.9}.get(pose.garment, 5.7)
    waist = 0.98 if pose.garment == "dress" else 1.2 * b
    right = [(0.5, 1.68), (1.05 * b, 1.84), (1.5 * b, 2.2), (1.5 * b, 3.0), (waist + 0.06, 4.4)]
    if pose.garment == "dress":
        right += [(1.35, 6.2), (1.95, length - 0.1), (1.0, length + 0.1)]
    elif pose.garment == "coat":
        right += [(1.35 * b, 6.0), (1.62 * b, length)]
    else:
        right += [(1.27 * b, 5.3), (1.2 * b, length)]
    left = [(-x, y) for x, y in reversed(right)]
    return np.array(right + left)


def _cloth(canvas: Canvas, body: Frame, knots: np.ndarray, colour: Colour) -> np.ndarray:
    """Draw a smooth piece of cloth with its right side in the shade; return its outline in the picture."""
    shape = body(smooth(knots))
    canvas.polygon(shape, colour)
    label, canvas.label = canvas.label, None
    with canvas.clip(shape):
        edge = [(0.62, 1.2), (0.78, 3.2), (0.5, 5.0), (0.95, 9.0), (3, 9.0), (3, 1.2)]
        canvas.polygon(body(np.array(edge)), darker(colour, 0.24), 0.6)
    canvas.label = label
    return shape


def _torso(canvas, body, pose):
    colour = COLOURS[pose.garment_colour]
    if pose.garment == "hoodie":  # the hood lies around the neck
        canvas.polygon(body(ellipse(0, 1.75, 1.12, 0.62)), darker(colour, 0.3))
    shape = _cloth(canvas, body, _torso_outline(pose), colour)
    canvas.label = None
    with canvas.clip(shape):
        if pose.striped:
            stripe = lighter(colour, 0.75) if pose.garment_colour not in ("white", "yellow") else (88, 104, 150)
            for y in np.arange(2.55, 5.7, 0.74):
                line = [(-2, y), (-1, y + 0.12), (0, y + 0.16), (1, y + 0.12), (2, y)]
                canvas.polygon(body(stroke(line, 0.3)), stripe)
        _details(canvas, body, pose, colour)
    canvas.label = CLOTHES


def _details(canvas, body, pose, colour):
    dark, bright = darker(colour, 0.32), lighter(colour, 0.4)
    if pose.garment in ("jacket", "coat"):
        shirt = (240, 231, 214) if pose.garment_colour != "white" else (120, 132, 168)
        low = 5.9 if pose.garment == "jacket" else 4.2
        canvas.polygon(body([(-0.46, 1.5), (0.46, 1.5), (0.2, low), (-0.2, low)]), shirt)
        for side in (-1, 1):
            lapel = [(side * 0.36, 1.6), (side * 0.95, 2.05), (side * 0.74, 2.9), (side * 0.22, 3.7)]
            canvas.polygon(body(lapel), dark)
        if pose.garment == "coat":
            canvas.polygon(body(stroke([(0.0, 4.2), (0.0, 8.4)], 0.09)), dark)
            for y in (4.7, 5.6, 6.5):
                x, y = body((-0.35, y))
                canvas.dot(x, y, 0.12 * body.unit, bright)
    elif pose.garment == "hoodie":
        canvas.polygon(body(smooth([(-0.8, 4.1), (0.8, 4.1), (1.0, 5.1), (-1.0, 5.1)])), darker(colour, 0.2))
        for side in (-1, 1):
            canvas.polygon(body(stroke([(side * 0.3, 2.1), (side * 0.34, 3.2)], 0.11)), bright)
    elif pose.garment == "sweater":
        canvas.polygon(body([(-2, 5.3), (2, 5.3), (2, 6), (-2, 6)]), darker(colour, 0.22))
    elif pose.garment == "dress":
        canvas.polygon(body(stroke([(-1.6, 4.45), (0, 4.6), (1.6, 4.45)], 0.32)), dark)


def _arm(canvas, body, pose, side, skin, shadow):
    colour = darker(COLOURS[pose.garment_colour], 0.1)
    making = pose.gesture != "waving" or pose.left == (side < 0)
    upper, fore = np.radians(ARMS[pose.gesture if making else "standing"])
    shoulder = np.array([side * 1.3 * pose.build, SHOULDER_LINE + 0.2])
    elbow = shoulder + 1.85 * np.array([side * np.sin(upper), np.cos(upper)])
    wrist = elbow + 1.75 * np.array([side * np.sin(fore), np.cos(fore)])
    hand = wrist + 0.3 * (wrist - elbow) / 1.75
    short = pose.garment in SHORT_SLEEVES
    canvas.label = SKIN
    canvas.polygon(body(ellipse(*hand, 0.37)), skin)
    if pose.gesture == "waving" and making:
        for spread in (-0.24, -0.02, 0.2):
            tip = moved(hand, spread * 1.3, -0.55)
            canvas.polygon(body(capsule(moved(hand, spread, -0.1), tip, 0.13, 0.12)), skin)
    if short:
        canvas.polygon(body(capsule(elbow, wrist, 0.36, 0.28)), skin)
        canvas.polygon(body(capsule(shoulder, elbow, 0.42, 0.36)), skin)
        cuff = shoulder + 0.5 * (elbow - shoulder)
        canvas.label = CLOTHES
        canvas.polygon(body(capsule(shoulder, cuff, 0.5, 0.52)), colour)
    else:
        canvas.label = CLOTHES
        canvas.polygon(body(capsule(elbow, wrist, 0.46, 0.38)), colour)
        canvas.polygon(body(capsule(shoulder, elbow, 0.52, 0.46)), colour)
        if pose.gesture != "arms behind":
            canvas.polygon(body(capsule(elbow + 0.9 * (wrist - elbow), wrist, 0.4, 0.4)), darker(colour, 0.18))
    canvas.label = CLOTHES


def _neck(canvas, body, pose, skin, shadow):
    canvas.label = SKIN
    neck = [
        (-0.44, 0.6),
        (0.44, 0.6),
        (0.46, 1.6),
        (0.62, 1.84),
        (0.3, 2.1),
        (0, 2.2),
        (-0.3, 2.1),
        (-0.62, 1.84),
        (-0.46, 1.6),
    ]
    shape = body(smooth(neck))
    canvas.polygon(shape, mix(skin, shadow, 0.35))
    canvas.label = None
    with canvas.clip(shape):
        canvas.polygon(body(ellipse(0.1, 0.9, 0.95, 0.72)), shadow)
    canvas.label = CLOTHES
    colour = COLOURS[pose.garment_colour]
    if pose.garment in ("sweater", "hoodie", "t-shirt", "dress"):
        drop = {"sweater": 1.98, "hoodie": 2.02, "t-shirt": 2.1, "dress": 2.25}[pose.garment]
        collar = [(-0.62, 1.7), (-0.42, drop - 0.06), (0, drop + 0.08), (0.42, drop - 0.06), (0.62, 1.7)]
        canvas.polygon(body(stroke(smooth(collar, closed=False), 0.2)), darker(colour, 0.2))
    if pose.scarf:
        wool = COLOURS[pose.scarf]
        canvas.polygon(body(capsule((0.42, 1.9), (0.62, 3.6), 0.3, 0.34)), darker(wool, 0.14))
        band = smooth([(-0.85, 1.55), (0, 1.72), (0.85, 1.55), (0.92, 1.95), (0, 2.3), (-0.92, 1.95)])
        canvas.polygon(body(band), wool)
    canvas.label = None
