"""Plots: the axes are those of the numbers, looked up in the pixels."""

import numpy as np
import pytest
from customenhancer.drawing.pen import COLOURS
from customenhancer.drawing.plots import BOTTOM, LEFT, RIGHT, SIZE, TOP, ZERO, draw_steps, draw_values
from helpers.plots import marks, near, rgb


class TestSteps:
    """Curves of positive numbers over steps, on a logarithmic axis."""

    def test_equal_ratios_are_equally_far_apart_and_steps_too(self):
        points = marks(draw_steps("t", "s", "v", {"a": [1e-6, 1e-5, 1e-4, 1e-3, 1e-2]}), COLOURS[0])
        np.testing.assert_allclose(points[:, 0], np.linspace(LEFT, RIGHT, 5), atol=1.5)
        np.testing.assert_allclose(points[:, 1], np.linspace(BOTTOM, TOP, 5), atol=1.5)

    def test_zeros_lie_in_a_row_below_the_least_value(self):
        points = marks(draw_steps("t", "s", "v", {"a": [0.0, 0.0, 0.0], "b": [1e-7, 1e-7, 10.0]}), COLOURS[0])
        np.testing.assert_allclose(points[:, 1], ZERO, atol=1)
        assert ZERO > BOTTOM + 10

    def test_the_row_of_zeros_is_marked_only_where_there_are_any(self):
        beside_the_row = np.s_[ZERO - 6 : ZERO + 7, LEFT - 24 : LEFT - 4]
        with_zero = np.asarray(draw_steps("t", "s", "v", {"a": [0.0, 1.0]}))[beside_the_row]
        without = np.asarray(draw_steps("t", "s", "v", {"a": [0.1, 1.0]}))[beside_the_row]
        assert (with_zero < 128).any() and not (without < 128).any()

    @pytest.mark.parametrize(
        "curves",
        [{"a": [0.0] * 5}, {"a": [1.0]}, {"a": [0.0]}, {"a": [1e-38, 1e38]}, {"a": [3.0] * 1001, "b": [0.5]}],
    )
    def test_any_finite_numbers_make_a_picture_with_every_curve_in_it(self, curves):
        image = draw_steps("t", "s", "v", curves)
        assert image.size == SIZE
        pixels = np.asarray(image, int)[TOP - 4 :]
        for colour, _ in zip(COLOURS, curves, strict=False):
            assert (np.abs(pixels - rgb(colour)).max(-1) < 60).any(), colour

    def test_values_at_the_anchor_are_drawn_as_open_rings_and_others_as_dots(self):
        dots = np.asarray(draw_steps("t", "s", "v", {"a": [0.0, 0.0, 0.0]}), int)
        rings = np.asarray(draw_steps("t", "s", "v", {"a": [0.0, 0.0, 0.0]}, {"a": [0]}), int)
        assert near(dots, COLOURS[0])[ZERO, LEFT] and rings[ZERO, LEFT].min() > 220
        assert np.array_equal(dots[:, LEFT + 10 :], rings[:, LEFT + 10 :])


class TestValues:
    """A curve over the values of a sweep, on linear axes."""

    def test_both_axes_are_linear_and_y_goes_from_0_to_1(self):
        points = marks(draw_values("t", "x", "y", [(0, 0.25), (10, 0.5), (40, 0.75)]), COLOURS[0])
        np.testing.assert_allclose(points[:, 0], LEFT + np.array([0, 0.25, 1]) * (RIGHT - LEFT), atol=1.5)
        np.testing.assert_allclose(points[:, 1], BOTTOM - np.array([0.25, 0.5, 0.75]) * (BOTTOM - TOP), atol=1.5)

    def test_values_below_0_widen_the_axis(self):
        points = marks(draw_values("t", "x", "y", [(0, -1.0), (1, 0.0), (2, 1.0)]), COLOURS[0])
        np.testing.assert_allclose(points[:, 1], [BOTTOM, (TOP + BOTTOM) / 2, TOP], atol=1.5)

    def test_the_order_of_the_points_does_not_matter(self):
        points = [(3, 0.2), (1, 0.9), (2, 0.4)]
        assert draw_values("t", "x", "y", points).tobytes() == draw_values("t", "x", "y", sorted(points)).tobytes()

    @pytest.mark.parametrize(
        "points",
        [
            [(5, 0.5)],
            [(1e15, 0.5)],
            [(n / 7, n / 100) for n in range(100)],
            [(0, 0.5), (1e-9, 0.6)],
            [(2, 0.1), (2, 0.9)],
            [(0, 45.0), (1e19, -60.0)],
        ],
    )
    def test_any_points_make_a_picture_with_the_curve_in_it(self, points):
        image = draw_values("t", "x", "y", points)
        assert image.size == SIZE and (np.abs(np.asarray(image, int) - rgb(COLOURS[0])).max(-1) < 60).any()
