"""Figures 10 and 11 a as plots, by the pack's plotter; the host and the pack must be loaded."""

from collections.abc import Sequence
from pathlib import Path

from customenhancer.drawing.plots import draw_series

from paper.methods import FUSION, PAIRS, title
from paper.pocket_columns import SWAPPED_IN
from paper.summary import CURVES, column_title


def series(results: dict, column: str) -> dict[str, tuple[list, list]]:
    """Figure 10 as `draw_series` takes it: methods over the starting steps, and levels for what they plug into."""
    found = {}
    points = [point for point in results["curve"] if point[column] is not None and point["method"] != FUSION]
    for method in dict.fromkeys(point["method"] for point in points):
        own = [point for point in points if point["method"] == method]
        starts = sorted({point["start_step"] for point in own})
        found |= _by_scale(own, column, title(method))
        alone = title(PAIRS.get(method, ""))
        if level := results["methods"].get(alone, {}).get(column):
            found[alone] = [starts[0], starts[-1]], [level["mean"]] * 2
    return found


def fusion_series(results: dict) -> dict[str, tuple[list, list]]:
    """Likewise of figure 11 a: similarity to both people."""
    points = [point for point in results["curve"] if point["method"] == FUSION and point[SWAPPED_IN] is not None]
    return _by_scale(points, "similarity", "forward flow") | _by_scale(points, SWAPPED_IN, "swapped in")


def _by_scale(points: Sequence[dict], column: str, label: str) -> dict[str, tuple[list, list]]:
    """A line for each forward scale."""
    found = {}
    for point in points:
        scale = "" if point["forward_scale"] is None else f", f = {point['forward_scale']:g}"
        starts, values = found.setdefault(label + scale, ([], []))
        starts.append(point["start_step"])
        values.append(point[column]["mean"])
    return found


def write_figure(results: dict, folder: Path, name: str) -> list[Path]:
    """Write <name>-<column>.png for each of CURVES that was measured, and <name>-fusion.png."""
    figures = {column: ("Figure 10", column_title(column), series(results, column)) for column in CURVES}
    figures["fusion"] = "Figure 11 a", column_title("similarity"), fusion_series(results)
    written = []
    for what, (heading, column, lines) in figures.items():
        if lines:
            step = "starting step (MSS), from the noisiest"
            picture = draw_series(heading, step, f"{column}, %", lines, lines=True)
            written.append(folder / f"{name}-{what}.png")
            picture.save(written[-1])
    return written
