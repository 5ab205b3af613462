"""InstantID nodes: load its file, and add a face to a MODEL and its conditionings."""

import folder_paths
from comfy_api.v0_0_2 import io

from ..faces.analysis import ChosenFace
from ..host.checked_node import CheckedNode
from ..host.checks import check_mask, check_range, missing_file
from ..identity.instantid import find_instantid, load_instantid
from ..identity.instantid_flow import Influence, check_instantid, person_shown, personalise
from .inputs import IDENTITY, FaceAnalysisSocket, FaceSocket, InstantIDSocket, face_inputs


class InstantIDLoaderNode(CheckedNode):
    """`load_instantid` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_InstantIDLoader",
            display_name="Load InstantID",
            category=IDENTITY,
            description="Loads InstantID's adapter, which turns a face into tokens that SDXL's attention layers attend "
            "to.",
            search_aliases=["instantid", "ip-adapter", "face id"],
            inputs=[
                io.Combo.Input(
                    "instantid_name",
                    options=folder_paths.get_filename_list("instantid"),
                    tooltip="A file in models/instantid: ip-adapter.bin of InstantX/InstantID, or the same as "
                    ".safetensors.",
                ),
            ],
            outputs=[InstantIDSocket.Output(display_name="instantid", tooltip="For InstantID Forward Flow.")],
        )

    @classmethod
    def validate_inputs(cls, instantid_name=None):
        return missing_file(find_instantid, instantid_name)

    @classmethod
    def execute(cls, instantid_name):
        return io.NodeOutput(load_instantid(find_instantid(instantid_name)))


def _strength_input(name: str, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=0.8, min=0.0, max=5.0, step=0.01, optional=True, tooltip=tooltip)


def _percent_inputs(part: str, what: str) -> list[io.Float.Input]:
    limits = {"min": 0.0, "max": 1.0, "step": 0.001, "optional": True, "advanced": True}
    return [
        io.Float.Input(
            f"{part}_{name}_percent",
            default=default,
            tooltip=f"{what} {acts} this fraction of sampling, 0 to 1.",
            **limits,
        )
        for name, default, acts in (("start", 0.0, "starts at"), ("end", 1.0, "stops after"))
    ]


class InstantIDForwardFlowNode(CheckedNode):
    """`personalise` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_InstantIDForwardFlow",
            display_name="InstantID Forward Flow",
            category=IDENTITY,
            description="Personalises an SDXL model with pictures of one person. Sample the model with the outputs "
            "positive and negative for the forward flow, and with conditionings that did not pass through this node "
            "for the pivot flow: for those, it predicts the same as the input model.",
            search_aliases=["instantid", "identitynet", "face id"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="An SDXL model. It is not changed: the face attention is added to a copy."
                ),
                io.Conditioning.Input(
                    "positive", tooltip="The prompt. ControlNets already on it stay and keep reading the text."
                ),
                io.Conditioning.Input("negative", tooltip="The negative prompt. It gets an all-zero face embedding."),
                InstantIDSocket.Input("instantid", tooltip="From Load InstantID."),
                io.ControlNet.Input(
                    "control_net",
                    tooltip="InstantID's IdentityNet, from Load ControlNet Model: instantid_identity_net.safetensors, "
                    "which is diffusion_pytorch_model.safetensors from the ControlNetModel folder of "
                    "InstantX/InstantID, renamed or not.",
                ),
                FaceAnalysisSocket.Input(
                    "face_analysis",
                    tooltip="From Load Face Analysis, pack antelopev2; any pack if face is connected.",
                ),
                io.Image.Input(
                    "reference_images",
                    optional=True,
                    tooltip="One or more pictures of one person, whose face embeddings are averaged. Those without a "
                    "face are left out. Not needed if face and keypoints_image are connected.",
                ),
                io.Image.Input(
                    "keypoints_image",
                    optional=True,
                    tooltip="Where the face goes and which way it is turned: a picture with a face there, such as the "
                    "scene after the face swap, or a key-point picture. If not connected, as in the first reference "
                    "picture that shows the face.",
                ),
                _strength_input("ip_adapter_scale", "Weight of the face attention. 0 turns it off."),
                _strength_input(
                    "controlnet_strength", "Strength of IdentityNet, which poses the face. 0 turns it off."
                ),
                *_percent_inputs("ip_adapter", "The face attention"),
                *_percent_inputs("controlnet", "IdentityNet"),
                *face_inputs("reference", "each picture of reference_images"),
                *face_inputs("keypoints", "keypoints_image"),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the face attention acts: 1 fully, 0 not at all. If not connected, everywhere.",
                ),
                FaceSocket.Input(
                    "face",
                    optional=True,
                    tooltip="The person, from Load Face or Save Face with the pack antelopev2, in the place of "
                    "reference_images.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="Model patched with face attention, for both flows."),
                io.Conditioning.Output(
                    display_name="positive", tooltip="The prompt with the person, for the forward flow."
                ),
                io.Conditioning.Output(
                    display_name="negative",
                    tooltip="The negative prompt with an all-zero face embedding, for the forward flow.",
                ),
                io.Image.Output(display_name="keypoints", tooltip="The key-point pictures that IdentityNet sees."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        positive,
        negative,
        instantid,
        control_net,
        face_analysis,
        reference_images=None,
        keypoints_image=None,
        ip_adapter_scale=0.8,
        controlnet_strength=0.8,
        ip_adapter_start_percent=0.0,
        ip_adapter_end_percent=1.0,
        controlnet_start_percent=0.0,
        controlnet_end_percent=1.0,
        reference_order="large-small",
        reference_face=0,
        keypoints_order="large-small",
        keypoints_face=0,
        mask=None,
        face=None,
    ):
        check_instantid(model, instantid, control_net)
        check_range("ip_adapter", ip_adapter_start_percent, ip_adapter_end_percent)
        check_range("controlnet", controlnet_start_percent, controlnet_end_percent)
        check_mask("mask", mask, "the face attention")
        in_references = ChosenFace(reference_order, reference_face)
        in_keypoints = ChosenFace(keypoints_order, keypoints_face)
        person = person_shown(face_analysis, reference_images, in_references, keypoints_image, in_keypoints, face)
        attention = Influence(ip_adapter_scale, ip_adapter_start_percent, ip_adapter_end_percent)
        control = Influence(controlnet_strength, controlnet_start_percent, controlnet_end_percent)
        flow = personalise(model, (positive, negative), instantid, control_net, person, attention, control, mask)
        return io.NodeOutput(*flow, person.keypoints)


NODES = [InstantIDLoaderNode, InstantIDForwardFlowNode]
