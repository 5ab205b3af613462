"""Nodes that go through many pictures: progress, interrupts, what is held in memory, pictures in half precision."""

import weakref

import comfy.model_management
import comfy.utils
import pytest
import torch
from customenhancer.faces import keypoints, swap
from customenhancer.faces.swappers import load_face_swapper
from customenhancer.nodes.faces import FaceKeypointsNode
from customenhancer.nodes.identity_similarity import IdentitySimilarityNode
from helpers.faces import face_swap, insightface_folder
from helpers.instantid_flow import ASTRONAUT, CROWD, NOBODY, PICTURES
from helpers.photomaker_flow import run_photomaker
from standins.faces import make_face_models
from standins.instantid_host import predict

HALVES = [torch.float16, torch.bfloat16]
pytestmark = pytest.mark.usefixtures("temporary_folder")


@pytest.fixture(scope="module")
def swapper(tmp_path_factory):
    with insightface_folder(make_face_models(tmp_path_factory.mktemp("swapper"), PICTURES)):
        return load_face_swapper("inswapper_128.onnx", "CPU")


@pytest.fixture
def runs(packs, swapper, run_instantid, sdxl, clip, photomaker):
    """A run of each node with pictures in one of its inputs, by node and input."""
    buffalo = packs["buffalo_l"]
    return {
        "Face Swap, image": lambda images: face_swap(images, ASTRONAUT, buffalo, swapper, target_faces="all"),
        "Face Swap, reference": lambda images: face_swap(CROWD, images, buffalo, swapper),
        "Face Key Points": lambda images: FaceKeypointsNode.execute(images, buffalo),
        "Identity Similarity, image": lambda images: IdentitySimilarityNode.execute(images, ASTRONAUT, buffalo),
        "Identity Similarity, reference": lambda images: IdentitySimilarityNode.execute(ASTRONAUT, images, buffalo),
        "InstantID, reference": lambda images: run_instantid(reference_images=images),
        "InstantID, key points": lambda images: run_instantid(keypoints_image=images),
        "PhotoMaker": lambda images: run_photomaker(sdxl, clip, photomaker, images),
    }


NODES = [
    "Face Swap, image",
    "Face Swap, reference",
    "Face Key Points",
    "Identity Similarity, image",
    "Identity Similarity, reference",
    "InstantID, reference",
    "InstantID, key points",
    "PhotoMaker",
]


@pytest.mark.parametrize("node", NODES)
def test_progress_is_told_and_an_interrupt_stops_between_two_pictures(runs, monkeypatch, node):
    # Face Swap goes through its reference until a picture shows a face.
    images = (NOBODY if node == "Face Swap, reference" else ASTRONAUT).expand(4, -1, -1, -1)
    steps = []

    def interrupt_after_the_first(value, total, preview, node_id=None):
        steps.append((value, total))
        comfy.model_management.interrupt_current_processing((value, total) == (1, 4))

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", interrupt_after_the_first)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        runs[node](images)
    assert [step for step in steps if step[1] == 4] == [(1, 4)]


def test_an_interrupt_stops_photomakers_encoder_between_its_layers(runs, photomaker, monkeypatch):
    """All pictures go through it in one batch."""
    layers = photomaker.patcher.model.vision_model.encoder.layers
    ran = []
    handles = [layer.register_forward_hook(lambda *_, n=n: ran.append(n)) for n, layer in enumerate(layers)]
    handles.append(
        layers[0].register_forward_hook(lambda *_: comfy.model_management.interrupt_current_processing(True))
    )
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        runs["PhotoMaker"](ASTRONAUT)
    for handle in handles:
        handle.remove()
    assert ran == [0] and len(layers) > 1
    assert photomaker.patcher not in comfy.model_management.loaded_models()


@pytest.mark.parametrize(
    ("module", "function", "node"),
    [(keypoints, "draw_keypoints", "Face Key Points"), (swap, "swap_faces", "Face Swap, image")],
)
def test_pictures_of_a_result_are_held_once(runs, monkeypatch, module, function, node):
    """While one picture is worked on, at most the one before it is alive beside the result."""
    made, alive = [], []

    def watched(*args):
        alive.append(sum(picture() is not None for picture in made))
        result = original(*args)
        made.append(weakref.ref(result if torch.is_tensor(result) else result[0]))
        return result

    original = getattr(module, function)
    monkeypatch.setattr(module, function, watched)
    runs[node](ASTRONAUT.expand(5, -1, -1, -1))
    assert len(alive) == 5 and max(alive) <= 1


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("node", NODES)
def test_pictures_in_half_precision_give_what_the_same_pictures_in_single_precision_give(runs, node, dtype):
    """The host gives such pictures where it is started with --fp16-intermediates."""
    half = ASTRONAUT.to(dtype)
    in_half, in_single = (list(tensors_of(run(runs, node, images))) for images in (half, half.float()))
    assert len(in_half) == len(in_single) > 0
    for one, other in zip(in_half, in_single, strict=True):
        # Pictures that came in stay in their own precision.
        torch.testing.assert_close(one.float(), other.to(one.dtype).float(), rtol=0, atol=1e-6)


def run(runs, node, images):
    output = runs[node](images)
    return output if isinstance(output, tuple) else output.result


def tensors_of(value):
    """The tensors in a node's outputs, as far as they depend on its pictures."""
    if torch.is_tensor(value):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from tensors_of(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from tensors_of(part)
    elif hasattr(value, "keys_values"):  # a face
        yield from (value.tokens, value.keys_values)


@pytest.mark.parametrize("dtype", HALVES)
def test_key_point_pictures_in_half_precision_pass_through_and_steer(packs, run_instantid, dtype):
    drawn = FaceKeypointsNode.execute(ASTRONAUT, packs["buffalo_l"])[0].to(dtype)
    assert torch.equal(FaceKeypointsNode.execute(drawn, packs["buffalo_l"])[0], drawn)
    steered = (predict(*run_instantid(keypoints_image=images)[:3]) for images in (drawn, drawn.float()))
    torch.testing.assert_close(*steered, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", HALVES)
def test_masks_in_half_precision_act(run_instantid, dtype):
    mask = torch.zeros(1, 64, 64)
    mask[..., 32:] = 1
    one, other = (predict(*run_instantid(mask=each)[:3]) for each in (mask, mask.to(dtype)))
    assert torch.equal(one, other)
