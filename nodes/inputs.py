"""Sockets, categories and inputs that several of this pack's nodes share."""

from comfy_api.v0_0_2 import io

from ..faces.analysis import FACE_ORDERS
from ..faces.choosing import GENDERS
from ..faces.onnx_runtime import PROVIDER_CHOICES
from ..faces.person import PersonFace
from ..faces.restorers import FaceRestorer
from ..faces.swappers import FaceSwapper
from ..host.flow_norms import FlowNorms
from ..host.input_checks import instance_of, offers, own_socket
from ..host.recordings import ModelPivot, ModelRecording
from ..identity.instantid import InstantID
from ..identity.photomaker import PhotoMaker

INVERSION = "CustomEnhancer/inversion"
FLOWS = "CustomEnhancer/bimd"
FACE = "CustomEnhancer/face"
IDENTITY = "CustomEnhancer/identity"
SWEEP = "CustomEnhancer/sweep"

PivotSocket = own_socket("CE_PIVOT", instance_of(ModelPivot), "Connect an inversion, or Load Pivot.")
ResidualNoiseSocket = own_socket(
    "CE_RESIDUAL_NOISE",
    instance_of(ModelRecording),
    "Connect ResInversion, Record Residual Noise or Load Residual Noise.",
)
FlowNormsSocket = own_socket("CE_FLOW_NORMS", instance_of(FlowNorms), "Connect Triple-Flow Sample.")
# The name that other identity packs use for an InsightFace FaceAnalysis, so that their nodes and ours connect.
FaceAnalysisSocket = own_socket("FACEANALYSIS", offers("get", models=offers("get")), "Connect Load Face Analysis.")
FaceSwapperSocket = own_socket("CE_FACE_SWAPPER", instance_of(FaceSwapper), "Connect Load Face Swapper.")
FaceRestorerSocket = own_socket("CE_FACE_RESTORER", instance_of(FaceRestorer), "Connect Load Face Restorer.")
FaceSocket = own_socket("CE_FACE", instance_of(PersonFace), "Connect Load Face or Save Face.")
PhotoMakerSocket = own_socket("CE_PHOTOMAKER", instance_of(PhotoMaker), "Connect Load PhotoMaker.")
InstantIDSocket = own_socket("CE_INSTANTID", instance_of(InstantID), "Connect Load InstantID.")

SIGMAS_INPUT = io.Sigmas.Input(
    "sigmas",
    tooltip="The schedule to sample with, exactly as the scheduler outputs it; the node flips it itself. To invert "
    "only part of the way, connect low_sigmas of SplitSigmas.",
)
LATENT_IMAGE_INPUT = io.Latent.Input("latent_image", tooltip="The picture to invert, encoded by the VAE.")
INVERSION_INPUTS = [
    io.Guider.Input(
        "guider",
        tooltip="The customization-free flow: a guider whose conditioning is the prompt without the identity.",
    ),
    SIGMAS_INPUT,
    LATENT_IMAGE_INPUT,
]
PIVOT_GUIDANCE_INPUT = io.Combo.Input(
    "pivot_guidance",
    options=["conditional", "guided"],
    default="conditional",
    optional=True,
    tooltip="conditional: only the conditional prediction moves the pivot, if the guider exposes it; this keeps the "
    "pivot close to the noise that models are trained on. guided: the guider's full prediction moves it. Both cost the "
    "same.",
)


def curve_input(name: str, tooltip: str) -> io.Input:
    """An optional input for the host's CURVE, open unless it is connected.

    The host's own io.Curve.Input is an editor inside the node, which is never open.
    """
    return io.Custom(io.Curve.io_type).Input(name, optional=True, tooltip=tooltip, extra_dict={"forceInput": True})


def seed_input(tooltip: str, **options) -> io.Int.Input:
    """The optional input noise_seed. options: of the host's io.Int.Input."""
    return io.Int.Input(
        "noise_seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, optional=True, tooltip=tooltip, **options
    )


def prefix_input(default: str) -> io.String.Input:
    """The input filename_prefix of nodes that save."""
    return io.String.Input(
        "filename_prefix",
        default=default,
        optional=True,
        tooltip="Subfolder of the output folder and start of the file name; a number is appended. %year%, %month%, "
        "%day% and so on stand for the date.",
    )


def face_order_input(name: str, where: str, default: str = "large-small", **options) -> io.Combo.Input:
    """One of FACE_ORDERS. where: the input with the pictures, for the tooltip. options: further ones of the input."""
    return io.Combo.Input(
        name,
        options=list(FACE_ORDERS),
        default=default,
        optional=True,
        tooltip=f"The order in which the faces of {where} are counted. Size is the area of a face's bounding box.",
        **options,
    )


def face_inputs(part: str, where: str) -> list[io.Input]:
    """Which face counts, as inputs <part>_order and <part>_face. where: the input with the pictures, for tooltips."""
    return [
        face_order_input(f"{part}_order", where, advanced=True),
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


def provider_input() -> io.Combo.Input:
    """The input `provider` of what loads ONNX files."""
    return io.Combo.Input(
        "provider",
        options=PROVIDER_CHOICES,
        default="auto",
        optional=True,
        tooltip="What runs the face models. auto: the GPU if the installed ONNX Runtime supports it. If the choice is "
        "not available, the CPU is used and the log says so.",
    )


def no_face_input(tooltip: str) -> io.Combo.Input:
    """The choice `no_face` of nodes that go through a batch. tooltip: what pass_through does is the node's own."""
    return io.Combo.Input("no_face", options=["error", "pass_through"], default="error", optional=True, tooltip=tooltip)


def wanted_inputs() -> list[io.Input]:
    """Which faces of `image` count, other than by their numbers: one person, women or men."""
    return [
        io.Image.Input(
            "person",
            optional=True,
            tooltip="Somebody in image: in each picture the face that is most like this person's largest one is taken, "
            "and numbers do not count; gender still does.",
        ),
        io.Float.Input(
            "person_likeness",
            default=0.3,
            min=-1.0,
            max=1.0,
            step=0.01,
            optional=True,
            advanced=True,
            tooltip="How like person a face must be, as the cosine of their embeddings. Strangers have about 0, two "
            "photographs of one person 0.4 and more.",
        ),
        io.Combo.Input(
            "gender",
            options=list(GENDERS),
            default="any",
            optional=True,
            advanced=True,
            tooltip="Count only women's or only men's faces in image, as InsightFace's genderage.onnx sees them.",
        ),
    ]
