"""The plot of many series, which the benchmarks use: its axes looked up in the pixels, and its ticks."""

import numpy as np
import pytest
from customenhancer.drawing.plots import COLOURS, WIDE, _Axis, draw_series
from helpers.plots import rgb


def marked(picture, colour: str) -> np.ndarray:
    """Where a colour is inside the axes, (height, width) bool."""
    return np.abs(np.asarray(picture, int)[:, : WIDE.right + 8] - rgb(colour)).max(-1) < 60


def test_equal_ratios_are_equally_far_apart_on_a_logarithmic_axis():
    picture = draw_series("title", "x", "y", {"a": ([1, 2, 3], [1e-6, 1e-3, 1.0])}, lines=False, log_y=True)
    rows = np.flatnonzero(marked(picture, COLOURS[0]).any(axis=1))
    middles = [run.mean() for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)]
    assert len(middles) == 3 and middles[1] == pytest.approx((middles[0] + middles[2]) / 2, abs=1)


@pytest.mark.parametrize("values", [[-11.7, 38.3], [0.0, 38.3], [2.0], [-0.0004, 0.0002], [-3.0, -2.0], [0.0]])
def test_an_axis_marks_multiples_of_a_step_around_zero_and_all_values(values):
    axis = _Axis(values, 100, 860, log=False)
    step = axis.ticks[1] - axis.ticks[0]
    assert all(tick / step == pytest.approx(round(tick / step), abs=1e-6) for tick in axis.ticks) and 0.0 in axis.ticks
    assert axis.ticks[0] <= min(values) and max(values) <= axis.ticks[-1]
    assert (axis.place(axis.ticks[0]), axis.place(axis.ticks[-1])) == pytest.approx((100, 860))


def test_points_are_joined_only_if_asked():
    series = {"a": ([0, 1], [0, 1])}
    middle = np.s_[350:371, 470:491]
    joined, apart = (marked(draw_series("t", "x", "y", series, lines=lines), COLOURS[0]) for lines in (True, False))
    assert joined[middle].any() and not apart[middle].any()


def test_more_series_than_colours_differ_in_the_shape_of_their_points():
    def drawn(count):
        return draw_series("t", "x", "y", {str(n): ([0, 1], [n, n]) for n in range(count)}, lines=False)

    assert drawn(16).size == WIDE.size
    same_colour = [np.asarray(drawn(8))[y - 6 : y + 6, WIDE.right + 24 : WIDE.right + 56] for y in (92, 92 + 7 * 17)]
    assert not np.array_equal(*same_colour) and all(rows.min() < 128 for rows in same_colour)
