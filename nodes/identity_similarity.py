"""Identity Similarity: how like the reference person the faces of pictures are, in numbers."""

import comfy.model_management
import comfy.utils
import torch
from comfy_api.latest import io, ui

from ..drawing.captions import caption, caption_height
from ..identity.face_analysis import no_such_face
from ..identity.similarity import embed_person, similarity
from .face import CATEGORY, face_inputs
from .inputs import FaceAnalysisSocket as FaceAnalysis


class IdentitySimilarity(io.ComfyNode):
    """`similarity` as a node, for a batch of pictures."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CE_IdentitySimilarity",
            display_name="Identity Similarity",
            category=CATEGORY,
            description="How like the reference person the face in each picture is: the cosine between their face "
            "embeddings, 1 for the same face and about 0 for a stranger's.",
            search_aliases=["insightface", "arcface", "face distance", "likeness", "cosine"],
            inputs=[
                io.Image.Input("image", tooltip="The picture, or batch of pictures, to judge."),
                io.Image.Input(
                    "reference",
                    tooltip="The person. Several pictures count as one: by the mean of their normed embeddings. Those "
                    "without a face are left out.",
                ),
                FaceAnalysis.Input(
                    "face_analysis",
                    tooltip="From Load Face Analysis, any pack. Numbers of different packs do not compare.",
                ),
                *face_inputs("image", "image"),
                *face_inputs("reference", "reference"),
                io.Combo.Input(
                    "no_face",
                    options=["error", "pass_through"],
                    default="error",
                    optional=True,
                    tooltip="What to do with a picture of image in which there is no such face: stop, or count it as "
                    "0, as a stranger's.",
                ),
            ],
            outputs=[
                io.Float.Output(display_name="similarity", tooltip="The mean over the batch, -1 to 1."),
                io.Image.Output(display_name="image", tooltip="The pictures, each with its own number below it."),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        image,
        reference,
        face_analysis,
        image_order="large-small",
        image_face=0,
        reference_order="large-small",
        reference_face=0,
        no_face="error",
    ):
        person = embed_person(face_analysis, reference, reference_order, reference_face)
        similarities, captioned, lines = [], [], []
        progress = comfy.utils.ProgressBar(len(image))
        for number, picture in enumerate(image):
            comfy.model_management.throw_exception_if_processing_interrupted()
            value = similarity(face_analysis, picture, person, image_order, image_face)
            if value is None and no_face == "error":
                raise ValueError(
                    f"image: {no_such_face(image_face)} found in picture {number}. Use a picture with a larger, "
                    "clearer face, or set no_face to pass_through, which counts it as 0."
                )
            text = "no face, counts as 0" if value is None else f"{value:.3f}"
            strip = caption(text, caption_height(picture.shape[1]), picture.shape[1])
            similarities.append(value or 0.0)
            captioned.append(torch.cat([picture[..., :3], strip.to(picture)]))
            lines.append(f"picture {number}: {text}")
            progress.update(1)
        mean = sum(similarities) / len(similarities)
        result = torch.stack(captioned)
        shown = "\n".join([f"similarity {mean:.3f}, mean of {len(similarities)}", *lines])
        both = {**ui.PreviewImage(result, cls=cls).as_dict(), **ui.PreviewText(shown).as_dict()}
        return io.NodeOutput(mean, result, ui=both)


NODES = [IdentitySimilarity]
