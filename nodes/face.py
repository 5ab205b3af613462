"""Face nodes: load InsightFace's models, and swap the faces of a picture."""

import comfy.model_management
import comfy.utils
import torch
from comfy_api.latest import io

from ..host.checks import missing_file
from ..identity.face_analysis import FACE_ORDERS, check_recogniser, detect_faces, load_face_analysis, sort_faces
from ..identity.face_swap import load_face_swapper, parse_indices, pick_faces, swap_faces
from ..identity.model_files import face_packs, face_swappers, find_face_pack, find_face_swapper
from ..identity.onnx_runtime import PROVIDER_CHOICES
from .inputs import FaceAnalysisSocket as FaceAnalysis

CATEGORY = "CustomEnhancer/face"
FaceSwapper = io.Custom("CE_FACE_SWAPPER")
LICENCE = "InsightFace's models are for non-commercial research only."


def _provider_input() -> io.Combo.Input:
    return io.Combo.Input(
        "provider",
        options=PROVIDER_CHOICES,
        default="auto",
        optional=True,
        tooltip="What computes. auto takes the GPU where the installed ONNX Runtime can use it. A choice that it does "
        "not offer falls back to the CPU, and the log says so.",
    )


def face_inputs(part: str, where: str) -> list:
    """Which face counts, as inputs <part>_order and <part>_face. where: the input with the pictures, for tooltips."""
    return [
        io.Combo.Input(
            f"{part}_order",
            options=list(FACE_ORDERS),
            default="large-small",
            optional=True,
            advanced=True,
            tooltip=f"How the faces of {where} are counted. Sizes are those of the faces' boxes.",
        ),
        io.Int.Input(
            f"{part}_face",
            default=0,
            min=0,
            max=99,
            optional=True,
            advanced=True,
            tooltip=f"Which face of {where} to use, counted from 0.",
        ),
    ]


class FaceAnalysisLoader(io.ComfyNode):
    """`load_face_analysis` as a node."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CE_FaceAnalysisLoader",
            display_name="Load Face Analysis",
            category=CATEGORY,
            description="Loads an InsightFace pack, which finds faces and tells people apart. "
            f"Packs lie in models/insightface/models/<pack>/. {LICENCE}",
            search_aliases=["insightface", "buffalo_l", "antelopev2"],
            inputs=[
                io.Combo.Input(
                    "pack",
                    options=list(face_packs()),
                    tooltip="buffalo_l for face swap and PhotoMaker V2, antelopev2 for InstantID. "
                    f"Found in models/insightface/models. {LICENCE}",
                ),
                _provider_input(),
            ],
            outputs=[
                FaceAnalysis.Output(
                    display_name="face_analysis",
                    tooltip="For face nodes of this pack and of others that take FACEANALYSIS.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, pack=None):
        return missing_file(find_face_pack, pack)

    @classmethod
    def execute(cls, pack, provider="auto"):
        return io.NodeOutput(load_face_analysis(pack, provider))


class FaceSwapperLoader(io.ComfyNode):
    """`load_face_swapper` as a node."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CE_FaceSwapperLoader",
            display_name="Load Face Swapper",
            category=CATEGORY,
            description=f"Loads InsightFace's inswapper from models/insightface. {LICENCE}",
            search_aliases=["inswapper", "insightface", "reactor", "roop"],
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=list(face_swappers()),
                    tooltip=f"inswapper_128.onnx, found in models/insightface. {LICENCE}",
                ),
                _provider_input(),
            ],
            outputs=[FaceSwapper.Output(display_name="face_swapper", tooltip="For Face Swap.")],
        )

    @classmethod
    def validate_inputs(cls, model_name=None):
        return missing_file(find_face_swapper, model_name)

    @classmethod
    def execute(cls, model_name, provider="auto"):
        return io.NodeOutput(load_face_swapper(model_name, provider))


