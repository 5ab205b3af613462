"""The shipped workflows that show one figure each, over the HTTP API of a real server, on the tiny stand-in models."""

import copy
import io

import demo
import numpy as np
import pytest
import skimage.data
from helpers.prompts import difference
from PIL import Image, ImageSequence

# The others are the demo's, which test_server.py runs.
NAMES = sorted(path.stem for path in demo.WORKFLOWS.glob("*.json") if path.name not in demo.FLOWS.values())
STEPS, START = 4, 2
SMALL = 128  # pixels, for what takes many guider calls


def load(host, name, steps=STEPS):
    """A workflow on the stand-ins, with an astronaut in each picture that it loads, every second one mirrored."""
    prompt = demo.load_workflow(f"{name}.json", real_models=False)
    person = Image.fromarray(skimage.data.astronaut())
    loaders = [node for node in prompt.values() if node["class_type"] == "LoadImage"]
    for number, node in enumerate(loaders):
        picture = person.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if number % 2 else person
        node["inputs"]["image"] = host.upload(f"person_{number}.png", picture)
    for node in prompt.values():
        if not isinstance(node["inputs"].get("start_step", []), list):
            node["inputs"]["start_step"] = START
        if node["class_type"] == "CE_SweepValues":
            node["inputs"]["values"] = f"0, {START}, {steps}"
    demo.set_steps(prompt, steps)
    return prompt


def set_input(prompt, title, **inputs):
    prompt[demo.find_title(prompt, title)]["inputs"].update(inputs)


def add_difference(prompt, name, a, b):
    """Measure what two latents, each (title, output), differ by."""
    links = {side: [demo.find_title(prompt, title), output] for side, (title, output) in (("a", a), ("b", b))}
    prompt[name] = {"class_type": "TestLatentDifference", "inputs": links, "_meta": {"title": name}}


@pytest.mark.parametrize("name", NAMES)
def test_every_workflow_runs_and_shows_pictures(host, name):
    prompt = load(host, name)
    run = host.run(prompt)
    for node_id, output in run.outputs.items():
        for picture in output.get("images", []):
            pixels = np.asarray(host.picture(picture), float)
            assert pixels.std() > 1, prompt[node_id]["_meta"]["title"]
    assert run.outputs[demo.find_title(prompt, "Save the final picture")]["images"]


def test_the_ablation_leaves_out_one_flow_at_a_time(host):
    """Without the forward flow the swapped picture comes back; without the backward flow something else comes out."""
    prompt = load(host, "customenhancer_ablation")
    picture = ("Picture to invert", 0)
    add_difference(prompt, "without_forward", ("Sample without the forward flow", 0), picture)
    add_difference(prompt, "without_backward", ("Sample without the backward flow", 0), picture)
    add_difference(prompt, "full", ("Sample the three flows", 0), picture)
    add_difference(prompt, "backward", ("Sample the three flows", 0), ("Sample without the backward flow", 0))
    run = host.run(prompt)
    assert difference(run, "without_forward") <= 1e-5
    assert min(difference(run, name) for name in ("without_backward", "full", "backward")) > 0.1


def test_the_photograph_comes_back(host):
    """Exactly by ResInversion, not by DDIM inversion."""
    prompt = load(host, "customenhancer_resinversion")
    photograph = ("Photograph to invert", 0)
    add_difference(prompt, "resinversion", ("Sample the photograph back", 0), photograph)
    add_difference(prompt, "ddim", ("Sample back with DDIM", 0), photograph)
    run = host.run(prompt)
    assert difference(run, "resinversion") <= 1e-5 < difference(run, "ddim")


def test_without_the_target_prompt_the_photograph_comes_back(host):
    prompt = load(host, "customenhancer_photo_edit")
    add_difference(prompt, "changed", ("Sample the three flows", 0), ("Picture to invert", 0))
    assert difference(host.run(prompt), "changed") > 0.1
    set_input(prompt, "Pivot and forward flow", forward_scale=0.0)
    assert difference(host.run(prompt), "changed") <= 1e-5


def test_a_cartoon_is_inverted_part_of_the_way(host):
    """The schedule starts at less noise than the model's most, and still leads back exactly."""
    prompt = load(host, "customenhancer_on_a_cartoon")
    add_difference(prompt, "changed", ("Sample the three flows", 0), ("Picture to invert", 0))
    changed = {}
    for denoise in (0.3, 0.6):
        set_input(prompt, "Schedule", denoise=denoise)
        changed[denoise] = difference(host.run(prompt), "changed")
    assert changed[0.3] < changed[0.6]
    set_input(prompt, "Pivot and forward flow", forward_scale=0.0)
    assert difference(host.run(prompt), "changed") <= 1e-5


