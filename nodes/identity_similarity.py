"""Identity Similarity: how much the faces of pictures resemble the reference person, in numbers."""

from comfy_api.v0_0_2 import io

from ..drawing.captions import captioned
from ..faces.similarity import batch_similarity, embed_person
from ..host.checked_node import CheckedNode
from ..host.previews import image_with_text
from .inputs import FACE, FaceAnalysisSocket, face_inputs, no_face_input


class IdentitySimilarityNode(CheckedNode):
    """`batch_similarity` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_IdentitySimilarity",
            display_name="Identity Similarity",
            category=FACE,
            description="How much the face in each picture resembles the reference person: the cosine similarity of "
            "their face embeddings, 1 for the same face and about 0 for a stranger's.",
            search_aliases=["insightface", "arcface", "face distance", "likeness", "cosine"],
            inputs=[
                io.Image.Input("image", tooltip="The picture, or batch of pictures, to compare with the person."),
                io.Image.Input(
                    "reference",
                    tooltip="The person. Several pictures are combined into the mean of their normalised embeddings. "
                    "Those without a face are left out.",
                ),
                FaceAnalysisSocket.Input(
                    "face_analysis",
                    tooltip="From Load Face Analysis, any pack. Values from different packs are not comparable.",
                ),
                *face_inputs("image", "image"),
                *face_inputs("reference", "reference"),
                no_face_input(
                    "What to do with a picture of image that shows no such face: stop with an error, or count it as 0, "
                    "like a stranger's."
                ),
            ],
            outputs=[
                io.Float.Output(display_name="similarity", tooltip="The mean over the batch, -1 to 1."),
                io.Image.Output(display_name="image", tooltip="The pictures, each with its own value below it."),
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
        found = batch_similarity(face_analysis, image, person, image_order, image_face, no_face)
        shown = captioned(image, found.labels)
        return io.NodeOutput(found.mean, shown, ui=image_with_text(shown, found.report, cls))


NODES = [IdentitySimilarityNode]
