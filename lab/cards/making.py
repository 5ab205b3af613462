"""Make cards, icon and banner in a running host."""

from helpers.host_client import Host
from PIL import Image, ImageDraw

from cards.card import Tile, draw_card
from cards.cast import SHARP, SIDE
from cards.prompts import draw, pocket_prompt
from cards.recipes import Part, Recipe

BANNER = 1260, 540  # 21:9
ICON = 400


def tiles(host: Host, name: str, recipe: Recipe) -> list[list[Tile]]:
    """Run a workflow by its recipe; the tiles of its card. name: the stem of its file."""
    drawn = {title: each if isinstance(each, tuple) else (each,) for title, each in recipe.pictures.items()}
    uploaded = {
        title: [
            host.upload(f"{title} {number}.png".replace(" ", "_"), each.at(SIDE)) for number, each in enumerate(several)
        ]
        for title, several in drawn.items()
    }
    prompt = pocket_prompt(recipe.workflow or name, uploaded, recipe.inputs, titles(recipe), recipe.seed)
    pictures = draw(host, prompt)
    pictures |= {title: [each.at(SHARP) for each in several] for title, several in drawn.items()}

    def tile(part: Part) -> Tile:
        title, number = _part(part)
        return Tile(pictures[title][number], title in recipe.people, recipe.labels.get(part, ""))

    return [[tile(part) for part in group] for group in recipe.shown]


def card(host: Host, name: str, recipe: Recipe) -> Image.Image:
    """The card of a workflow."""
    return draw_card(tiles(host, name, recipe), down=recipe.down, arrows=recipe.arrows)


def banner(groups: list[list[Tile]]) -> Image.Image:
    """Person, scene and what comes of them, side by side, 21:9."""
    (person, scene), (final,) = groups
    return draw_card([[person], [scene], [final]], BANNER)


def icon(groups: list[list[Tile]]) -> Image.Image:
    """The scene, and the person on a disc before it: ICON pixels a side, with corners that show what is behind."""
    (person, scene), _ = groups
    side = 2 * ICON  # drawn larger and shrunk, for Pillow does not smooth its edges
    picture = Image.new("RGBA", (side, side))
    _lay(picture, scene.picture, (0, 0, side, side), side // 6)
    edge, disc = side // 32, (side // 4, side // 4, side - side // 24, side - side // 24)
    ring = (disc[0] - edge, disc[1] - edge, disc[2] + edge, disc[3] + edge)
    ImageDraw.Draw(picture).ellipse(ring, "white")
    _lay(picture, person.picture, disc, side)
    return picture.resize((ICON, ICON), Image.Resampling.LANCZOS)


def _lay(ground: Image.Image, picture: Image.Image, box: tuple[int, int, int, int], corner: int) -> None:
    size = box[2] - box[0], box[3] - box[1]
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), min(corner, min(size) / 2), 255)
    ground.paste(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), box[:2], mask)


def titles(recipe: Recipe) -> list[str]:
    """The titles of the nodes whose pictures are on a card, and which the host draws."""
    on_card = (title for group in recipe.shown for title, _ in map(_part, group))
    return [title for title in dict.fromkeys(on_card) if title not in recipe.pictures]


def _part(part: Part) -> tuple[str, int]:
    return (part, 0) if isinstance(part, str) else part
