"""The shipped API prompts on the pocket world's models, and the pictures that their nodes put out."""

import copy
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from demo import POCKET_MODELS, choose_models, set_steps
from helpers.host_client import Host, find_title
from helpers.published_models import published_models
from helpers.workflow_files import api_twin
from PIL import Image
from standins.face_extras import write_restorer

from cards import CHECKOUT
from cards.cast import SIDE
from pocket import kept

WORKFLOWS = CHECKOUT / "workflows"
STEPS, SHIPPED_STEPS, SHIPPED_SIDE = 20, 50, 1024
# What stands in for files that have no model of their own in the pocket world: V2 of PhotoMaker for V1, and its own
# control modules.
MODELS = POCKET_MODELS | {
    "photomaker-v1.bin": kept.PHOTOMAKER,
    "controlnet-openpose-sdxl-1.0.safetensors": "pocket_pose.safetensors",
    "controlnet-canny-sdxl-1.0.safetensors": "pocket_edges.safetensors",
}
GFPGAN = Path("facerestore_models", "gfpgan_1.4.onnx")
SHOW = "card: "  # what the titles of added nodes begin with


def card_models(pocket: Path, folder: Path, stands_in: Mapping[str, str] | None = None) -> Path:
    """A models folder of the pocket world's, with a stand-in for what that has none of, a face restorer.

    stands_in: by the name of a published file, the file to be found under that name as well.
    """
    published_models(pocket, folder, stands_in or {})
    write_restorer(folder / GFPGAN)
    return folder


def pocket_prompt(
    workflow: str,
    pictures: Mapping[str, list[str]],
    inputs: Mapping[str, Mapping[str, object]],
    shown: Iterable[str],
    seed: int,
) -> dict:
    """The API prompt of a workflow, set for the pocket world.

    workflow: the stem of its UI file. pictures: by the title of a LoadImage, names in the host's input folder; of
    several, all go to the identity model, and the first to whatever else the node feeds. inputs: by a node's title,
    what its inputs are set to. shown: titles of nodes whose pictures are wanted. seed: of the scene's noise.
    """
    prompt = json.loads(api_twin(WORKFLOWS / f"{workflow}.json").read_text(encoding="utf-8"))
    _shrink(prompt)
    _find_faces_for_photomaker(prompt)
    for title, name, value in (("Seed of the scene", "noise_seed", seed), ("Negative prompt", "text", "")):
        if any(node["_meta"]["title"] == title for node in prompt.values()):
            prompt[find_title(prompt, title)]["inputs"][name] = value
    for title, values in inputs.items():
        prompt[find_title(prompt, title)]["inputs"].update(values)
    for title, names in pictures.items():
        _load(prompt, find_title(prompt, title), names)
    for title in shown:
        link = [find_title(prompt, title), 0]
        _add(prompt, SHOW + title, "PreviewImage", images=link)
    return prompt


def draw(host: Host, prompt: dict) -> dict[str, list[Image.Image]]:
    """Run a prompt of `pocket_prompt` and fetch the pictures, by the titles that were to be shown."""
    run = host.run(prompt)
    return {
        node["_meta"]["title"].removeprefix(SHOW): [host.picture(image) for image in run.outputs[node_id]["images"]]
        for node_id, node in prompt.items()
        if node["_meta"]["title"].startswith(SHOW)
    }


def _shrink(prompt: dict) -> None:
    """The pocket world's models, its size, and STEPS steps, of which what is counted in steps keeps its share."""
    choose_models(prompt, MODELS, SIDE)
    set_steps(prompt, STEPS)
    for node in prompt.values():
        if isinstance(node["inputs"].get("start_step"), int):
            node["inputs"]["start_step"] = _share(node["inputs"]["start_step"])
        if node["_meta"]["title"] == "Values of start_step":
            separator = ":" if ":" in node["inputs"]["values"] else ","
            values = node["inputs"]["values"].split(separator)
            node["inputs"]["values"] = separator.join(str(_share(int(value))) for value in values)
        if node["class_type"] == "GrowMask":
            node["inputs"]["expand"] = node["inputs"]["expand"] * SIDE // SHIPPED_SIDE


def _share(step: int) -> int:
    return step * STEPS // SHIPPED_STEPS


def _find_faces_for_photomaker(prompt: dict) -> None:
    """The pocket world's PhotoMaker sees faces alone, as V2 does: give it what finds them."""
    wanting = [
        node
        for node in prompt.values()
        if node["class_type"] == "CE_PhotoMakerForwardFlow" and "face_analysis" not in node["inputs"]
    ]
    if wanting:
        faces = _add(prompt, "Faces for PhotoMaker", "CE_FaceAnalysisLoader", pack="buffalo_l")
        for node in wanting:
            node["inputs"]["face_analysis"] = [faces, 0]


def _load(prompt: dict, loader: str, names: list[str]) -> None:
    prompt[loader]["inputs"]["image"] = names[0]
    link = [loader, 0]
    for number, name in enumerate(names[1:], 2):
        other = _add(prompt, f"Picture {number}", "LoadImage", image=name)
        link = [_add(prompt, f"Pictures up to {number}", "ImageBatch", image1=link, image2=[other, 0]), 0]
    for node in prompt.values():
        if node["inputs"].get("reference_images") == [loader, 0]:
            node["inputs"]["reference_images"] = copy.copy(link)


def _add(prompt: dict, title: str, class_type: str, **inputs) -> str:
    prompt[title] = {"class_type": class_type, "inputs": inputs, "_meta": {"title": title}}
    return title
