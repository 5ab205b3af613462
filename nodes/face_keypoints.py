"""Face Key Points: the five points of a face as a picture, for ControlNets that steer by them."""

from comfy_api.latest import io, ui

from ..identity.keypoints import keypoints_of
from .face import CATEGORY, face_inputs
from .inputs import FaceAnalysisSocket as FaceAnalysis


class FaceKeypoints(io.ComfyNode):
    """`keypoints_of` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_FaceKeypoints",
            display_name="Face Key Points",
            category=CATEGORY,
            description="Draws where a face is and how it is turned: eyes, nose and mouth corners as coloured sticks "
            "and discs on black, which InstantID's IdentityNet steers by.",
            search_aliases=["kps", "landmarks", "instantid", "identitynet", "head pose"],
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip="The picture, or batch of pictures, with the face. Key-point pictures stay as they are.",
                ),
                FaceAnalysis.Input("face_analysis", tooltip="From Load Face Analysis, any pack."),
                *face_inputs("image", "image"),
            ],
            outputs=[
                io.Image.Output(
                    display_name="keypoints",
                    tooltip="A key-point picture for each picture, in its proportions, 1280 pixels along the longer "
                    "side.",
                )
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, image, face_analysis, image_order="large-small", image_face=0):
        keypoints = keypoints_of("image", image, face_analysis, image_order, image_face)
        return io.NodeOutput(keypoints, ui=ui.PreviewImage(keypoints, cls=cls))


NODES = [FaceKeypoints]
