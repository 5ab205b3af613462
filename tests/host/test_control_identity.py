"""Control of the scene beside a real identity flow: key points of a face as the hint, InstantID as the forward flow.

InstantID's stand-in runs on the MODEL that the scene is drawn with, patches its attention and brings a ControlNet of
its own: whatever control left behind in the MODEL, the conditioning or a module would show in its predictions.
"""

import comfy.samplers
import pytest
import torch
from customenhancer.faces.analysis import find_face, load_face_analysis
from customenhancer.faces.keypoints import draw_keypoints
from customenhancer.identity.instantid import load_instantid
from customenhancer.nodes.faces import FaceKeypointsNode
from customenhancer.nodes.flows import BiMDSamplerNode, TripleFlowGuiderNode
from customenhancer.nodes.instantid import InstantIDForwardFlowNode
from customenhancer.nodes.inversion import ResInversionNode
from helpers.faces import insightface_folder
from helpers.scene_control import (
    NEGATIVE,
    PERSON,
    PROMPT,
    STEPS,
    apply_control,
    distance,
    draw_scene,
    sample_scene,
    scene_schedule,
    text_guider,
)
from skimage import data
from standins.control import MODULES, control_net, shallow_sdxl
from standins.faces import ASTRONAUT_FACE, FixturePicture, as_image, make_face_models, random_picture, upright_face
from standins.instantid import instantid_tensors
from standins.instantid_host import sdxl_control_net
from standins.photomaker_host import sdxl_model

pytestmark = pytest.mark.usefixtures("temporary_folder")

START_STEP = 1
FACES = (upright_face(0.2, 0.5, 0.16), upright_face(0.6, 0.3, 0.2))
GROUP = random_picture(1, 512, 512)
ASTRONAUT, CROWD = as_image(data.astronaut())[None], as_image(GROUP)[None]


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    known = [FixturePicture(data.astronaut(), (ASTRONAUT_FACE,)), FixturePicture(GROUP, FACES)]
    folder = make_face_models(tmp_path_factory.mktemp("models"), known)
    with insightface_folder(folder):
        return load_face_analysis("antelopev2", "CPU")


@pytest.fixture(scope="module")
def model():
    return sdxl_model(seed=1)


def test_key_points_of_our_face_analysis_drive_a_control_of_the_scene(analysis, temporary_folder):
    """Every face of the pictures given makes a scene of its own, and the points drawn are those that were found."""
    model = shallow_sdxl()
    free, scenes = draw_scene(model), []
    for picture, index in ((ASTRONAUT, 0), (CROWD, 0), (CROWD, 1)):
        keypoints = FaceKeypointsNode.execute(picture, analysis, image_order="left-right", image_face=index).result[0]
        found = find_face(analysis, picture[0], "left-right", index)
        assert torch.equal(keypoints[0], draw_keypoints(found.kps, 512, 512))
        scenes.append(draw_scene(model, *apply_control(control_net(), picture=keypoints)))
    assert min(distance(scene, free) for scene in scenes) > 0.01 * free.std()
    assert min(distance(a, b) for n, a in enumerate(scenes) for b in scenes[:n]) > 0  # a few points of 64 x 64 apart


class RecordedGuider(comfy.samplers.CFGGuider):
    """A CFGGuider that keeps what it was asked and said: (x, sigma, denoised) of each call, in `calls`."""

    def __init__(self, model_patcher):
        super().__init__(model_patcher)
        self.calls = []

    def predict_noise(self, x, timestep, *args, **kwargs):
        denoised = super().predict_noise(x, timestep, *args, **kwargs)
        self.calls.append((x.clone(), timestep.clone(), denoised.clone()))
        return denoised


@pytest.fixture(scope="module")
def identity_flow(model, analysis, tmp_path_factory):
    """InstantID's outputs: MODEL, positive, negative."""
    path = tmp_path_factory.mktemp("instantid") / "ip-adapter.bin"
    torch.save(instantid_tensors(seed=2), path)
    instantid, identity_net = load_instantid(str(path)), sdxl_control_net(seed=3)
    return InstantIDForwardFlowNode.execute(
        model, PERSON, NEGATIVE, instantid, identity_net, analysis, reference_images=ASTRONAUT
    ).result[:3]


@pytest.fixture(scope="module")
def inverted(identity_flow):
    """One fixed scene in the pivot flow: residual noise and noisy latent."""
    patched = identity_flow[0]
    scene = {"samples": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4)) / 0.13025}
    return ResInversionNode.execute(text_guider(patched), scene_schedule(patched), scene).result


def forward_calls(identity_flow, inverted) -> list[tuple]:
    """What the forward guider is asked and says in one sampling along three flows."""
    patched, positive, negative = identity_flow
    forward = RecordedGuider(patched)
    forward.set_conds(positive, negative)
    forward.set_cfg(3.0)
    residual_noise, noisy = inverted
    flow = TripleFlowGuiderNode.execute(text_guider(patched), forward, start_step=START_STEP).result[0]
    sample_scene(flow, BiMDSamplerNode.execute(residual_noise).result[0], noisy)
    return forward.calls


@pytest.fixture(scope="module")
def free_scene(model):
    return draw_scene(model)


@pytest.fixture(scope="module")
def without_control(free_scene, identity_flow, inverted):
    return forward_calls(identity_flow, inverted)


@pytest.mark.parametrize("kind", MODULES)
def test_the_identity_flow_predicts_the_same_bits_with_and_without_control_of_the_scene(
    model, identity_flow, inverted, without_control, free_scene, kind
):
    """At every step of the sampling, on one inverted latent, right after a scene was drawn under control."""
    controlled = draw_scene(model, *apply_control(MODULES[kind]()))
    calls = forward_calls(identity_flow, inverted)
    assert len(calls) == len(without_control) == STEPS - START_STEP
    for ours, plain in zip(calls, without_control, strict=True):
        assert all(map(torch.equal, ours, plain))
    assert not torch.equal(controlled, free_scene)
    assert all("control" not in options for _, options in (*PROMPT, *NEGATIVE, *PERSON))


def test_control_on_the_forward_flow_itself_changes_its_predictions(identity_flow, inverted, without_control):
    """That the comparison above can fail: the same module one wire further."""
    patched, positive, negative = identity_flow
    calls = forward_calls((patched, *apply_control(control_net(), positive, negative)), inverted)
    assert torch.equal(calls[0][0], without_control[0][0]) and not torch.equal(calls[0][2], without_control[0][2])
