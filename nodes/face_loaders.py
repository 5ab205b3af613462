"""Load face models: InsightFace's packs, swappers, restorers. Each tells which family a file is of, and its licence."""

from comfy_api.v0_0_2 import io

from ..faces.analysis import load_face_analysis
from ..faces.families import about_files, licences
from ..faces.insightface_files import (
    face_packs,
    face_restorers,
    face_swappers,
    find_face_pack,
    find_face_restorer,
    find_face_swapper,
)
from ..faces.known_files import INSIGHTFACE_LICENCE
from ..faces.restorers import RESTORER_FAMILIES, load_face_restorer
from ..faces.swappers import SWAPPER_FAMILIES, load_face_swapper
from ..host.checked_node import CheckedNode
from ..host.checks import missing_file
from ..host.previews import told
from .inputs import FACE, FaceAnalysisSocket, FaceRestorerSocket, FaceSwapperSocket, provider_input

LICENCE = f"InsightFace's models are for {INSIGHTFACE_LICENCE}."


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
                provider_input(),
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
            description="Loads a face swapper from models/insightface: inswapper or hyperswap, told by what the file "
            f"takes and gives. Licences: {licences(SWAPPER_FAMILIES)}.",
            search_aliases=["inswapper", "hyperswap", "insightface", "reactor", "roop"],
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=list(face_swappers()),
                    tooltip="inswapper_128.onnx, inswapper_128_fp16.onnx or hyperswap_1a_256.onnx, read from "
                    "models/insightface. After a run the node shows what each file there is, and its licence.",
                ),
                provider_input(),
            ],
            outputs=[FaceSwapperSocket.Output(display_name="face_swapper", tooltip="For Face Swap.")],
        )

    @classmethod
    def validate_inputs(cls, model_name=None):
        return missing_file(find_face_swapper, model_name)

    @classmethod
    def execute(cls, model_name, provider="auto"):
        swapper = load_face_swapper(model_name, provider)
        return io.NodeOutput(
            swapper, ui=told([], *about_files(face_swappers(), SWAPPER_FAMILIES, "face swapper", model_name))
        )


class FaceRestorerLoaderNode(CheckedNode):
    """`load_face_restorer` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_FaceRestorerLoader",
            display_name="Load Face Restorer",
            category=FACE,
            description="Loads a network that redraws blurred faces sharply, from models/facerestore_models. Licences: "
            f"{licences(RESTORER_FAMILIES)}.",
            search_aliases=["gfpgan", "codeformer", "restoreformer", "gpen", "face restore", "reactor"],
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=list(face_restorers()),
                    tooltip="An ONNX file of 512 pixels, such as gfpgan_1.4.onnx, restoreformer_plus_plus.onnx, "
                    "codeformer.onnx or gpen_bfr_512.onnx, read from models/facerestore_models. After a run the node "
                    "shows what each file there is, and its licence.",
                ),
                io.Float.Input(
                    "codeformer_weight",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    advanced=True,
                    tooltip="CodeFormer's own weight: 0 redraws the face most, 1 keeps it most. The others have none.",
                ),
                provider_input(),
            ],
            outputs=[FaceRestorerSocket.Output(display_name="face_restorer", tooltip="For Face Swap.")],
        )

    @classmethod
    def validate_inputs(cls, model_name=None):
        return missing_file(find_face_restorer, model_name)

    @classmethod
    def execute(cls, model_name, codeformer_weight=0.5, provider="auto"):
        restorer = load_face_restorer(model_name, codeformer_weight, provider)
        return io.NodeOutput(
            restorer, ui=told([], *about_files(face_restorers(), RESTORER_FAMILIES, "face restorer", model_name))
        )


NODES = [FaceAnalysisLoaderNode, FaceSwapperLoaderNode, FaceRestorerLoaderNode]
