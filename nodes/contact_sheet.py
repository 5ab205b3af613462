"""Contact Sheet: the pictures of a sweep side by side, each with its label."""

from comfy_api.latest import io, ui

from ..drawing.contact_sheet import LONGEST, draw_sheet
from .checks import check_at_least
from .sweep_values import CATEGORY


class ContactSheet(io.ComfyNode):
    """`draw_sheet` as a node that gathers a list."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CE_ContactSheet",
            display_name="Contact Sheet",
            category=CATEGORY,
            description="Gathers the pictures of a sweep in one picture, each below its label.",
            search_aliases=["xy plot", "grid", "image grid", "gather", "labels"],
            is_input_list=True,
            inputs=[
                io.Image.Input(
                    "images",
                    tooltip="The pictures that a sweep made. Of a batch every picture is shown, below the label of "
                    "the batch.",
                ),
                io.String.Input(
                    "labels",
                    optional=True,
                    force_input=True,
                    tooltip="One for each item of the list, such as the labels of Sweep Values. Left open, there are "
                    "none.",
                ),
                io.Int.Input(
                    "columns", default=4, min=1, max=100, optional=True, tooltip="How many pictures a row has."
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="sheet",
                    tooltip=f"One picture. Beyond {LONGEST} pixels along a side the pictures in it are shrunk.",
                )
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images, labels=None, columns=(4,)):
        pictures = [picture for batch in images for picture in batch]
        if not pictures:
            raise ValueError("images: there are none. Connect what a sweep makes, such as the output of VAE Decode.")
        if labels and len(labels) != len(images):
            raise ValueError(
                f"labels: {len(labels)} for {len(images)} items in images. Connect labels and pictures of one sweep."
            )
        if labels:
            labels = [label for label, batch in zip(labels, images, strict=True) for _ in batch]
        check_at_least("columns", columns[0], 1)
        sheet = draw_sheet(pictures, labels, columns[0])[None]
        return io.NodeOutput(sheet, ui=ui.PreviewImage(sheet, cls=cls))


NODES = [ContactSheet]
