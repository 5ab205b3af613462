"""Which nodes of which workflow go into each blueprint, and what stays outside."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outside:
    """An input or output of the box. ends: the (title, socket or widget) of each node inside that it stands for."""

    name: str
    label: str
    ends: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Blueprint:
    """One box. source: a workflow's file name. inside: the titles of its nodes; None takes all but notes and pictures.

    inputs, outputs: Outside, in the order in which the box shows them; each output has one end.
    """

    description: str
    source: str
    inputs: tuple[Outside, ...]
    outputs: tuple[Outside, ...]
    inside: tuple[str, ...] | None = None


PICTURE_INPUTS = (
    Outside("balance", "Scene or identity", (("Scene or identity", "balance"),)),
    Outside("noise_seed", "Seed", (("Seed of the scene", "noise_seed"),)),
    Outside("width", "Width", (("Picture size", "width"),)),
    Outside("height", "Height", (("Picture size", "height"),)),
    Outside("ckpt_name", "SDXL checkpoint", (("SDXL checkpoint", "ckpt_name"),)),
)
PICTURE_OUTPUTS = (
    Outside("picture", "picture", (("Final picture", "IMAGE"),)),
    Outside("swapped", "scene with the face swapped in", (("Swap the face in", "image"),)),
)
REFERENCE = "reference_images"
SWAPPED_IN = ("Swap the face in", "reference")

BLUEPRINTS = {
    "CustomEnhancer (PhotoMaker)": Blueprint(
        "A person in a scene: stock SDXL draws the scene, the face is swapped in, and PhotoMaker V2 repaints the "
        "picture along its inversion.",
        "CustomEnhancer PhotoMaker V2.app.json",
        (
            Outside("photo", "photo of the person", (("Prompt", REFERENCE), SWAPPED_IN)),
            Outside("text", 'Prompt ("img" right after man, woman ...)', (("Prompt", "text"),)),
            *PICTURE_INPUTS,
            Outside("photomaker_name", "PhotoMaker file", (("PhotoMaker file", "photomaker_name"),)),
        ),
        PICTURE_OUTPUTS,
    ),
    "CustomEnhancer (InstantID)": Blueprint(
        "A person in a scene: stock SDXL draws the scene, the face is swapped in, and InstantID repaints the picture "
        "along its inversion.",
        "CustomEnhancer InstantID.app.json",
        (
            Outside("photo", "photo of the person", (("Identity and key points", REFERENCE), SWAPPED_IN)),
            Outside("text", "Prompt", (("Prompt", "text"),)),
            *PICTURE_INPUTS,
            Outside("instantid_name", "InstantID file", (("InstantID file", "instantid_name"),)),
            Outside("control_net_name", "IdentityNet", (("IdentityNet", "control_net_name"),)),
        ),
        PICTURE_OUTPUTS,
    ),
    "Invert a picture": Blueprint(
        "A picture's residual noise and noisy latent, with the guider and schedule that it was inverted with: for "
        "BiMD Sampler and SamplerCustomAdvanced.",
        "CustomEnhancer ResInversion.json",
        (
            Outside("image", "picture", (("Photograph to invert", "pixels"),)),
            Outside("model", "model", (("Schedule", "model"), ("Pivot flow: the prompt, guided", "model"))),
            Outside("clip", "clip", (("Prompt", "clip"), ("Negative prompt", "clip"))),
            Outside("vae", "vae", (("Photograph to invert", "vae"),)),
            Outside("text", "What the picture shows", (("Prompt", "text"),)),
            Outside("steps", "Steps", (("Schedule", "steps"),)),
        ),
        (
            Outside("residual_noise", "residual_noise", (("ResInversion", "residual_noise"),)),
            Outside("latent", "latent", (("ResInversion", "latent"),)),
            Outside("guider", "pivot_flow", (("Pivot flow: the prompt, guided", "GUIDER"),)),
            Outside("sigmas", "sigmas", (("Schedule", "SIGMAS"),)),
        ),
        (
            *("Prompt", "Negative prompt", "Schedule", "Pivot flow: the prompt, guided"),
            *("Photograph to invert", "ResInversion"),
        ),
    ),
    "Swap a face": Blueprint(
        "The reference person's face in a picture; the rest of the picture stays bit-identical.",
        "CustomEnhancer PhotoMaker V2.app.json",
        (
            Outside("image", "picture", (("Swap the face in", "image"),)),
            Outside("photo", "photo of the person", (SWAPPED_IN,)),
            Outside("target_faces", "Faces to replace (0, 1 or all)", (("Swap the face in", "target_faces"),)),
            Outside("model_name", "Face swapper", (("Face swapper", "model_name"),)),
            Outside("pack", "Face analysis", (("Face analysis", "pack"),)),
        ),
        (
            Outside("image", "picture", (("Swap the face in", "image"),)),
            Outside("mask", "mask", (("Swap the face in", "mask"),)),
        ),
        ("Face analysis", "Face swapper", "Swap the face in"),
    ),
}
