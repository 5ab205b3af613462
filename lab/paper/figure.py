"""Figure 10 as plots, by the pack's plotter; the host and the pack must be loaded."""

from pathlib import Path

from customenhancer.drawing.plots import draw_series

from paper.methods import PAIRS, title
from paper.summary import CURVES, column_title


def series(results: dict, column: str) -> dict[str, tuple[list, list]]:
    """What `draw_series` draws: each method over its starting steps, and what it plugs into as a level line."""
    found = {}
    points = [point for point in results["curve"] if point[column] is not None]
    for method in dict.fromkeys(point["method"] for point in points):
        own = [point for point in points if point["method"] == method]
        starts = [point["start_step"] for point in own]
        found[title(method)] = starts, [point[column]["mean"] for point in own]
        alone = title(PAIRS.get(method, ""))
        if level := results["methods"].get(alone, {}).get(column):
            found[alone] = [starts[0], starts[-1]], [level["mean"]] * 2
    return found


def write_figure(results: dict, folder: Path, name: str) -> list[Path]:
    """Write <name>-<column>.png for each of CURVES that was measured."""
    written = []
    for column in CURVES:
        if lines := series(results, column):
            picture = draw_series(
                "Figure 10", "starting step (MSS), from the noisiest", f"{column_title(column)}, %", lines, lines=True
            )
            written.append(folder / f"{name}-{column}.png")
            picture.save(written[-1])
    return written
