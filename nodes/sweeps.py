"""Sweep nodes: a setting in many values, and what came of each in one picture."""

from comfy_api.v0_0_2 import io, ui
from comfy_execution.graph_utils import ExecutionBlocker

from ..drawing.contact_sheet import LONGEST, draw_sheet
from ..drawing.plots import as_image, draw_values
from ..host.checked_node import CheckedNode
from ..host.number_lists import MOST_VALUES, parse_numbers, validate_numbers
from .inputs import SWEEP


class SweepValuesNode(CheckedNode):
    """`parse_numbers` as a node."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CE_SweepValues",
            display_name="Sweep Values",
            category=SWEEP,
            description="A list of numbers. Every node that depends on them runs once per number; all other nodes run "
            "once.",
            search_aliases=["xy plot", "list", "range", "grid", "loop"],
            inputs=[
                io.String.Input(
                    "values",
                    default="0:50:10",
                    optional=True,
                    tooltip="Numbers and ranges start:end:step, separated by commas: 0, 5, 10:30:10 is 0, 5, 10, 20, "
                    f"30. At most {MOST_VALUES}.",
                )
            ],
            outputs=[
                io.Float.Output(display_name="floats", is_output_list=True, tooltip="The numbers, as FLOAT."),
                io.Int.Output(
                    display_name="ints",
                    is_output_list=True,
                    tooltip="The numbers, as INT. An error if it is used and one of them is not a whole number.",
                ),
                io.String.Output(
                    display_name="labels", is_output_list=True, tooltip="The numbers as text, for Contact Sheet."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, values=None):
        return values is None or validate_numbers(values)

    @classmethod
    def execute(cls, values="0:50:10"):
        numbers = parse_numbers(values)
        labels = [format(number.normalize(), "f") for number in numbers]
        fraction = next((label for number, label in zip(numbers, labels, strict=True) if number % 1), None)
        if fraction is None:
            ints = [int(number) for number in numbers]
        else:  # of use to whoever takes the floats
            ints = ExecutionBlocker(f"values: {fraction} is not a whole number, which INT needs. Use whole numbers.")
        return io.NodeOutput([float(number) for number in numbers], ints, labels)


class ContactSheetNode(CheckedNode):
    """`draw_sheet` as a node that gathers a list."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CE_ContactSheet",
            display_name="Contact Sheet",
            category=SWEEP,
            description="Arranges the pictures of a sweep in one picture, each below its label.",
            search_aliases=["xy plot", "grid", "image grid", "gather", "labels"],
            is_input_list=True,
            inputs=[
                io.Image.Input(
                    "images",
                    tooltip="The pictures of a sweep. Every picture of a batch is shown, below the batch's label.",
                ),
                io.String.Input(
                    "labels",
                    optional=True,
                    force_input=True,
                    tooltip="One for each item of the list, such as labels of Sweep Values. None if not connected.",
                ),
                io.Int.Input("columns", default=4, min=1, max=100, optional=True, tooltip="How many pictures per row."),
            ],
            outputs=[
                io.Image.Output(
                    display_name="sheet",
                    tooltip=f"One picture. Where a side would exceed {LONGEST} pixels, the pictures in it are shrunk.",
                )
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images, labels=None, columns=(4,)):
        pictures = [picture for batch in images for picture in batch]
        if labels and len(labels) != len(images):
            raise ValueError(
                f"labels: {len(labels)} for {len(images)} items in images. Connect labels and pictures of the same "
                "sweep."
            )
        if labels:
            labels = [label for label, batch in zip(labels, images, strict=True) for _ in batch]
        sheet = draw_sheet(pictures, labels, columns[0])[None]
        return io.NodeOutput(sheet, ui=ui.PreviewImage(sheet, cls=cls))


class SimilarityPlotNode(CheckedNode):
    """`draw_values` as a node that gathers two lists."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CE_SimilarityPlot",
            display_name="Similarity Plot",
            category=SWEEP,
            description="Plots similarity against the value that a sweep varies, such as start_step (MSS).",
            search_aliases=["xy plot", "graph", "chart", "curve"],
            is_input_list=True,
            inputs=[
                io.Float.Input("values", force_input=True, tooltip="The values swept: floats of Sweep Values."),
                io.Float.Input(
                    "similarities",
                    force_input=True,
                    tooltip="The similarity at each value: similarity of Identity Similarity.",
                ),
                io.String.Input(
                    "value_name",
                    default="start_step",
                    optional=True,
                    tooltip="What the values are; written below their axis.",
                ),
            ],
            outputs=[io.Image.Output(display_name="plot", tooltip="Similarity against values, 768 x 512.")],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, values, similarities, value_name=("start_step",)):
        if len(similarities) != len(values):
            raise ValueError(
                f"similarities: {len(similarities)} for {len(values)} in values. Connect both to the same sweep, so "
                "that there is one for each."
            )
        points = list(zip(values, similarities, strict=True))
        plot = draw_values(f"Identity similarity by {value_name[0]}", value_name[0], "similarity", points)
        image = as_image(plot)
        return io.NodeOutput(image, ui=ui.PreviewImage(image, cls=cls))


NODES = [SweepValuesNode, ContactSheetNode, SimilarityPlotNode]
