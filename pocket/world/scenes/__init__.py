"""How each kind of scene is drawn: a function (canvas, scene, rng) for each of scene.KINDS."""

from collections.abc import Callable

import numpy as np

from world.canvas import Canvas
from world.scene import Scene
from world.scenes.beach import draw_beach
from world.scenes.city import draw_city
from world.scenes.desert import draw_desert
from world.scenes.forest import draw_forest
from world.scenes.kitchen import draw_kitchen
from world.scenes.library import draw_library
from world.scenes.mountain import draw_mountain
from world.scenes.night_sky import draw_night_sky

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
