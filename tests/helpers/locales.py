"""The pack's translations, as the files in locales/ have them."""

import json

from .paths import CHECKOUT

LOCALES = CHECKOUT / "locales"
LANGUAGES = "en", "zh"


def node_words(language: str) -> dict[str, dict]:
    """Each node's names, description and tooltips in a language, by node id."""
    return json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))


def main_words(language: str) -> dict:
    """What main.json has: the names of the node menu's levels."""
    return json.loads((LOCALES / language / "main.json").read_text(encoding="utf-8"))
