"""The API prompts of a rehearsal: the shipped workflows on its files, and what measures them."""

import copy
import json
from dataclasses import dataclass

from helpers.host_client import find
from helpers.prompts import node

from pocket.loading import CHECKOUT
from rehearsal.models import IDENTITY_NET, INSTANTID, LORA, PHOTOMAKER, SDXL

WORKFLOWS = CHECKOUT / "workflows" / "api"
# Each flow's workflow, and the files that it takes beside the checkpoint, by the input that names them.
FLOWS = {
    "PhotoMaker V1": ("customenhancer_photomaker.json", {"photomaker_name": PHOTOMAKER[1]}),
    "PhotoMaker V2": ("customenhancer_photomaker_v2.json", {"photomaker_name": PHOTOMAKER[2]}),
    "InstantID": (
        "customenhancer_instantid.json",
        {"instantid_name": INSTANTID, "control_net_name": IDENTITY_NET},
    ),
    "LoRA on one side": ("customenhancer_lora.json", {"lora_name": LORA}),
}
PRECISIONS = ("fp32", "bf16", "fp16")
SCENE, TRIPLE = "Sample the scene", "Sample the three flows"
# Ids of the nodes that are added.
RECONSTRUCTION, ERROR, EFFECT, PATCHED, LATENT, COMPUTING = (
    "reconstruction",
    "error",
    "effect",
    "patched",
    "latent",
    "computing",
)


