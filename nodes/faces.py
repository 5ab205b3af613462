"""Face nodes: load InsightFace's models, swap the faces in pictures, and draw a face's key points."""

from comfy_api.v0_0_2 import io, ui

from ..faces.analysis import load_face_analysis
from ..faces.insightface_files import face_packs, face_swappers, find_face_pack, find_face_swapper
from ..faces.keypoints import keypoints_of
from ..faces.onnx_runtime import PROVIDER_CHOICES
from ..faces.swap import load_face_swapper
from ..host.checked_node import CheckedNode
from ..host.checks import missing_file
from .inputs import FACE, FaceAnalysisSocket, FaceSwapperSocket, face_inputs, face_order_input, no_face_input

LICENCE = "InsightFace's models are for non-commercial research only."


def _provider_input() -> io.Combo.Input:
    return io.Combo.Input(
        "provider",
        options=PROVIDER_CHOICES,
        default="auto",
        optional=True,
        tooltip="What runs the face models. auto: the GPU if the installed ONNX Runtime supports it. If the choice is "
        "not available, the CPU is used and the log says so.",
    )


class FaceAnalysisLoaderNode(CheckedNode):
    """`load_face_analysis` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_FaceAnalysisLoader",
            display_name="Load Face Analysis",
            category=FACE,
            description="Loads an InsightFace pack, which detects and recognises faces. Packs go into "
            f"models/insightface/models/<pack>/. {LICENCE}",
            search_aliases=["insightface", "buffalo_l", "antelopev2"],
            inputs=[
                io.Combo.Input(
                    "pack",
                    options=list(face_packs()),
                    tooltip="buffalo_l for face swap and PhotoMaker V2, antelopev2 for InstantID. "
                    f"Packs are read from models/insightface/models. {LICENCE}",
                ),
                _provider_input(),
            ],
            outputs=[
                FaceAnalysisSocket.Output(
                    display_name="face_analysis",
                    tooltip="For the face nodes of this node pack, and of others that take FACEANALYSIS.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, pack=None):
        return missing_file(find_face_pack, pack)

    @classmethod
    def execute(cls, pack, provider="auto"):
        return io.NodeOutput(load_face_analysis(pack, provider))


class FaceSwapperLoaderNode(CheckedNode):
    """`load_face_swapper` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_FaceSwapperLoader",
            display_name="Load Face Swapper",
            category=FACE,
            description=f"Loads InsightFace's inswapper from models/insightface. {LICENCE}",
            search_aliases=["inswapper", "insightface", "reactor", "roop"],
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=list(face_swappers()),
                    tooltip=f"inswapper_128.onnx, read from models/insightface. {LICENCE}",
                ),
                _provider_input(),
            ],
            outputs=[FaceSwapperSocket.Output(display_name="face_swapper", tooltip="For Face Swap.")],
        )

    @classmethod
    def validate_inputs(cls, model_name=None):
        return missing_file(find_face_swapper, model_name)

    @classmethod
    def execute(cls, model_name, provider="auto"):
        return io.NodeOutput(load_face_swapper(model_name, provider))


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


NODES = [FaceAnalysisLoaderNode, FaceSwapperLoaderNode, FaceSwapNode, FaceKeypointsNode]