def test_each_identity_of_the_fusion_changes_the_picture(host):
    """The second person comes in by the face swap, the first by the forward flow: either one's picture matters."""
    prompt = load(host, "customenhancer_identity_fusion")
    demo.set_size(prompt, SMALL)
    final = demo.find_title(prompt, "Save the final picture")

    def fused():
        return np.asarray(host.picture(host.run(prompt).outputs[final]["images"][0]), float)

    both = fused()
    other = host.upload("other.png", Image.fromarray(skimage.data.astronaut()[:256, 128:384]))
    for title in ("Reference person", "Person of the swapped face"):
        before = prompt[demo.find_title(prompt, title)]["inputs"]["image"]
        set_input(prompt, title, image=other)
        assert np.abs(fused() - both).max() > 0, title
        set_input(prompt, title, image=before)


def test_the_fusion_inverts_once_and_samples_each_pair_of_the_two_sweeps(host):
    """The first pair has no forward flow, and in the last it never sets in: both give the second person's face back."""
    prompt = load(host, "customenhancer_identity_fusion")
    starts, scales = (0, 0, START, START, STEPS), (0, 1, 1, 2, 2)
    set_input(prompt, "Seed of the scene", noise_seed=7)  # the host has nothing of it from an earlier prompt
    set_input(prompt, "Values of start_step", values=", ".join(map(str, starts)))
    set_input(prompt, "Values of forward_scale", values=", ".join(map(str, scales)))
    add_difference(prompt, "changed", ("Sample the three flows", 0), ("Picture to invert", 0))
    labels = [demo.find_title(prompt, "Label: starting step and scale"), 0]
    prompt["labels"] = {"class_type": "PreviewAny", "inputs": {"source": labels}, "_meta": {"title": "labels"}}
    run = host.run(prompt)
    counts = host.get_json("/customenhancer_test/counts", prompt_id=run.prompt_id)
    calls = {prompt[node_id]["_meta"]["title"]: count["guider_calls"] for node_id, count in counts.items()}
    sampled = 5 * STEPS + (STEPS - START)  # at scale 2 a step that the forward flow acts on takes a call of each flow
    assert calls == {"Sample the scene": STEPS, "ResInversion": STEPS + 1, "Sample the three flows": sampled}
    pairs = zip(starts, scales, strict=True)
    assert run.outputs["labels"]["text"] == [f"MSS {start}, scale {scale}" for start, scale in pairs]
    off, *fused, never = map(float, run.outputs["changed"]["text"])
    assert max(off, never) <= 1e-5 and min(fused) > 0.01 and len(set(fused)) == 3
    for title in ("Likeness to the reference person", "Likeness to the second person"):
        assert len(run.outputs[demo.find_title(prompt, title)]["images"]) == len(starts)
    (plot,) = run.outputs[demo.find_title(prompt, "Likeness to the first over likeness to the second")]["images"]
    assert host.picture(plot).size == (768, 512)


def test_many_identities_cost_one_inversion(host, measured):
    """51 + 50 K guider calls after the scene, for K identities at 50 steps."""
    prompt = load(host, "customenhancer_many_identities", steps=50)
    demo.set_size(prompt, SMALL)
    run = host.run(prompt)
    counts = host.get_json("/customenhancer_test/counts", prompt_id=run.prompt_id)
    calls = {prompt[node_id]["_meta"]["title"]: count["guider_calls"] for node_id, count in counts.items()}
    assert calls.pop("Sample the scene") == 50
    persons = {f"Sample the {number} person": 50 for number in ("first", "second", "third")}
    assert calls == {"ResInversion": 51, **persons}
    measured("guider calls of three identities on one scene, after the scene", sum(calls.values()))


