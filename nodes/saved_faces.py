"""A person read once from several pictures, kept in a file, and used wherever this pack takes a face."""

from functools import partial

from comfy_api.v0_0_2 import io

from ..faces.person import read_person
from ..faces.person_files import person_contents, read_person_file
from ..host.checked_node import CheckedNode
from ..host.checks import missing_file
from ..host.previews import told
from ..host.saved_files import SavedFiles, write_tensors
from .inputs import FACE, FaceAnalysisSocket, FaceSocket, face_inputs, prefix_input

SAVED = SavedFiles(".face.safetensors")


class SaveFaceNode(CheckedNode):
    """`read_person` as a node that keeps what it read."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_SaveFace",
            display_name="Save Face",
            category=FACE,
            description="Reads a person's face from several pictures and saves what they have in common: the mean of "
            "their normalised embeddings. Face Swap, PhotoMaker V2 and InstantID take it. The file holds no picture, "
            "but it identifies the person: keep it as you would a photograph.",
            search_aliases=["face model", "face embedding", "reactor", "insightface"],
            inputs=[
                io.Image.Input(
                    "reference_images",
                    tooltip="Pictures of one person. Those without a face are left out, and of three and more those "
                    "that show somebody else.",
                ),
                FaceAnalysisSocket.Input(
                    "face_analysis",
                    tooltip="From Load Face Analysis: buffalo_l for Face Swap and PhotoMaker V2, antelopev2 for "
                    "InstantID.",
                ),
                FaceAnalysisSocket.Input(
                    "other_face_analysis",
                    optional=True,
                    tooltip="Another pack, so that one file serves all: antelopev2 beside buffalo_l.",
                ),
                *face_inputs("reference", "each picture of reference_images"),
                prefix_input("faces/ComfyUI"),
            ],
            outputs=[FaceSocket.Output(display_name="face", tooltip="The person, for inputs called face.")],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        reference_images,
        face_analysis,
        other_face_analysis=None,
        reference_order="large-small",
        reference_face=0,
        filename_prefix="faces/ComfyUI",
    ):
        analyses = {"face_analysis": face_analysis, "other_face_analysis": other_face_analysis}
        analyses = {name: analysis for name, analysis in analyses.items() if analysis is not None}
        face = read_person(analyses, reference_images, reference_order, reference_face, "reference_images")
        tensors, metadata = person_contents(face)

        def write(path: str, host_metadata: dict[str, str]) -> None:
            write_tensors(tensors, path, {**host_metadata, **metadata})

        saved = SAVED.save(write, filename_prefix, cls.hidden)
        report = f"{saved.filename}: {face.pictures} of {len(reference_images)} pictures"
        return io.NodeOutput(face, ui={"faces": [saved], **told([], report).as_dict()})


class LoadFaceNode(CheckedNode):
    """`read_person_file` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_LoadFace",
            display_name="Load Face",
            category=FACE,
            description="Loads a person that Save Face has read, for Face Swap, PhotoMaker V2 and InstantID.",
            search_aliases=["face model", "face embedding", "reactor", "insightface"],
            inputs=[
                io.Combo.Input(
                    "face_name",
                    options=SAVED.names(),
                    tooltip=f"A *{SAVED.suffix} file in the input folder, or in the output folder, where it is saved.",
                )
            ],
            outputs=[FaceSocket.Output(display_name="face", tooltip="The person, bit-identical to what was saved.")],
        )

    @classmethod
    def validate_inputs(cls, face_name=None):
        return missing_file(partial(SAVED.find, input_name="face_name"), face_name)

    @classmethod
    def fingerprint_inputs(cls, face_name=None):
        return SAVED.fingerprint(face_name, "face_name")

    @classmethod
    def execute(cls, face_name):
        return io.NodeOutput(read_person_file(SAVED.find(face_name, "face_name"), "face_name"))


NODES = [SaveFaceNode, LoadFaceNode]
