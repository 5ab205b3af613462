"""The demo: runs a shipped workflow in a running ComfyUI and writes its pictures and its numbers.

python tests/demo.py --server http://127.0.0.1:8188 --output output/demo/photomaker-v2 --flow photomaker-v2
"""

import argparse
import copy
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np
import safetensors.numpy
import skimage.data
from helpers.host_client import Host, HostGone, PromptError, find, find_title
from helpers.plan import plan
from PIL import Image, ImageDraw, ImageFont

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.append(str(CHECKOUT / "lab"))

from pocket import kept  # noqa: E402
from pocket.world.caption import caption  # noqa: E402
from pocket.world.identity import sample_identity  # noqa: E402
from pocket.world.pose import Pose, sample_pose  # noqa: E402
from pocket.world.render import render  # noqa: E402
from pocket.world.scene import Scene, sample_scene  # noqa: E402

WORKFLOWS = CHECKOUT / "workflows" / "api"
# The forward flows: each one's workflow.
FLOWS = {
    "photomaker-v2": "customenhancer_photomaker_v2.json",
    "photomaker-v1": "customenhancer_photomaker.json",
    "instantid": "customenhancer_instantid.json",
    "lora": "customenhancer_lora.json",
}
STAND_IN_SIZE = 256
# The stand-in for each model file that a workflow names.
STAND_INS = {
    "sd_xl_base_1.0.safetensors": "tiny_sdxl.safetensors",
    "photomaker-v1.bin": "tiny_photomaker_v1.safetensors",
    "photomaker-v2.bin": "tiny_photomaker_v2.safetensors",
    "ip-adapter.bin": "tiny_instantid.safetensors",
    "instantid_identity_net.safetensors": "tiny_identity_net.safetensors",
    "controlnet-openpose-sdxl-1.0.safetensors": "tiny_identity_net.safetensors",
    "controlnet-canny-sdxl-1.0.safetensors": "tiny_identity_net.safetensors",
    "my_person.safetensors": "tiny_lora.safetensors",
}
# The name under which a file is downloaded that the workflows know by another.
DOWNLOADED_AS = {"instantid_identity_net.safetensors": "diffusion_pytorch_model.safetensors"}
# The flows for which the pocket world has models, and what follows the person's word in the prompt.
POCKET_FLOWS = {"photomaker-v2": " img", "instantid": ""}
POCKET_SIZE = 128
# The pocket world's file in the place of each that a workflow names.
POCKET_MODELS = {
    "sd_xl_base_1.0.safetensors": kept.CHECKPOINT,
    "photomaker-v2.bin": kept.PHOTOMAKER,
    "ip-adapter.bin": kept.INSTANTID,
    "instantid_identity_net.safetensors": kept.IDENTITY_NET,
}
# Whom and what its prompt names, held out of all training; the seed of the scene's noise. Chosen for a clear picture.
POCKET_SCENE = Scene("night sky", "", " aurora-lit", "a tent", seed=0)
POCKET_POSE = Pose(x=0.5, y=0.48, face_width=0.4, garment_colour="red")
POCKET_PERSON, POCKET_SEED = 2, 5
LABELS = {
    "reference": "reference",
    "scene": "1  stock SDXL's scene",
    "swapped": "2  face swapped in",
    "reconstruction": "3  reconstruction (forward flow off)",
    "personalised": "the personalised model alone",
    "final": "4  triple-flow result",
}


def stand_in_models(prompt: dict) -> None:
    """Choose the tiny stand-ins, and a picture size that suits them, in the nodes that load model files."""
    choose_models(prompt, STAND_INS, STAND_IN_SIZE)


def choose_models(prompt: dict, files: dict[str, str], size: int) -> None:
    """Put other files in the place of those that a workflow names, and set the size of its pictures."""
    for node in prompt.values():
        for name, value in node["inputs"].items():
            if isinstance(value, str):
                node["inputs"][name] = files.get(value, value)
    set_size(prompt, size)


def choose_installed(prompt: dict, controlnets: Path) -> None:
    """Where a file of DOWNLOADED_AS is not in the folder `controlnets` by its own name, take what there is of it.

    That is its own name in a subfolder, or the name of its download, first as near to the top as possible.
    """
    for node in prompt.values():
        for name, value in node["inputs"].items():
            if isinstance(value, str) and value in DOWNLOADED_AS:
                names = value, DOWNLOADED_AS[value]
                found = [path.relative_to(controlnets) for each in names for path in controlnets.rglob(each)]
                if found:
                    node["inputs"][name] = str(min(found, key=lambda path: (names.index(path.name), len(path.parts))))


def set_size(prompt: dict, size: int) -> None:
    """Set the side of the pictures that a workflow draws, if it draws any, in pixels."""
    for node in prompt.values():
        if node["_meta"]["title"] == "Picture size":
            node["inputs"].update(width=size, height=size)


