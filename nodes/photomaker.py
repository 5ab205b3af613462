"""PhotoMaker nodes: load a file, and make a personalised MODEL and both conditionings from it."""

import folder_paths
from comfy_api.v0_0_2 import io

from ..faces.analysis import ChosenFace
from ..host.checked_node import CheckedNode
from ..host.checks import missing_file
from ..identity.photomaker import encode_prompt, find_photomaker, load_photomaker
from ..identity.photomaker_lora import apply_lora, need_lora
from .inputs import IDENTITY, FaceAnalysisSocket, FaceSocket, PhotoMakerSocket, face_inputs


class PhotoMakerLoaderNode(CheckedNode):
    """`load_photomaker` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_PhotoMakerLoader",
            display_name="Load PhotoMaker",
            category=IDENTITY,
            description="Loads a PhotoMaker file: the identity encoder and the LoRA that belongs to it.",
            inputs=[
                io.Combo.Input(
                    "photomaker_name",
                    options=folder_paths.get_filename_list("photomaker"),
                    tooltip="A file in models/photomaker: photomaker-v1.bin of TencentARC/PhotoMaker or "
                    "photomaker-v2.bin of TencentARC/PhotoMaker-V2, or the same as .safetensors. The version is "
                    "detected from the file.",
                ),
            ],
            outputs=[
                PhotoMakerSocket.Output(
                    display_name="photomaker", tooltip="The identity encoder and the LoRA of this file."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, photomaker_name=None):
        return missing_file(find_photomaker, photomaker_name)

    @classmethod
    def execute(cls, photomaker_name):
        return io.NodeOutput(load_photomaker(find_photomaker(photomaker_name)))


class PhotoMakerForwardFlowNode(CheckedNode):
    """`apply_lora` and `encode_prompt` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_PhotoMakerForwardFlow",
            display_name="PhotoMaker Forward Flow",
            category=IDENTITY,
            description="Personalises an SDXL model with pictures of one person. Sample the model with positive for "
            "the forward flow, and with customization_free for the pivot flow.",
            inputs=[
                io.Model.Input("model", tooltip="An SDXL model. It is not changed: the LoRA is applied to a copy."),
                io.Clip.Input("clip", tooltip="The two text encoders of that SDXL model."),
                PhotoMakerSocket.Input("photomaker", tooltip="From Load PhotoMaker."),
                io.Image.Input(
                    "reference_images",
                    tooltip="One or more pictures of one person, cropped to the head (the centre square of each is "
                    "used). Each takes up one token of the prompt, or two in V2. V2 leaves out those without a face, "
                    "unless face is connected.",
                ),
                io.String.Input(
                    "text",
                    multiline=True,
                    dynamic_prompts=True,
                    placeholder="a photo of a man img, ...",
                    tooltip='The prompt, with the trigger once, right after the class word: "a photo of a man img, '
                    'smiling". Weights such as (smiling:1.2) work. On the class word, as in (man img:1.2), a weight '
                    "turns the direction of the person's tokens but does not change their strength: PhotoMaker "
                    "normalises them.",
                ),
                io.String.Input(
                    "trigger",
                    default="img",
                    optional=True,
                    tooltip="The word in text that marks the class word before it as the person. It is removed from "
                    "the prompt itself.",
                ),
                io.Float.Input(
                    "lora_strength",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.01,
                    optional=True,
                    tooltip="Strength of the file's LoRA on the model. 1: as trained. 0: the model stays unchanged.",
                ),
                FaceAnalysisSocket.Input(
                    "face_analysis",
                    optional=True,
                    tooltip="For PhotoMaker V2: from Load Face Analysis, pack buffalo_l. V1 needs it only to choose "
                    "another face than the largest.",
                ),
                *face_inputs("reference", "each picture of reference_images"),
                FaceSocket.Input(
                    "face",
                    optional=True,
                    tooltip="For PhotoMaker V2: the person from Load Face or Save Face, whose embedding then stands "
                    "beside each picture in place of the picture's own, without a face_analysis.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model with the LoRA, for both flows."),
                io.Conditioning.Output(
                    display_name="positive", tooltip="The prompt with the person, for the forward flow."
                ),
                io.Conditioning.Output(
                    display_name="customization_free",
                    tooltip="The prompt without trigger and person, for the inversion and the pivot flow.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        clip,
        photomaker,
        reference_images,
        text,
        trigger="img",
        lora_strength=1.0,
        face_analysis=None,
        reference_order="large-small",
        reference_face=0,
        face=None,
    ):
        personalised = apply_lora(model, photomaker, lora_strength)
        chosen = ChosenFace(reference_order, reference_face)
        positive, free = encode_prompt(photomaker, clip, reference_images, text, trigger, face_analysis, chosen, face)
        return io.NodeOutput(personalised, need_lora(positive, photomaker, lora_strength), free)


NODES = [PhotoMakerLoaderNode, PhotoMakerForwardFlowNode]
