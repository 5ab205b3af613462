"""The palettes, and mixing in them. A colour is (red, green, blue), each 0 to 255."""

Colour = tuple[int, int, int]
WHITE = (1.0, 1.0, 1.0)  # as the colour of a light


def rgb(code: str) -> Colour:
    """Read "#rrggbb"."""
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Go from `first` (share 0) to `second` (share 1) in a straight line."""
    return tuple(round(a + (b - a) * share) for a, b in zip(first, second, strict=True))


def lit(colour: Colour, light: tuple[float, float, float]) -> Colour:
    """Give `colour` as it looks under a light of the colour `light` (1, 1, 1 is white)."""
    if light == WHITE:
        return colour
    return tuple(min(255, round(value * factor)) for value, factor in zip(colour, light, strict=True))


def darker(colour: Colour, share: float = 0.18) -> Colour:
    """Mix in a warm dark: shadows in this world are plum, never grey."""
    return mix(colour, (58, 32, 58), share)


def lighter(colour: Colour, share: float = 0.25) -> Colour:
    """Mix in a warm white."""
    return mix(colour, (255, 246, 226), share)


def along(stops: tuple[Colour, ...], position: float) -> Colour:
    """The colour at `position` (0 to 1) of a path through `stops`."""
    scaled = min(max(position, 0.0), 1.0) * (len(stops) - 1)
    index = min(int(scaled), len(stops) - 2)
    return mix(stops[index], stops[index + 1], scaled - index)


SKIN = tuple(map(rgb, ("#ffe2cc", "#f8cda9", "#e8b188", "#cf9264", "#aa6c47", "#8a573d", "#744737")))
HAIR = tuple(map(rgb, ("#2b2430", "#48302c", "#74462f", "#a3522f", "#d5783a", "#e7b562", "#f2dfae", "#cfccd2")))
EYES = tuple(map(rgb, ("#4b2b1d", "#7d4c28", "#a07f35", "#68934c", "#3f9b9c", "#4a8ad8")))

# The names are what captions say.
CLOTHES = {
    "red": rgb("#d2504a"),
    "orange": rgb("#ea8d3f"),
    "yellow": rgb("#f2c44f"),
    "green": rgb("#5c9c5b"),
    "teal": rgb("#379894"),
    "blue": rgb("#4877c0"),
    "purple": rgb("#835eae"),
    "pink": rgb("#ee97ae"),
    "white": rgb("#f6f0e6"),
    "grey": rgb("#9799a5"),
    "brown": rgb("#94684a"),
    "black": rgb("#3c3a48"),
}
