"""Nodes that keep pivots and residual noise in files: one picture inverted once serves many graphs and API jobs."""

from functools import partial

from comfy_api.v0_0_2 import io

from ..host.checked_node import CheckedNode
from ..host.checks import missing_file
from ..host.recording_files import SAVED, read_recording, write_recording
from ..host.recordings import ModelPivot, empty_latent
from ..resinversion import Recording
from .inputs import INVERSION, PivotSocket, ResidualNoiseSocket, prefix_input


def save_schema(node_id: str, display_name: str, description: str, socket, name: str, tooltip: str) -> io.Schema:
    """The schema that both save nodes have, with what they save on the socket `name`."""
    return io.Schema(
        node_id=node_id,
        display_name=display_name,
        category=INVERSION,
        description=description,
        inputs=[
            socket.Input(name, tooltip=tooltip),
            prefix_input("inversions/ComfyUI"),
        ],
        outputs=[socket.Output(display_name=name, tooltip="The input, passed through.")],
        hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
        is_output_node=True,
    )


def load_schema(node_id: str, display_name: str, description: str, socket, name: str, tooltip: str) -> io.Schema:
    """The schema that both load nodes have, with what they load on the socket `name`."""
    return io.Schema(
        node_id=node_id,
        display_name=display_name,
        category=INVERSION,
        description=description,
        inputs=[
            io.Combo.Input(
                f"{name}_name",
                options=SAVED.names(),
                tooltip=f"A *{SAVED.suffix} file in the input folder, or in the output folder, where it is saved.",
            )
        ],
        outputs=[
            socket.Output(display_name=name, tooltip=tooltip),
            io.Latent.Output(
                display_name="latent",
                tooltip="An empty latent of the picture's size, for SamplerCustomAdvanced: BiMD Sampler starts from "
                "the recorded noise.",
            ),
        ],
    )


class SaveResidualNoiseNode(CheckedNode):
    """`write_recording` of a residual noise as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return save_schema(
            "CE_SaveResidualNoise",
            "Save Residual Noise",
            "Saves an inverted picture (pivot and residual noise), so that it need not be inverted again.",
            ResidualNoiseSocket,
            "residual_noise",
            "The picture's residual noise, as recorded by ResInversion.",
        )

    @classmethod
    def execute(cls, residual_noise, filename_prefix="inversions/ComfyUI"):
        return io.NodeOutput(
            residual_noise,
            ui={"recordings": [SAVED.save(partial(write_recording, residual_noise), filename_prefix, cls.hidden)]},
        )


class SavePivotNode(CheckedNode):
    """`write_recording` of a pivot as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return save_schema(
            "CE_SavePivot",
            "Save Pivot",
            "Saves a pivot, so that Record Residual Noise can later make it exact for other guiders.",
            PivotSocket,
            "pivot",
            "The trajectory to save.",
        )

    @classmethod
    def execute(cls, pivot, filename_prefix="inversions/ComfyUI"):
        return io.NodeOutput(
            pivot, ui={"recordings": [SAVED.save(partial(write_recording, pivot), filename_prefix, cls.hidden)]}
        )


class LoadResidualNoiseNode(CheckedNode):
    """`read_recording` of a residual noise as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return load_schema(
            "CE_LoadResidualNoise",
            "Load Residual Noise",
            "Loads an inverted picture saved by Save Residual Noise, for BiMD Sampler.",
            ResidualNoiseSocket,
            "residual_noise",
            "Pivot and residual noise, bit-identical to what was saved.",
        )

    @classmethod
    def validate_inputs(cls, residual_noise_name=None):
        return missing_file(partial(SAVED.find, input_name="residual_noise_name"), residual_noise_name)

    @classmethod
    def fingerprint_inputs(cls, residual_noise_name=None):
        return SAVED.fingerprint(residual_noise_name, "residual_noise_name")

    @classmethod
    def execute(cls, residual_noise_name):
        path = SAVED.find(residual_noise_name, "residual_noise_name")
        residual_noise = read_recording(path, "residual_noise_name")
        if not isinstance(residual_noise, Recording):
            raise ValueError(
                f"residual_noise_name: {residual_noise_name} is a pivot without residual noise. Load it with Load "
                "Pivot and connect Record Residual Noise."
            )
        return io.NodeOutput(residual_noise, empty_latent(residual_noise))


class LoadPivotNode(CheckedNode):
    """`read_recording` of a pivot as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return load_schema(
            "CE_LoadPivot",
            "Load Pivot",
            "Loads a pivot saved by Save Pivot, or the pivot of a saved residual noise, for Record Residual Noise.",
            PivotSocket,
            "pivot",
            "The trajectory, bit-identical to what was saved.",
        )

    @classmethod
    def validate_inputs(cls, pivot_name=None):
        return missing_file(partial(SAVED.find, input_name="pivot_name"), pivot_name)

    @classmethod
    def fingerprint_inputs(cls, pivot_name=None):
        return SAVED.fingerprint(pivot_name, "pivot_name")

    @classmethod
    def execute(cls, pivot_name):
        recorded = read_recording(SAVED.find(pivot_name, "pivot_name"), "pivot_name")
        pivot = ModelPivot(recorded.sigmas, recorded.anchors, recorded.model_kind)
        return io.NodeOutput(pivot, empty_latent(pivot))


NODES = [SaveResidualNoiseNode, LoadResidualNoiseNode, SavePivotNode, LoadPivotNode]
