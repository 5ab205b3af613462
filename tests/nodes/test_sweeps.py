"""Sweeps: reading values, laying pictures out in a sheet, and the plot of similarities, looked up in the pixels."""

import inspect

import numpy as np
import pytest
import torch
from comfy_execution.graph_utils import ExecutionBlocker
from customenhancer.drawing.captions import caption, caption_height
from customenhancer.drawing.contact_sheet import GAP
from customenhancer.drawing.plots import SIZE, draw_values
from customenhancer.host.number_lists import MOST_VALUES
from customenhancer.nodes.identity_similarity import IdentitySimilarityNode
from customenhancer.nodes.sweeps import ContactSheetNode, SimilarityPlotNode, SweepValuesNode
from helpers.images import image

pytestmark = pytest.mark.usefixtures("temporary_folder")


@pytest.mark.parametrize("node", [IdentitySimilarityNode, SweepValuesNode, ContactSheetNode, SimilarityPlotNode])
def test_what_an_api_prompt_leaves_out_has_the_default_that_is_shown(node):
    schema = node.GET_SCHEMA()
    with_default = [one for one in schema.inputs if getattr(one, "default", None) is not None]
    assert with_default
    for one in with_default:
        default = inspect.signature(node.execute).parameters[one.id].default
        assert one.optional and default == ((one.default,) if schema.is_input_list else one.default)


class TestValues:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("0, 5, 10, 15", [0, 5, 10, 15]),
            ("7", [7]),
            ("0:50:10", [0, 10, 20, 30, 40, 50]),
            ("0:9:5", [0, 5]),
            ("50 : 0 : -25", [50, 25, 0]),
            ("3:3:1", [3]),
            (" 0, 5, 10:30:10,\n100, ", [0, 5, 10, 20, 30, 100]),
            ("-1, 1e3, 5, 5", [-1, 1000, 5, 5]),
            ("18446744073709551615", [2**64 - 1]),
        ],
    )
    def test_whole_numbers_and_ranges_are_read_as_written(self, text, expected):
        floats, ints, labels = SweepValuesNode.execute(text).result
        assert floats == list(map(float, expected)) and ints == expected and labels == list(map(str, expected))
        assert {type(number) for number in floats} == {float} and {type(number) for number in ints} == {int}
        assert SweepValuesNode.validate_inputs(text) is True

    def test_a_range_of_fractions_ends_where_it_says(self):
        floats, _, labels = SweepValuesNode.execute("0:1:0.1").result
        assert floats == [n / 10 for n in range(11)]
        assert labels == ["0", *(f"0.{n}" for n in range(1, 10)), "1"]

    def test_fractions_block_whoever_takes_the_ints(self):
        floats, ints, _ = SweepValuesNode.execute("1, 2.5").result
        assert floats == [1, 2.5]
        assert isinstance(ints, ExecutionBlocker) and ints.message.startswith("values: 2.5 is not a whole number")

    def test_leaving_values_out_gives_the_default(self):
        default = SweepValuesNode.define_schema().inputs[0].default
        assert SweepValuesNode.execute().result == SweepValuesNode.execute(default).result
        assert SweepValuesNode.validate_inputs() is True  # linked

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "there are none"),
            (" , ,", "there are none"),
            ("0, five", "'five' in 'five' is not a usable number"),
            ("0:x:5", "'x' in '0:x:5' is not a usable number"),
            ("nan", "'nan' in 'nan' is not a usable number"),
            ("0:inf:1", "'inf' in '0:inf:1' is not a usable number"),
            ("0:1:1e-999999", "'1e-999999' in '0:1:1e-999999' is not a usable number"),
            ("1e999999", "'1e999999' in '1e999999' is not a usable number"),
            ("0:5", "'0:5' is not a range"),
            ("0:5:1:1", "'0:5:1:1' is not a range"),
            ("0::5", "'' in '0::5' is not a usable number"),
            ("0:5:0", "the step of '0:5:0' does not lead from 0 to 5"),
            ("0:5:-1", "the step of '0:5:-1' does not lead from 0 to 5"),
            (f"0:{MOST_VALUES}:1", f"'0:{MOST_VALUES}:1' is more than {MOST_VALUES}"),
            ("0:1:1e-20", "'0:1:1e-20' is more than"),
            (f"1:{MOST_VALUES}:1, 7", "with '7' there are more than"),
        ],
    )
    def test_anything_else_is_refused_before_the_run(self, text, message):
        with pytest.raises(ValueError, match="^values: ") as caught:
            SweepValuesNode.execute(text)
        assert message in str(caught.value)
        assert SweepValuesNode.validate_inputs(text) == str(caught.value)

    def test_as_many_values_as_are_allowed_are_accepted(self):
        assert len(SweepValuesNode.execute(f"1:{MOST_VALUES}:1").result[0]) == MOST_VALUES