def set_steps(prompt: dict, steps: int) -> None:
    """Set the number of steps of a workflow that samples, of which its balance takes the starting step as a share."""
    for node in prompt.values():
        if node["class_type"] == "BasicScheduler":
            node["inputs"]["steps"] = steps


def pocket_world(prompt: dict, flow: str) -> Image.Image:
    """Choose the pocket world's models, a prompt in its words and a seed. Returns the reference: someone held out.

    flow: one of POCKET_FLOWS.
    """
    choose_models(prompt, POCKET_MODELS, POCKET_SIZE)
    rng = np.random.default_rng(POCKET_PERSON)
    person = sample_identity(rng, "heldout")
    text = caption(POCKET_SCENE, POCKET_POSE, person.word + POCKET_FLOWS[flow])
    prompt[find_title(prompt, "Prompt")]["inputs"]["text"] = text
    prompt[find_title(prompt, "Seed of the scene")]["inputs"]["noise_seed"] = POCKET_SEED
    prompt[find_title(prompt, "Negative prompt")]["inputs"]["text"] = ""
    pose = sample_pose(rng, "close-up", person.word)
    return Image.fromarray(render(sample_scene(rng, "heldout"), pose, person, POCKET_SIZE).pixels)


def load_workflow(file: str, real_models: bool) -> dict:
    """The API prompt of a file of WORKFLOWS, on the models that it names or on the stand-ins."""
    prompt = json.loads((WORKFLOWS / file).read_text(encoding="utf-8"))
    if not real_models:
        stand_in_models(prompt)
    return prompt


def add_branches(prompt: dict) -> dict[str, str]:
    """Add to the workflow what it is compared with. Returns the ids of the nodes that put out each picture or latent.

    reconstruction: the same sampling with the forward flow off. personalised: the forward flow alone, sampled by the
    stock sampler from the scene's own noise.
    """
    scene = find_title(prompt, "Sample the scene")
    final = find_title(prompt, "Sample the three flows")
    guider, decode = find(prompt, "CE_TripleFlowGuider"), find_title(prompt, "Final picture")
    forward_flow = prompt[guider]["inputs"]["forward_flow"]

    def add(node_id: str, like: str, title: str, **inputs) -> str:
        prompt[node_id] = copy.deepcopy(prompt[like])
        prompt[node_id]["_meta"] = {"title": title}
        prompt[node_id]["inputs"].update(inputs)
        return node_id

    def add_output(node_id: str, class_type: str, title: str, **inputs) -> str:
        prompt[node_id] = {"class_type": class_type, "inputs": inputs, "_meta": {"title": title}}
        return node_id

    add("reconstruction_guider", guider, "Forward flow off", forward_scale=0.0)
    add("reconstruction", final, "Sample the reconstruction", guider=["reconstruction_guider", 0])
    add("reconstruction_picture", decode, "Reconstruction", samples=["reconstruction", 0])
    add("personalised", scene, "Sample the personalised model alone", guider=forward_flow)
    add("personalised_picture", decode, "Personalised model alone", samples=["personalised", 0])
    latents = {"inverted_latent": [find(prompt, "VAEEncode"), 0], "reconstructed_latent": ["reconstruction", 0]}
    for name, link in latents.items():
        add_output(name, "SaveLatent", name, samples=link, filename_prefix=f"demo/{name}")
    for name in ("reconstruction", "personalised"):
        add_output(f"{name}_preview", "PreviewImage", name, images=[f"{name}_picture", 0])
    return {
        "scene": find_title(prompt, "Scene with an anonymous person"),
        "swapped": find_title(prompt, "Scene with the reference's face"),
        "reconstruction": "reconstruction_preview",
        "personalised": "personalised_preview",
        "final": find(prompt, "SaveImage"),
    }


def latent(host: Host, outputs: dict, node_id: str) -> np.ndarray:
    """The latent that a SaveLatent node wrote."""
    return safetensors.numpy.load(host.get("/view", **outputs[node_id]["latents"][0]))["latent_tensor"]


