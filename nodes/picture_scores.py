"""Picture Scores: face similarity, CLIP-T and the distance from the scene, of each picture and on average."""

from comfy_api.v0_0_2 import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..drawing.captions import captioned
from ..drawing.scores import Score, measured, score_lines, score_report
from ..faces.pictures import centre, each_picture
from ..faces.scene_distance import distances_from_scene
from ..faces.similarity import batch_similarity, embed_person, saved_person
from ..host.checked_node import CheckedNode
from ..host.checks import check_beside
from ..host.clip_score import clip_scores
from ..host.previews import image_with_text
from .inputs import FACE, FaceAnalysisSocket, FaceSocket, face_inputs, no_face_input

CONNECT_CLIP = "Connect both halves of one CLIP, or neither."
# What needs what beside it, and what to do.
NEEDS = [
    ("reference", "face_analysis", "Connect Load Face Analysis."),
    ("face", "face_analysis", "Connect Load Face Analysis."),
    ("clip_vision", "clip", CONNECT_CLIP),
    ("clip", "clip_vision", CONNECT_CLIP),
    ("mask", "scene", "Connect the picture that image was made of, or disconnect the mask."),
]
# By output, what makes its score.
MAKERS = {
    "face_similarity": "face_analysis, and reference or face",
    "clip_t": "clip_vision and clip",
    "scene_distance": "scene",
}


class PictureScoresNode(CheckedNode):
    """`batch_similarity`, `clip_scores` and `distances_from_scene` as a node: those of them that are connected."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_PictureScores",
            display_name="Picture Scores",
            category=FACE,
            description="What the tables of papers say of pictures, in the graph: how much the face resembles the "
            "person, how well the picture fits the prompt (CLIP-T), and how far it is from the scene outside the head. "
            "Each score is measured where its inputs are connected.",
            search_aliases=["clip score", "clip-t", "face sim", "metrics", "evaluation", "insightface", "cosine"],
            inputs=[
                io.Image.Input("image", tooltip="The picture, or batch of pictures, to score."),
                *_face_group(),
                *_clip_group(),
                *_scene_group(),
                *face_inputs("image", "image and of scene"),
                *face_inputs("reference", "reference"),
                no_face_input(
                    "What to do with a picture that shows no such face: stop with an error, or count image as 0, like "
                    "a stranger's, and compare the whole of scene."
                ),
            ],
            outputs=[
                io.Float.Output(
                    display_name="face_similarity",
                    tooltip="The mean over the batch, -1 to 1. An error if it is used and was not measured.",
                ),
                io.Float.Output(
                    display_name="clip_t",
                    tooltip="The mean over the batch, -1 to 1. An error if it is used and was not measured.",
                ),
                io.Float.Output(
                    display_name="scene_distance",
                    tooltip="The mean over the batch, 0 (the same) to 1. An error if it is used and was not measured.",
                ),
                io.Image.Output(display_name="image", tooltip="The pictures, each with its own scores below it."),
                io.String.Output(display_name="report", tooltip="The means, and the scores of each picture."),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        image,
        face_analysis=None,
        reference=None,
        face=None,
        clip_vision=None,
        clip=None,
        text="",
        scene=None,
        mask=None,
        image_order="large-small",
        image_face=0,
        reference_order="large-small",
        reference_face=0,
        no_face="error",
    ):
        given = {"face_analysis": face_analysis, "reference": reference, "face": face, "scene": scene, "mask": mask}
        given |= {"clip_vision": clip_vision, "clip": clip}
        for name, other, remedy in NEEDS:
            check_beside(name, other, given, remedy)

        scores: dict[str, Score] = {}
        if face is not None or reference is not None:
            if face is not None:
                person = saved_person(face_analysis, face)
            else:
                person = embed_person(face_analysis, reference, reference_order, reference_face)
            found = batch_similarity(face_analysis, image, person, image_order, image_face, no_face)
            scores["face_similarity"] = Score("face", found.mean, found.labels)
        if clip is not None:
            pictures = (picture for _, picture in each_picture(centre(image)))
            values, notes = clip_scores(clip_vision, clip, text, pictures)
            scores["clip_t"] = measured("CLIP-T", values, ", ".join(notes))
        if scene is not None:
            values, where = distances_from_scene(image, scene, face_analysis, mask, image_order, image_face, no_face)
            scores["scene_distance"] = measured("scene distance", values, where)
        if not scores:
            raise ValueError(f"image: nothing to score it by is connected. Connect {'; or '.join(MAKERS.values())}.")

        shown = captioned(image, score_lines([*scores.values()]))
        report = score_report([*scores.values()])
        means = [
            scores[name].mean
            if name in scores
            else ExecutionBlocker(f"{name}: was not measured. Connect {makers} to Picture Scores.")
            for name, makers in MAKERS.items()
        ]
        return io.NodeOutput(*means, shown, report, ui=image_with_text(shown, report, cls))


def _face_group() -> list[io.Input]:
    """What face similarity needs."""
    return [
        FaceAnalysisSocket.Input(
            "face_analysis",
            optional=True,
            tooltip="For face similarity, and to find the head in scene: from Load Face Analysis, any pack. Values "
            "from different packs are not comparable.",
        ),
        io.Image.Input(
            "reference",
            optional=True,
            tooltip="For face similarity: the person. Several pictures are combined into the mean of their normalised "
            "embeddings. Those without a face are left out. Not needed if face is connected.",
        ),
        FaceSocket.Input(
            "face",
            optional=True,
            tooltip="The person, from Load Face or Save Face, in the place of reference. It must have been read with "
            "the pack of face_analysis.",
        ),
    ]


def _clip_group() -> list[io.Input]:
    """What CLIP-T needs."""
    return [
        io.ClipVision.Input(
            "clip_vision",
            optional=True,
            tooltip="For CLIP-T: the image half of a CLIP, from Load CLIP Vision. For the CLIP of an SDXL checkpoint "
            "that is CLIP-ViT-bigG-14-laion2B-39B-b160k.safetensors.",
        ),
        io.Clip.Input(
            "clip",
            optional=True,
            tooltip="For CLIP-T: the text half of the same CLIP, without a LoRA. Of two text encoders the one that "
            "belongs to clip_vision is used. A fine-tuned checkpoint may have changed it.",
        ),
        io.String.Input(
            "text",
            multiline=True,
            optional=True,
            tooltip="For CLIP-T: the prompt of the pictures without the trigger word, such as img, which means nothing "
            "to CLIP. Only what CLIP reads at once counts, 75 tokens. Weights such as (smiling:1.2) do not count.",
        ),
    ]


def _scene_group() -> list[io.Input]:
    """What the distance from the scene needs."""
    return [
        io.Image.Input(
            "scene",
            optional=True,
            tooltip="For the distance from the scene: the picture that image was made of, before or after the face "
            "swap. One for all, or one for each, of the same size. A box around the head is left out if face_analysis "
            "is connected.",
        ),
        io.Mask.Input(
            "mask",
            optional=True,
            tooltip="What to leave out of the distance from the scene, in the place of the head: 1 is left out. One "
            "for all, or one for each.",
        ),
    ]


NODES = [PictureScoresNode]