def test_two_people_each_change_the_picture_in_their_mask(host):
    """From the starting step on three flows are asked. With both people's off the picture with both faces comes back.

    The stand-in scene has one face, so both masks lie on it: the inner guider's person is left with the rim.
    """
    prompt = load(host, "customenhancer_two_people")
    inner, outer = "Pivot and left person's flow", "And the right person's flow"
    set_input(prompt, "Mask of the right person", expand=0)
    add_difference(prompt, "changed", ("Sample the three flows", 0), ("Picture to invert", 0))
    changed = {}
    for scales in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)):
        for title, scale in zip((inner, outer), scales, strict=True):
            set_input(prompt, title, forward_scale=scale)
        run = host.run(prompt)
        changed[scales] = difference(run, "changed")
        counts = host.get_json("/customenhancer_test/counts", prompt_id=run.prompt_id)
        calls = counts[demo.find_title(prompt, "Sample the three flows")]["guider_calls"]
        assert calls == STEPS + sum(scales) * (STEPS - START)
    assert changed.pop((0.0, 0.0)) <= 1e-5
    assert min(changed.values()) > 0.01 and len(set(changed.values())) == 3


def test_the_curve_lets_both_people_in(host):
    """A curve of zeros, as the Curve Editor holds it, leaves the pivot flow alone; half a one is another picture."""
    prompt = load(host, "customenhancer_two_people")
    add_difference(prompt, "changed", ("Sample the three flows", 0), ("Picture to invert", 0))
    changed = []
    for height in (0, 0.5, 1):
        curve = {"points": [[0, height], [1, height]], "interpolation": "linear"}
        set_input(prompt, "Forward curve of both persons", curve=curve)
        changed.append(difference(host.run(prompt), "changed"))
    assert changed[0] <= 1e-5 < 0.01 < changed[1] and changed[2] not in changed[:2]


@pytest.mark.parametrize("name", ["customenhancer_pose_control", "customenhancer_scene_control"])
def test_control_reaches_the_scene_and_the_final_picture_keeps_it(host, name, measured):
    """Beside the workflow the same scene is drawn without control."""
    prompt = load(host, name)

    def add(node_id, like, **inputs):
        prompt[node_id] = copy.deepcopy(prompt[demo.find_title(prompt, like)])
        prompt[node_id]["_meta"]["title"] = node_id
        prompt[node_id]["inputs"].update(inputs)

    control = prompt[demo.find_title(prompt, "Control of the scene alone")]["inputs"]
    add("free_guider", "Stock SDXL", positive=control["positive"], negative=control["negative"])
    add("free_sample", "Sample the scene", guider=["free_guider", 0])
    add("free_picture", "Scene", samples=["free_sample", 0])
    add("free", "Scene with an anonymous person", images=["free_picture", 0])
    run = host.run(prompt)
    titles = ("Scene with an anonymous person", "Save the final picture", "free")
    outputs = [run.outputs[demo.find_title(prompt, title)]["images"][0] for title in titles]
    controlled, final, free = (np.asarray(host.picture(output), float) for output in outputs)
    to_controlled, to_free = np.abs(final - controlled).mean(), np.abs(final - free).mean()
    measured(f"{name}: final picture to the controlled scene over to the uncontrolled", to_controlled / to_free)
    assert np.abs(controlled - free).mean() > 1 and to_controlled < to_free


def test_the_sweep_inverts_once_and_samples_for_each_value(host):
    prompt = load(host, "customenhancer_mss_sweep")
    run = host.run(prompt)
    counts = host.get_json("/customenhancer_test/counts", prompt_id=run.prompt_id)
    calls = {prompt[node_id]["_meta"]["title"]: count["guider_calls"] for node_id, count in counts.items()}
    assert calls == {"Sample the scene": STEPS, "ResInversion": STEPS + 1, "Sample the three flows": 3 * STEPS}
    (plot,) = run.outputs[demo.find_title(prompt, "Likeness by start_step")]["images"]
    assert host.picture(plot).size == (768, 512)


def test_each_step_of_the_transformation_is_a_frame(host):
    """The last one is nearest to the final picture, which has the last step's residual noise beside."""
    prompt = load(host, "customenhancer_transformation_frames")
    set_input(prompt, "Save the transformation", lossless=True)
    run = host.run(prompt)
    (movie,) = run.outputs[demo.find_title(prompt, "Save the transformation")]["images"]
    (final,) = run.outputs[demo.find_title(prompt, "Save the final picture")]["images"]
    final = np.asarray(host.picture(final), float)
    with Image.open(io.BytesIO(host.get("/view", **movie))) as movie:
        frames = [np.asarray(frame.convert("RGB"), float) for frame in ImageSequence.Iterator(movie)]
    distances = [np.abs(frame - final).mean() for frame in frames]
    assert len(frames) == STEPS
    assert distances[-1] < 1 and distances[-1] == min(distances)
