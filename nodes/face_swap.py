"""The face swap as a node."""

from dataclasses import replace

from comfy_api.v0_0_2 import io

from ..faces.choosing import wanted_faces
from ..faces.pasting import COLOURS, WHERE, Pasting
from ..faces.references import REFERENCE_PICTURES, chosen_references
from ..faces.swap import Retouch, swap_batch
from ..host.checked_node import CheckedNode
from .inputs import (
    FACE,
    FaceAnalysisSocket,
    FaceRestorerSocket,
    FaceSocket,
    FaceSwapperSocket,
    face_order_input,
    no_face_input,
    wanted_inputs,
)


class FaceSwapNode(CheckedNode):
    """`swap_batch` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_FaceSwap",
            display_name="Face Swap",
            category=FACE,
            description="Replaces faces in a picture with the reference person's; the rest of the picture stays "
            "bit-identical. For several people at once, set target_faces to 0,1 and reference_faces to 0,1.",
            search_aliases=["inswapper", "hyperswap", "insightface", "reactor", "roop", "faceswap"],
            inputs=[*_people_inputs(), *_paste_inputs()],
            outputs=[
                io.Image.Output(
                    display_name="image", tooltip="The pictures with the new faces, one for each picture of image."
                ),
                io.Mask.Output(
                    display_name="mask",
                    tooltip="How much of each pixel was replaced: 0 is untouched, 1 fully replaced.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        face_analysis,
        face_swapper,
        reference=None,
        target_faces="0",
        target_order="left-right",
        reference_faces="0",
        reference_order="left-right",
        no_face="error",
        face=None,
        reference_pictures="first",
        person=None,
        person_likeness=0.3,
        gender="any",
        follow_people=False,
        paste="face",
        paste_mask=None,
        feather=0.4,
        match_colours="off",
        face_restorer=None,
        restore=0.5,
    ):
        references = chosen_references(
            face_analysis, face, reference, reference_faces, reference_order, reference_pictures
        )
        wanted = wanted_faces(
            face_analysis, "target_faces", target_faces, target_order, person, person_likeness, gender
        )
        wanted = replace(wanted, follow=follow_people)
        retouch = Retouch(Pasting(paste, feather, match_colours), face_restorer, restore)
        return io.NodeOutput(
            *swap_batch(image, references, face_analysis, face_swapper, wanted, retouch, paste_mask, no_face)
        )


def _people_inputs() -> list[io.Input]:
    """Whose face goes where."""
    return [
        io.Image.Input("image", tooltip="The picture, or batch of pictures, in which faces are replaced."),
        FaceAnalysisSocket.Input("face_analysis", tooltip="From Load Face Analysis, pack buffalo_l."),
        FaceSwapperSocket.Input("face_swapper", tooltip="From Load Face Swapper."),
        io.Image.Input(
            "reference",
            optional=True,
            tooltip="The person. From a batch, the first picture that shows a face is used, unless reference_pictures "
            "is mean. Not needed if face is connected.",
        ),
        io.String.Input(
            "target_faces",
            default="0",
            optional=True,
            tooltip="Which faces of image to replace: numbers from 0 in target_order, separated by commas, or all.",
        ),
        face_order_input("target_order", "image", "left-right"),
        io.String.Input(
            "reference_faces",
            default="0",
            optional=True,
            tooltip="Which faces of reference to use: one number for all targets, or one for each in order, "
            "separated by commas.",
        ),
        face_order_input("reference_order", "reference", "left-right"),
        no_face_input(
            "What to do with a picture that does not show all of target_faces: stop with an error, or swap "
            "those that it shows and pass on the rest of it unchanged. The log then names such pictures."
        ),
        FaceSocket.Input(
            "face", optional=True, tooltip="The person, from Load Face or Save Face, in the place of reference."
        ),
        io.Combo.Input(
            "reference_pictures",
            options=list(REFERENCE_PICTURES),
            default="first",
            optional=True,
            tooltip="first: the first picture of reference that shows a face. mean: what all of them have in common, "
            "which is more like the person than one picture; those of somebody else are left out.",
        ),
        *wanted_inputs(),
        io.Boolean.Input(
            "follow_people",
            default=False,
            optional=True,
            advanced=True,
            tooltip="For the frames of a video: keep each person's number from frame to frame, whatever order "
            "target_order would give, so that people do not swap places.",
        ),
    ]


def _paste_inputs() -> list[io.Input]:
    """How the new face comes back into the picture."""
    return [
        io.Combo.Input(
            "paste",
            options=list(WHERE),
            default="face",
            optional=True,
            tooltip="What of the redrawn square replaces the picture. face: the inside of the face's outline, so hair "
            "and background stay. box: all but its border, as InsightFace does. mask: what paste_mask covers.",
        ),
        io.Mask.Input(
            "paste_mask",
            optional=True,
            tooltip="For paste mask: one mask for all pictures or one for each, of their size, such as from a face "
            "parser or SAM.",
        ),
        io.Float.Input(
            "feather",
            default=0.4,
            min=0.0,
            max=1.0,
            step=0.01,
            optional=True,
            advanced=True,
            tooltip="Width of the soft border, as a share of the face's size: around a face's outline, and half as "
            "wide inside paste_mask. The box has its own.",
        ),
        io.Combo.Input(
            "match_colours",
            options=list(COLOURS),
            default="off",
            optional=True,
            tooltip="Lab: give the new face mean and deviation of the colours that it replaces.",
        ),
        FaceRestorerSocket.Input(
            "face_restorer",
            optional=True,
            tooltip="From Load Face Restorer: draws the swapped faces, and nothing else, sharply "
            "before they are pasted.",
        ),
        io.Float.Input(
            "restore",
            default=0.5,
            min=0.0,
            max=1.0,
            step=0.05,
            optional=True,
            tooltip="How much of the restorer's picture is taken. At 1 the face is sharpest and least like the person.",
        ),
    ]


NODES = [FaceSwapNode]
