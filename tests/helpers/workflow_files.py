"""The two formats of a shipped workflow."""

from pathlib import Path


def api_twin(path: Path) -> Path:
    """The API file of a UI file: `CustomEnhancer with X.json` is `api/customenhancer_x.json`."""
    return path.parent / "api" / (path.stem.lower().replace(" with ", "_").replace(" ", "_") + ".json")