class TestContactSheet:
    def test_pictures_stand_in_rows_in_their_order_bit_for_bit(self):
        pictures = [image(seed, 48, 64) for seed in range(5)]
        (sheet,) = ContactSheetNode.execute(pictures, columns=[3]).result
        assert sheet.shape == (1, 2 * 48 + 3 * GAP, 3 * 64 + 4 * GAP, 3)
        for number, one in enumerate(pictures):
            top, left = GAP + number // 3 * (48 + GAP), GAP + number % 3 * (64 + GAP)
            assert torch.equal(sheet[0, top : top + 48, left : left + 64], one[0])
            sheet[0, top : top + 48, left : left + 64] = 1
        assert (sheet == 1).all()  # nothing else was drawn

    def test_each_label_stands_above_its_picture(self):
        pictures, labels = [image(seed, 48, 128) for seed in range(3)], ["one", "two", "three"]
        (sheet,) = ContactSheetNode.execute(pictures, labels, [2]).result
        above = caption_height(128)
        for number, label in enumerate(labels):
            top, left = GAP + number // 2 * (above + 48 + GAP), GAP + number % 2 * (128 + GAP)
            place = sheet[0, top : top + above + 48, left : left + 128]
            assert torch.equal(place, torch.cat([caption(label, above, 128), pictures[number][0]]))

    def test_every_picture_of_a_batch_is_shown_below_the_batchs_label(self):
        one, pair = image(1, 32, 64), torch.cat([image(2, 32, 64), image(3, 32, 64)])
        gathered = ContactSheetNode.execute([one, pair], ["a", "b"], [4]).result[0]
        spread = ContactSheetNode.execute([one, pair[:1], pair[1:]], ["a", "b", "b"], [4]).result[0]
        assert torch.equal(gathered, spread)

    def test_the_sheet_is_shown_and_inputs_stay_as_they_were(self, temporary_folder):
        given, labels = image(1, 32, 64, channels=4), ["a"]
        before = given.clone()
        output = ContactSheetNode.execute([given], labels)
        (shown,) = output.ui.as_dict()["images"]
        assert (temporary_folder / shown["filename"]).is_file()
        assert torch.equal(given, before) and labels == ["a"] and output.result[0].shape[-1] == 3

    def test_labels_of_another_sweep_are_refused(self):
        with pytest.raises(ValueError, match="^labels: 3 for 2 items in images"):
            ContactSheetNode.execute([image(1, 8, 8)] * 2, ["a", "b", "c"])

    def test_no_pictures_are_refused(self):
        with pytest.raises(ValueError, match="^images: there are none"):
            ContactSheetNode.execute([])


class TestPlot:
    def test_the_node_plots_its_lists_and_shows_them(self, temporary_folder):
        output = SimilarityPlotNode.execute([0.0, 10.0, 20.0], [0.3, 0.5, 0.6], ["MSS"])
        expected = draw_values("Identity similarity by MSS", "MSS", "similarity", [(0, 0.3), (10, 0.5), (20, 0.6)])
        assert output.result[0].shape == (1, SIZE[1], SIZE[0], 3)
        np.testing.assert_array_equal((output.result[0][0] * 255).round(), np.asarray(expected))
        (shown,) = output.ui.as_dict()["images"]
        assert (temporary_folder / shown["filename"]).is_file()

    def test_lists_of_different_lengths_are_refused(self):
        with pytest.raises(ValueError, match="^similarities: 2 for 3 in values"):
            SimilarityPlotNode.execute([0.0, 1.0, 2.0], [0.5, 0.6])

    def test_a_name_of_several_lines_is_written_in_one(self):
        lines, one = (SimilarityPlotNode.execute([0.0], [0.5], [name]).result[0] for name in ("a\n b\t", "a b"))
        assert torch.equal(lines, one)

    @pytest.mark.parametrize("values", [[1e100] * 30, [-1e100, 1e100], [5e-324, 1e-323], [2.0**64]], ids=str)
    def test_every_number_has_its_place(self, values):
        for numbers in ((values, [0.5] * len(values)), (list(range(len(values))), values)):
            assert torch.isfinite(SimilarityPlotNode.execute(*numbers).result[0]).all()

    def test_what_is_no_number_is_refused(self):
        with pytest.raises(ValueError, match="^similarities: is nan"):
            SimilarityPlotNode.execute([0.0, 1.0], [0.5, float("nan")])
