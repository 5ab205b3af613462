"""InstantID nodes: load its file, and put a face into a MODEL and its conditionings."""

import folder_paths
from comfy_api.latest import io

from ..host.checks import check_mask, check_range, missing_file
from ..identity.face_analysis import check_recogniser, embed_faces
from ..identity.identity_net import check_identity_net, put_identity_net
from ..identity.instantid import check_sdxl, encode_faces, find_instantid, load_instantid
from ..identity.instantid_attention import Face, add_decoupled_attention, face_key, put_face
from ..identity.keypoints import keypoints_of
from .face import face_inputs
from .inputs import FaceAnalysisSocket as FaceAnalysis

CATEGORY = "CustomEnhancer/identity"
InstantIDSocket = io.Custom("CE_INSTANTID")


class InstantIDLoaderNode(io.ComfyNode):
    """`load_instantid` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_InstantIDLoader",
            display_name="Load InstantID",
            category=CATEGORY,
            description="Loads InstantID's adapter: what turns a face into something that SDXL's attention reads.",
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


def _strength_input(name: str, what: str) -> io.Float.Input:
    return io.Float.Input(name, default=0.8, min=0.0, max=5.0, step=0.01, optional=True, tooltip=what)


def _percent_inputs(part: str, what: str) -> list[io.Float.Input]:
    limits = {"min": 0.0, "max": 1.0, "step": 0.001, "optional": True, "advanced": True}
    return [
        io.Float.Input(f"{part}_{name}_percent", default=default, tooltip=f"{text} of sampling, 0 to 1.", **limits)
        for name, default, text in (
            ("start", 0.0, f"{what} acts from this part"),
            ("end", 1.0, f"{what} acts up to this part"),
        )
    ]


class InstantIDForwardFlowNode(io.ComfyNode):
    """A face in a MODEL's attention and, with IdentityNet, in its CONDITIONING, as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_InstantIDForwardFlow",
            display_name="InstantID Forward Flow",
            category=CATEGORY,
            description="Personalises an SDXL model with pictures of one person. Sample the model with the outputs "
            "positive and negative for the forward flow, and with conditionings that did not pass through here for the "
            "pivot flow: for those it is the model that came in.",
            search_aliases=["instantid", "identitynet", "face id"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="An SDXL model. It is not changed: the face's attention goes on a copy."
                ),
                io.Conditioning.Input("positive", tooltip="The prompt. ControlNets on it stay, and keep to the text."),
                io.Conditioning.Input("negative", tooltip="The negative prompt. It takes the face of nobody."),
                InstantIDSocket.Input("instantid", tooltip="From Load InstantID."),
                io.ControlNet.Input(
                    "control_net",
                    tooltip="InstantID's IdentityNet, from Load ControlNet Model: diffusion_pytorch_model.safetensors "
                    "of InstantX/InstantID's folder ControlNetModel.",
                ),
                FaceAnalysis.Input("face_analysis", tooltip="From Load Face Analysis, pack antelopev2."),
                io.Image.Input(
                    "reference_images",
                    tooltip="One or more pictures of one person; their mean counts. Those without a face are left out.",
                ),
                io.Image.Input(
                    "keypoints_image",
                    optional=True,
                    tooltip="Where the face goes and how it is turned: a picture with a face there (the swapped scene, "
                    "say), or a key-point picture. Without it, as in the first reference picture.",
                ),
                _strength_input("ip_adapter_scale", "How much the attention to the face adds. 0: nothing."),
                _strength_input("controlnet_strength", "How much IdentityNet steers, by key points. 0: not at all."),
                *_percent_inputs("ip_adapter", "The attention to the face"),
                *_percent_inputs("controlnet", "IdentityNet"),
                *face_inputs("reference", "each of reference_images"),
                *face_inputs("keypoints", "keypoints_image"),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the attention to the face acts: 1 fully, 0 not at all. Without it, everywhere.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model that heeds faces, for both flows."),
                io.Conditioning.Output(display_name="positive", tooltip="The prompt with the person: forward flow."),
                io.Conditioning.Output(
                    display_name="negative", tooltip="The negative prompt with nobody: forward flow."
                ),
                io.Image.Output(display_name="keypoints", tooltip="What IdentityNet is shown."),
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
        reference_images,
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
    ):
        check_sdxl(model)
        check_recogniser(face_analysis, "antelopev2", "InstantID")
        check_identity_net(control_net, model, instantid.token_width)
        check_range("ip_adapter", ip_adapter_start_percent, ip_adapter_end_percent)
        check_range("controlnet", controlnet_start_percent, controlnet_end_percent)
        check_mask("mask", mask, "the attention to the face")
        shown, embeddings = embed_faces(face_analysis, reference_images, reference_order, reference_face)
        if keypoints_image is None:
            first = reference_images[shown[:1]]
            keypoints = keypoints_of("reference_images", first, face_analysis, reference_order, reference_face)
        else:
            keypoints = keypoints_of("keypoints_image", keypoints_image, face_analysis, keypoints_order, keypoints_face)
        if ip_adapter_scale == 0 and controlnet_strength == 0:
            return io.NodeOutput(model, positive, negative, keypoints)

        patched = add_decoupled_attention(model, instantid.widths)
        settings = ip_adapter_scale, ip_adapter_start_percent, ip_adapter_end_percent, mask
        faces = [Face(*encoded, *settings) for encoded in encode_faces(instantid, embeddings)]
        key = face_key()
        conditionings = [put_face(*each, key) for each in zip((positive, negative), faces, strict=True)]
        if controlnet_strength != 0:
            percents = controlnet_start_percent, controlnet_end_percent
            conditionings = put_identity_net(conditionings, control_net, keypoints, controlnet_strength, percents, key)
        return io.NodeOutput(patched, *conditionings, keypoints)


NODES = [InstantIDLoaderNode, InstantIDForwardFlowNode]