def contact_sheet(pictures: dict[str, Image.Image]) -> Image.Image:
    """All pictures in two rows of three, each with its label above it."""
    side, margin, caption = 384, 16, 34
    font = ImageFont.load_default(size=20)
    sheet = Image.new("RGB", (3 * (side + margin) + margin, 2 * (side + caption + margin) + margin), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (name, label) in enumerate(LABELS.items()):
        row, column = divmod(number, 3)
        left, top = margin + column * (side + margin), margin + row * (side + caption + margin)
        draw.text((left, top + 4), label, fill="black", font=font)
        sheet.paste(pictures[name].resize((side, side), Image.Resampling.LANCZOS), (left, top + caption))
    return sheet


def show_progress(title: str, value: int, maximum: int) -> None:
    """Keep one line on the terminal up to date."""
    bar = "#" * round(24 * value / maximum)
    sys.stderr.write(f"\r  {title[:44]:44} [{bar:24}] {value:3}/{maximum:<3}")
    sys.stderr.flush()


def run_demo(
    host: Host,
    flow: str,
    models: Path | None = None,
    pocket: bool = False,
    size: int | None = None,
    steps: int | None = None,
) -> tuple[dict[str, Image.Image], dict]:
    """Run the workflow of one of FLOWS with its branches. Returns the pictures by name, and the report.

    models: the folder of real models that the host uses in place of tiny ones. pocket: it has the pocket world's; one
    of its people is the reference. size, steps: in place of those that suit the models.
    """
    prompt = load_workflow(FLOWS[flow], bool(models) or pocket)
    if models:
        choose_installed(prompt, models / "controlnet")
    reference = pocket_world(prompt, flow) if pocket else Image.fromarray(skimage.data.astronaut())
    if size:
        set_size(prompt, size)
    if steps:
        set_steps(prompt, steps)
    prompt[find(prompt, "LoadImage")]["inputs"]["image"] = host.upload("demo_reference.png", reference)
    outputs = add_branches(prompt)
    sys.stderr.write(f"{flow}: {plan(host, prompt, models)}\n")

    started = time.perf_counter()
    run = host.run(prompt, show_progress, timeout=3600)
    total = time.perf_counter() - started
    sys.stderr.write("\n")

    counts = host.get_json("/customenhancer_test/counts", prompt_id=run.prompt_id)
    nodes = {
        "scene": find_title(prompt, "Sample the scene"),
        "inversion": find(prompt, "CE_ResInversion"),
        "bimd": find_title(prompt, "Sample the three flows"),
    }
    error = latent(host, run.outputs, "reconstructed_latent") - latent(host, run.outputs, "inverted_latent")
    stats = host.get_json("/system_stats")
    system = stats["system"]
    report = {
        "flow": flow,
        "size": prompt[find_title(prompt, "Picture size")]["inputs"]["width"],
        "steps": prompt[find(prompt, "BasicScheduler")]["inputs"]["steps"],
        "guider_calls": {name: counts[node_id]["guider_calls"] for name, node_id in nodes.items()},
        "reconstruction_max_abs_error": float(np.abs(error).max()),
        "seconds": {
            "total": round(total, 2),
            **{name: round(run.seconds[node_id], 2) for name, node_id in nodes.items()},
        },
        "versions": {
            "comfyui": system["comfyui_version"],
            "python": platform.python_version(),
            "torch": system["pytorch_version"],
        },
        "device": stats["devices"][0]["name"],
        "models": "real" if models else "the pocket world's" if pocket else "tiny stand-ins with random weights",
    }
    pictures = {name: host.picture(run.outputs[node_id]["images"][0]) for name, node_id in outputs.items()}
    return {"reference": reference, **pictures}, report


def print_table(report: dict) -> None:
    """The report as a short table."""
    print(f"{'':14}{'guider calls':>14}{'seconds':>10}")
    for name, calls in report["guider_calls"].items():
        print(f"{name:14}{calls:14}{report['seconds'][name]:10.2f}")
    print(f"{'pipeline':14}{sum(report['guider_calls'].values()):14}{report['seconds']['total']:10.2f}")
    error = report["reconstruction_max_abs_error"]
    print(f"{report['flow']}, size {report['size']}, steps {report['steps']}, reconstruction max abs error {error:.2g}")
    print(", ".join(f"{name} {version}" for name, version in report["versions"].items()), f"on {report['device']}")
    print(f"models: {report['models']}")


def main() -> None:
    """Run the demo from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", required=True, help="URL of the running ComfyUI")
    parser.add_argument("--output", type=Path, required=True, help="folder for the pictures and report.json")
    parser.add_argument("--flow", choices=FLOWS, required=True, help="the forward flow")
    models = parser.add_mutually_exclusive_group()
    models.add_argument("--models", type=Path, help="the real models folder that the server uses in place of tiny ones")
    models.add_argument("--pocket", action="store_true", help="the server has the pocket world's")
    parser.add_argument("--size", type=int, help="the side of the pictures, in pixels")
    parser.add_argument("--steps", type=int, help="the steps of the schedule")
    arguments = parser.parse_args()

    host, choices = Host(arguments.server), (arguments.models, arguments.pocket, arguments.size, arguments.steps)
    try:
        pictures, report = run_demo(host, arguments.flow, *choices)
    except (PromptError, HostGone) as error:
        sys.exit(f"\n{error}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in LABELS.keys() - {"reference"}:
        pictures[name].save(arguments.output / f"{name}.png")
    contact_sheet(pictures).save(arguments.output / "contact_sheet.png")
    (arguments.output / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    print_table(report)
    print(f"pictures and report: {arguments.output.resolve()}")


if __name__ == "__main__":
    main()