class FaceSwap(io.ComfyNode):
    """`swap_faces` as a node, for a batch of pictures."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CE_FaceSwap",
            display_name="Face Swap",
            category=CATEGORY,
            description="Puts the face of a reference person on faces of a picture; the rest of the picture stays "
            "as it is, bit for bit. Several people at once: target_faces 0,1 with reference_faces 0,1.",
            search_aliases=["inswapper", "insightface", "reactor", "roop", "faceswap"],
            inputs=[
                io.Image.Input("image", tooltip="The picture, or batch of pictures, in which faces are replaced."),
                io.Image.Input(
                    "reference",
                    tooltip="The person. Of a batch, the first picture that shows a face is used.",
                ),
                FaceAnalysis.Input("face_analysis", tooltip="From Load Face Analysis, pack buffalo_l."),
                FaceSwapper.Input("face_swapper", tooltip="From Load Face Swapper."),
                io.String.Input(
                    "target_faces",
                    default="0",
                    optional=True,
                    tooltip="Which faces of image to replace: indices from 0 in target_order, separated by commas.",
                ),
                io.Combo.Input(
                    "target_order",
                    options=list(FACE_ORDERS),
                    default="left-right",
                    optional=True,
                    tooltip="How the faces of image are counted. Sizes are those of the faces' boxes.",
                ),
                io.String.Input(
                    "reference_faces",
                    default="0",
                    optional=True,
                    tooltip="Which faces of reference to use: one for all targets, or one for each, split by commas.",
                ),
                io.Combo.Input(
                    "reference_order",
                    options=list(FACE_ORDERS),
                    default="left-right",
                    optional=True,
                    tooltip="How the faces of reference are counted. Sizes are those of the faces' boxes.",
                ),
                io.Combo.Input(
                    "no_face",
                    options=["error", "pass_through"],
                    default="error",
                    optional=True,
                    tooltip="What to do with a picture in which no face is found: stop, or leave it as it is.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The pictures with the new faces, as many as came in."),
                io.Mask.Output(display_name="mask", tooltip="How much of each pixel was replaced; 0 was not touched."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        reference,
        face_analysis,
        face_swapper,
        target_faces="0",
        target_order="left-right",
        reference_faces="0",
        reference_order="left-right",
        no_face="error",
    ):
        check_recogniser(face_analysis, "buffalo_l", "the face swapper")
        target_indices = parse_indices("target_faces", target_faces)
        source_indices = parse_indices("reference_faces", reference_faces)
        if len(source_indices) not in (1, len(target_indices)):
            raise ValueError(
                f"reference_faces: {len(source_indices)} indices for {len(target_indices)} in target_faces. "
                "Give one for all, or one for each."
            )
        found = sort_faces(_first_faces(face_analysis, reference), reference_order)
        sources = pick_faces("reference_faces", "reference", found, source_indices)
        if len(sources) == 1:
            sources = sources * len(target_indices)

        pictures, masks = [], []
        progress = comfy.utils.ProgressBar(len(image))
        for number, picture in enumerate(image):
            comfy.model_management.throw_exception_if_processing_interrupted()
            faces = sort_faces(detect_faces(face_analysis, picture), target_order)
            if faces:
                targets = pick_faces("target_faces", f"picture {number} of image", faces, target_indices)
                picture, mask = swap_faces(picture, targets, sources, face_swapper)
            elif no_face == "pass_through":
                mask = torch.zeros(picture.shape[:2], device=picture.device)
            else:
                raise ValueError(
                    f"image: no face found in picture {number}. Use a picture with a larger, clearer face, or set "
                    "no_face to pass_through."
                )
            pictures.append(picture)
            masks.append(mask)
            progress.update(1)
        return io.NodeOutput(torch.stack(pictures), torch.stack(masks))


def _first_faces(face_analysis, reference) -> list:
    """The faces of the first picture that has any."""
    for picture in reference:
        if faces := detect_faces(face_analysis, picture):
            return faces
    raise ValueError(
        f"reference: no face found in its {len(reference)} picture(s). Use a photograph with one clear face, seen from "
        "the front, that fills a good part of it."
    )


NODES = [FaceAnalysisLoader, FaceSwapperLoader, FaceSwap]
