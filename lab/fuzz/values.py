"""Hostile values for widgets: the limits and beyond, numbers that are none, text that breaks encoders and parsers."""

import json
import math
from random import Random

# Inputs whose value multiplies the work: large ones are slow and prove nothing.
COSTLY = {"iterations", "inner_steps", "regularisation_steps", "amount", "length", "batch_size", "steps"}
TEXTS = [
    *(
        "",
        " ",
        "\n",
        "\x00",
        "a\x00b",
        "\ud800",
        "x\udfff",
        "img",
        "a man img img",
        "é" * 300,
        "漢字 🙂 \u202e",
        "%year%",
    ),
    *(
        "../../x",
        "/x",
        "a/b/",
        "a/./b",
        "a\\b",
        "CON",
        "x" * 5000,
        "9" * 5000,
        "1e999",
        "nan",
        "-1",
        "0,1",
        "0, 0",
        "1,",
    ),
    *("0:5:1", "5:0:1", "0:1e9:1", "0:5:0", "0:1:1e-9", "1;2", ":", ",", "all", "²", "１", "0x1", "1_0", "None", "inf"),
    *(
        "a photo of a man img",
        "(man img:1.2)",
        "a [man img], (" * 20,
        "embedding:tiny_person man img",
        "%s {0}",
        "\r",
        ".",
    ),
]
NUMBERS = [math.nan, math.inf, -math.inf, 0, -0.0, -1, 1e-320, 1e308, -1e308, 0.5, 3, 10**19, 10**400]
ODD = [None, "abc", "", True, {}, {"a": 1}, "1", "NaN", "9" * 5000]


def plain(name: str, kind, options: dict, rng: Random):
    """A value that the node should take: its default or, of a combo, any choice. None where there is no choice."""
    choices = kind if isinstance(kind, list) else options.get("options") if kind == "COMBO" else None
    if choices is not None:
        if options.get("default") in choices and rng.random() < 0.5:
            return options["default"]
        # The saved pivot for pivot_name, the saved residual noise for residual_noise_name.
        return _any([choice for choice in choices if name.partition("_")[0] in str(choice)] or choices, rng)
    if "default" in options and options["default"] is not None:
        return options["default"]
    return {"INT": 0, "FLOAT": 0.0, "BOOLEAN": False, "STRING": "a photo of a man img in a library"}.get(kind)


def varied(name: str, kind, options: dict, rng: Random):
    """A value in the declared range, mostly small."""
    if kind == "BOOLEAN":
        return rng.random() < 0.5
    if kind in ("INT", "FLOAT") and "min" in options and "max" in options:
        low, high = options["min"], min(options["max"], 3 if name in COSTLY else options["max"])
        near = min(high, low + 6)
        usual = options.get("default", low)
        number = rng.choice([low, high, usual, usual, usual, rng.uniform(low, near), rng.uniform(low, near)])
        if kind == "INT" and high <= 3:
            return rng.randint(low, high)
        number = min(max(number, low), high)
        return round(number) if kind == "INT" else round(number, 3)
    return plain(name, kind, options, rng)


def hostile(name: str, kind, options: dict, rng: Random):
    """A value that a careless client, script or model of a widget may send."""
    if rng.random() < 0.15:
        return rng.choice(ODD)
    if kind in ("INT", "FLOAT"):
        around = [
            options[side] + step for side, step in (("min", 0), ("min", -1), ("max", 0), ("max", 1)) if side in options
        ]
        number = rng.choice([*NUMBERS, *around, *around])
        too_slow = name in COSTLY and not (isinstance(number, float) and math.isnan(number)) and number > 3
        return rng.choice([0, -1, 1]) if too_slow else number
    if kind == "BOOLEAN":
        return rng.choice([None, "false", 2, -1, math.nan])
    return rng.choice(TEXTS)


def as_json(value) -> str:
    """The text of a TestValue node that gives `value`."""
    return json.dumps(value)


def _any(choices, rng: Random):
    return rng.choice(list(choices)) if choices else None
