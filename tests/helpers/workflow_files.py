"""The two formats of a shipped workflow."""

from pathlib import Path


def api_twin(path: Path) -> Path:
    """The API file of a UI file: `CustomEnhancer X.json`, or `.app.json`, is `api/customenhancer_x.json`."""
    name = path.stem.removesuffix(".app").lower().replace(" ", "_")
    return path.parent / "api" / f"{name}.json"
