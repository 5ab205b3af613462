"""How each kind of scene is drawn: a function (canvas, scene, rng) for each of scene.KINDS."""

from collections.abc import Callable

import numpy as np

from pocket.world.canvas import Canvas
from pocket.world.scene import Scene
from pocket.world.scenes.beach import draw_beach
from pocket.world.scenes.city import draw_city
from pocket.world.scenes.desert import draw_desert
from pocket.world.scenes.forest import draw_forest
from pocket.world.scenes.kitchen import draw_kitchen
from pocket.world.scenes.library import draw_library
from pocket.world.scenes.mountain import draw_mountain
from pocket.world.scenes.night_sky import draw_night_sky

SCENES: dict[str, Callable[[Canvas, Scene, np.random.Generator], None]] = {
    "library": draw_library,
    "beach": draw_beach,
    "mountain": draw_mountain,
    "forest": draw_forest,
    "city": draw_city,
    "desert": draw_desert,
    "kitchen": draw_kitchen,
    "night sky": draw_night_sky,
}
