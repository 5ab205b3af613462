"""What is known of a picture's faces, for the rest of a graph: key points, and masks."""

from comfy_api.v0_0_2 import io, ui

from ..faces.choosing import wanted_faces
from ..faces.keypoints import keypoints_of
from ..faces.masks import PARTS, Shape, face_masks
from ..host.checked_node import CheckedNode
from .inputs import FACE, FaceAnalysisSocket, face_inputs, face_order_input, no_face_input, wanted_inputs


class FaceKeypointsNode(CheckedNode):
    """`keypoints_of` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_FaceKeypoints",
            display_name="Face Key Points",
            category=FACE,
            description="Draws where a face is and which way it is turned: eyes, nose and mouth corners as coloured "
            "sticks and discs on black, the control picture of InstantID's IdentityNet.",
            search_aliases=["kps", "landmarks", "instantid", "identitynet", "head pose"],
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip="The picture, or batch of pictures, with the face. Key-point pictures pass through "
                    "unchanged.",
                ),
                FaceAnalysisSocket.Input("face_analysis", tooltip="From Load Face Analysis, any pack."),
                *face_inputs("image", "image"),
            ],
            outputs=[
                io.Image.Output(
                    display_name="keypoints",
                    tooltip="A key-point picture for each picture, with the same proportions and 1280 pixels on the "
                    "longer side.",
                )
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, image, face_analysis, image_order="large-small", image_face=0):
        keypoints = keypoints_of("image", image, face_analysis, image_order, image_face)
        return io.NodeOutput(keypoints, ui=ui.PreviewImage(keypoints.float(), cls=cls))


class FaceMaskNode(CheckedNode):
    """`face_masks` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_FaceMask",
            display_name="Face Mask",
            category=FACE,
            description="Masks of the faces or heads in a picture, grown and feathered in proportion to each face. As "
            "forward_mask of Triple-Flow Guider it confines the identity to the head, and the background keeps to the "
            "pivot exactly.",
            search_aliases=["head mask", "face segmentation", "landmarks", "insightface"],
            inputs=[
                io.Image.Input("image", tooltip="The picture, or batch of pictures, such as the scene after the swap."),
                FaceAnalysisSocket.Input("face_analysis", tooltip="From Load Face Analysis, any pack."),
                io.String.Input(
                    "faces",
                    default="0",
                    optional=True,
                    tooltip="Which faces of image: numbers from 0 in order, separated by commas, or all.",
                ),
                face_order_input("order", "image"),
                io.Combo.Input(
                    "part",
                    options=list(PARTS),
                    default="head",
                    optional=True,
                    tooltip="face: from the chin to the forehead. head: with the hair, as far as landmarks allow. "
                    "everything but: all of the picture except the head.",
                ),
                io.Float.Input(
                    "grow",
                    default=0.0,
                    min=-0.5,
                    max=2.0,
                    step=0.01,
                    optional=True,
                    tooltip="Moves the edge outwards, or inwards if negative, by this share of the face's size.",
                ),
                io.Float.Input(
                    "feather",
                    default=0.1,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="Width of the soft border around the edge, as a share of the face's size.",
                ),
                *wanted_inputs(),
                no_face_input(
                    "What to do with a picture that does not show all of faces: stop with an error, or mask those that "
                    "it shows."
                ),
            ],
            outputs=[
                io.Mask.Output(
                    display_name="mask", tooltip="One mask for each picture of image: 1 is the part, 0 is not."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        face_analysis,
        faces="0",
        order="large-small",
        part="head",
        grow=0.0,
        feather=0.1,
        person=None,
        person_likeness=0.3,
        gender="any",
        no_face="error",
    ):
        wanted = wanted_faces(face_analysis, "faces", faces, order, person, person_likeness, gender)
        return io.NodeOutput(face_masks(image, face_analysis, wanted, Shape(part, grow, feather), no_face))


NODES = [FaceKeypointsNode, FaceMaskNode]