@dataclass(frozen=True)
class Extent:
    """side: of the pictures, in pixels. steps: of the schedule. precision_side: of `precision_prompt`; None is side."""

    side: int
    steps: int
    precision_side: int | None = None

    @property
    def start_step(self) -> int:
        """The starting step: 10 of 50, and never the first, so that a run has steps of both kinds."""
        return max(1, self.steps // 5)


def find_title(prompt: dict, title: str) -> str:
    """The id of the one node with a title."""
    (node_id,) = [node_id for node_id, each in prompt.items() if each["_meta"]["title"] == title]
    return node_id


def flow_prompt(flow: str, extent: Extent, read_faces: bool = True) -> dict:
    """The workflow of one of FLOWS, with its reconstruction (forward flow off) and what measures both.

    read_faces: by InsightFace; else faces are given and not found, and no face is swapped.
    """
    file, names = FLOWS[flow]
    prompt = json.loads((WORKFLOWS / file).read_text(encoding="utf-8"))
    for each in prompt.values():
        known = {**names, "ckpt_name": SDXL}.items()
        each["inputs"].update({name: value for name, value in known if name in each["inputs"]})
    _set(prompt, "Picture size", width=extent.side, height=extent.side)
    prompt[find(prompt, "BasicScheduler")]["inputs"]["steps"] = extent.steps
    prompt[find(prompt, "CE_TripleFlowGuider")]["inputs"]["start_step"] = extent.start_step
    # The stock node reads files, with a package that not every machine has.
    prompt[find(prompt, "LoadImage")] = node("RehearsalPicture", kind="person")
    if not read_faces:
        _give_faces(prompt)
    _add_measurements(prompt)
    return prompt


def _set(prompt: dict, title: str, **inputs) -> None:
    prompt[find_title(prompt, title)]["inputs"].update(inputs)


def _give_faces(prompt: dict) -> None:
    """Put the lab's FACEANALYSIS in the place of InsightFace's, and the scene in that of the swapped scene."""
    swap = find(prompt, "CE_FaceSwap")
    scene = prompt.pop(swap)["inputs"]["image"]
    prompt.pop(find(prompt, "CE_FaceSwapperLoader"))
    for node_id, each in prompt.items():
        if each["class_type"] == "CE_FaceAnalysisLoader":
            prompt[node_id] = node("RehearsalFaceAnalysis")
        each["inputs"].update({name: scene for name, value in each["inputs"].items() if value == [swap, 0]})
        if "keypoints_image" in each["inputs"]:
            each["inputs"]["keypoints_image"] = ["keypoints", 0]
    prompt["keypoints"] = node("RehearsalPicture", kind="key points")


def _add_measurements(prompt: dict) -> None:
    guider, final = find(prompt, "CE_TripleFlowGuider"), find_title(prompt, TRIPLE)
    off = prompt["forward_off"] = copy.deepcopy(prompt[guider])
    off["inputs"]["forward_scale"] = 0.0
    prompt[RECONSTRUCTION] = copy.deepcopy(prompt[final])
    prompt[RECONSTRUCTION]["inputs"]["guider"] = ["forward_off", 0]
    prompt[RECONSTRUCTION]["_meta"]["title"] = "Sample the reconstruction"
    inverted = prompt[find(prompt, "CE_ResInversion")]["inputs"]["latent_image"]
    prompt[ERROR] = node("TestLatentDifference", a=inverted, b=[RECONSTRUCTION, 0])
    prompt[EFFECT] = node("TestLatentDifference", a=[final, 0], b=[RECONSTRUCTION, 0])
    personalised = prompt[find_title(prompt, "Forward flow: identity")]["inputs"]["model"]
    sources = {"model": personalised}
    for class_type, name, output in (("LoraLoader", "clip", 1), ("ControlNetLoader", "control_net", 0)):
        if any(each["class_type"] == class_type for each in prompt.values()):
            sources[name] = [find(prompt, class_type), output]
    prompt[PATCHED] = node("RehearsalPatched", **sources)
    prompt[LATENT] = node("RehearsalLatent", model=personalised, latent=[final, 0])


def precision_prompt(extent: Extent) -> dict:
    """ResInversion and BiMD with no forward flow, of one picture, computed in each of PRECISIONS.

    The errors are those of the nodes `error fp32` and so on. `computing bf16` and so on tell how far the precision
    moves the inversion's noise from that in fp32: it is in use where that is not 0.
    """
    side = extent.precision_side or extent.side
    prompt = {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name=SDXL),
        "positive": node("CLIPTextEncode", clip=["checkpoint", 1], text="a photo of a man in a library"),
        "negative": node("CLIPTextEncode", clip=["checkpoint", 1], text="deformed, blurry"),
        "sigmas": node(
            "BasicScheduler", model=["checkpoint", 0], scheduler="ddim_uniform", steps=extent.steps, denoise=1.0
        ),
        "picture": node("RehearsalPicture", kind="person"),
        "resized": node(
            "ImageScale",
            **{"image": ["picture", 0], "upscale_method": "bilinear", "crop": "center"},
            width=side,
            height=side,
        ),
        "latent": node("VAEEncode", pixels=["resized", 0], vae=["checkpoint", 2]),
        "no_noise": node("DisableNoise"),
    }
    for precision in PRECISIONS:
        ids = {name: f"{name} {precision}" for name in ("model", "guider", "inversion", "bimd", "sampled")}
        conds = {"positive": ["positive", 0], "negative": ["negative", 0], "cfg": 5.0}
        prompt[ids["model"]] = node("ModelComputeDtype", model=["checkpoint", 0], dtype=precision)
        prompt[ids["guider"]] = node("CFGGuider", model=[ids["model"], 0], **conds)
        sources = {"guider": [ids["guider"], 0], "sigmas": ["sigmas", 0]}
        prompt[ids["inversion"]] = node("CE_ResInversion", **sources, latent_image=["latent", 0])
        prompt[ids["bimd"]] = node("CE_BiMDSampler", residual_noise=[ids["inversion"], 0])
        prompt[ids["sampled"]] = node(
            "SamplerCustomAdvanced",
            **{"noise": ["no_noise", 0], "sampler": [ids["bimd"], 0], **sources},
            latent_image=[ids["inversion"], 1],
        )
        noise = {"a": ["inversion fp32", 1], "b": [ids["inversion"], 1]}
        prompt[f"{COMPUTING} {precision}"] = node("TestLatentDifference", **noise)
        prompt[f"{ERROR} {precision}"] = node("TestLatentDifference", a=["latent", 0], b=[ids["sampled"], 0])
    return prompt
