"""What the nodes' schemas share: this pack's sockets, the menu's categories, and inputs that several nodes have."""

from comfy_api.latest import io

from ..identity.face_analysis import FACE_ORDERS

# The folders of the menu that the nodes are in.
INVERSION = "CustomEnhancer/inversion"
FLOWS = "CustomEnhancer/bimd"
FACE = "CustomEnhancer/face"
IDENTITY = "CustomEnhancer/identity"
SWEEP = "CustomEnhancer/sweep"

PivotSocket = io.Custom("CE_PIVOT")
ResidualNoiseSocket = io.Custom("CE_RESIDUAL_NOISE")
FlowNormsSocket = io.Custom("CE_FLOW_NORMS")
# The name that other identity packs use for an InsightFace FaceAnalysis, so that their nodes and ours connect.
FaceAnalysisSocket = io.Custom("FACEANALYSIS")
FaceSwapperSocket = io.Custom("CE_FACE_SWAPPER")
PhotoMakerSocket = io.Custom("CE_PHOTOMAKER")
InstantIDSocket = io.Custom("CE_INSTANTID")


def curve_input(name: str, tooltip: str) -> io.Input:
    """An optional input for the host's CURVE, open unless it is connected.

    The host's own io.Curve.Input is an editor inside the node, which is never open.
    """
    return io.Custom(io.Curve.io_type).Input(name, optional=True, tooltip=tooltip, extra_dict={"forceInput": True})


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


def no_face_input(tooltip: str) -> io.Combo.Input:
    """The choice `no_face` of nodes that go through a batch. tooltip: what pass_through does is the node's own."""
    return io.Combo.Input("no_face", options=["error", "pass_through"], default="error", optional=True, tooltip=tooltip)
