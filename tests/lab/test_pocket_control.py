"""The pocket world's control modules and InstantID: what is trained narrow is the same in the files that are loaded."""

import sys
from types import SimpleNamespace

import comfy.controlnet
import comfy.sd
import comfy.utils
import numpy as np
import pytest
import torch
from comfy_extras.nodes_canny import Canny
from customenhancer.faces.keypoints import draw_keypoints
from customenhancer.identity.instantid import load_instantid
from customenhancer.nodes.instantid import InstantIDForwardFlowNode
from helpers.lab import PROMPT, shaken
from nodes import ControlNetApplyAdvanced
from safetensors.torch import save_file
from standins.instantid_host import predict
from support_pack.tiny_sdxl import register_tiny_sdxl

from pocket import (
    checkpoint,
    control,
    encode_hints,
    encode_latents,
    hints,
    instantid,
    kept,
    measure_control,
    measure_instantid,
    models_folder,
    text,
    train_control,
    train_instantid,
    unet,
    vae,
)
from pocket.examples import example

TIMESTEP = 600
POINTS = np.array([[50.3, 50], [71, 48.6], [62, 61], [53, 70.2], [69, 69]])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return shaken(unet.TextToImage(text.token_ids(["", PROMPT]).unique()), 1)


@pytest.fixture(scope="module")
def trained(model):
    """A control module and an InstantID."""
    torch.manual_seed(2)
    module, personalised = control.Control(model.unet.state_dict()), instantid.InstantID(model.unet.state_dict())
    for each in (module, personalised.identity_net):
        each.fit_to(hints.as_hint(hints.keypoints_picture(POINTS)[None]))
    return shaken(module, 3), shaken(personalised, 4)


@pytest.fixture(scope="module")
def files(model, trained, tmp_path_factory):
    """The folder in which all is written as the loaders want it."""
    register_tiny_sdxl()
    folder, weights = tmp_path_factory.mktemp("pocket"), model.unet.state_dict()
    module, personalised = (each.state_dict() for each in trained)
    contents = {
        "sdxl": checkpoint.checkpoint_tensors(model.state_dict(), vae.VAE().file_weights()),
        "control": control.control_tensors(module, weights),
        "instantid": instantid.instantid_tensors(personalised),
        "identity_net": instantid.identity_net_tensors(personalised, weights),
    }
    for name, tensors in contents.items():
        save_file(tensors, folder / f"{name}.safetensors")
    return folder


@pytest.fixture(scope="module")
def stock(files):
    """MODEL and the CONDITIONING of PROMPT, by the stock loader."""
    patcher, clip = comfy.sd.load_checkpoint_guess_config(str(files / "sdxl.safetensors"))[:2]
    context, pooled = clip.encode_from_tokens(clip.tokenize(PROMPT), return_pooled=True)
    return patcher, [[context, {"pooled_output": pooled}]]


def of_the_host(patcher, conditioning):
    """The noise that the host predicts in `picture()` at TIMESTEP."""
    sigma = patcher.get_model_object("model_sampling").sigmas[TIMESTEP].item()
    denoised = predict(patcher, conditioning, sigma=sigma, size=(16, 16))
    return picture() - denoised / sigma


def picture():
    """(1, 4, 16, 16), as `predict` makes it; all of it is noise."""
    return torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(5))


@torch.no_grad()
def inputs(model):
    """x, timesteps, context and y of the same."""
    signal = unet.alphas_bar()[TIMESTEP]
    return (1 - signal).sqrt() * picture(), torch.tensor([float(TIMESTEP)]), *model.text(text.token_ids([PROMPT]))


@torch.no_grad()
def test_the_control_module_in_the_stock_loader_steers_as_in_training(model, trained, files, stock):
    patcher, positive = stock
    module = comfy.controlnet.load_controlnet(str(files / "control.safetensors"))
    shown = draw_keypoints(POINTS, hints.SIZE, hints.SIZE)[None]
    steered, _ = ControlNetApplyAdvanced().apply_controlnet(positive, positive, module, shown, 1.0, 0.0, 1.0)
    hint, x = hints.as_hint(hints.keypoints_picture(POINTS)[None]), inputs(model)
    ours = control.controlled(model.unet, trained[0](model.unet.state_dict(), hint, *x), *x)
    plain, other = (
        control.controlled(model.unet, added, *x)
        for added in (None, trained[0](model.unet.state_dict(), hint.flip(3), *x))
    )
    assert (ours - plain).abs().mean() > 0.02 and (ours - other).abs().mean() > 1e-3
    assert torch.allclose(of_the_host(patcher, positive), plain, atol=1e-2)
    assert torch.allclose(of_the_host(patcher, steered), ours, atol=1e-2)


@torch.no_grad()
def test_the_instantid_node_personalises_as_in_training(model, trained, files, stock):
    patcher, positive = stock
    face = torch.randn(1, 512, generator=torch.Generator().manual_seed(6))
    found = SimpleNamespace(bbox=np.array([40.0, 40, 80, 80]), kps=POINTS, embedding=face[0].numpy())
    analysis = SimpleNamespace(models={"recognition": object()}, get=lambda _: [found])
    personalised, steered, _, _ = InstantIDForwardFlowNode.execute(
        model=patcher,
        positive=positive,
        negative=positive,
        instantid=load_instantid(str(files / "instantid.safetensors")),
        control_net=comfy.controlnet.load_controlnet(str(files / "identity_net.safetensors")),
        face_analysis=analysis,
        reference_images=torch.rand(1, hints.SIZE, hints.SIZE, 3, generator=torch.Generator().manual_seed(7)),
        ip_adapter_scale=1.0,
        controlnet_strength=1.0,
    ).result
    hint, x = hints.as_hint(hints.keypoints_picture(POINTS)[None]), inputs(model)
    ours, other = (trained[1](model.unet, faces, hint, *x) for faces in (face, -face))
    assert (ours - control.controlled(model.unet, None, *x)).abs().mean() > 0.02 and (ours - other).abs().mean() > 1e-3
    assert torch.allclose(of_the_host(personalised, steered), ours, atol=1e-2)


@torch.no_grad()
def test_untrained_modules_leave_the_model_as_it_is(model):
    weights, x = model.unet.state_dict(), inputs(model)
    plain, hint = model.unet(x[0], x[1], context=x[2], y=x[3]), torch.rand(1, 3, hints.SIZE, hints.SIZE)
    added = control.Control(weights)(weights, hint, *x)
    assert torch.equal(control.controlled(model.unet, added, *x), plain)
    fresh = instantid.InstantID(weights)
    assert torch.allclose(fresh(model.unet, torch.randn(1, 512), hint, *x), plain, atol=1e-5)


@torch.no_grad()
def test_fitting_to_hints_brings_a_thin_hint_to_unit_variance(model):
    torch.manual_seed(9)
    module = control.Control(model.unet.state_dict())
    shown = hints.as_hint(np.stack([hints.keypoints_picture(POINTS + by) for by in range(8)]))
    assert module.input_hint_block(shown).std() < 0.05
    module.fit_to(shown)
    features = module.input_hint_block(shown).movedim(1, -1)
    assert features[features.abs().amax(dim=-1) > 0].std() == pytest.approx(1, rel=1e-3)


def test_every_parameter_of_instantid_gets_a_gradient_and_none_of_the_model(model):
    """Gradients pass the host's UNet, which adds control in place."""
    model.requires_grad_(False)
    x, hint = inputs(model), torch.rand(1, 3, hints.SIZE, hints.SIZE)
    trained = shaken(instantid.InstantID(model.unet.state_dict()), 8)
    trained(model.unet, torch.randn(1, 512), hint, *x).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in trained.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_weights_of_both_modules_are_small_enough_to_commit(trained):
    module, personalised = (sum(each.numel() * 2 for each in module.state_dict().values()) for module in trained)
    assert module < 0.75e6 and personalised < 1.8e6


@pytest.mark.parametrize("points", [POINTS, POINTS / 6 + 100, POINTS - 60, np.array([[64.0, 64]] * 5)])
def test_key_points_are_drawn_as_the_node_and_the_host_show_them(points):
    drawn = draw_keypoints(points, hints.SIZE, hints.SIZE)[None].movedim(-1, 1)
    shown = comfy.utils.common_upscale(drawn, hints.SIZE, hints.SIZE, "nearest-exact", "center")
    assert torch.equal(hints.as_hint(hints.keypoints_picture(points)[None]), shown)


def test_edges_are_those_that_the_canny_node_finds():
    pixels = np.stack([encode_hints.render(*example(number, 5)).pixels for number in range(3)])
    expected = Canny.execute(torch.tensor(pixels).float() / 255, 0.4, 0.8).result[0]
    assert torch.equal(hints.as_hint(hints.edges_picture(pixels)), expected.movedim(-1, 1))
    assert all(0.005 < edges.mean() < 0.3 for edges in expected)


def test_hints_are_those_of_the_encoded_pictures(tmp_path, monkeypatch):
    latents = torch.zeros(20, 4, 16, 16)
    save_file({"latents": latents}, tmp_path / "latents.safetensors")
    options = {"pictures": 17, "workers": 0, "threads": 1, "output": tmp_path}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    monkeypatch.setattr(sys, "argv", ["encode_hints.py", *arguments])
    encode_hints.main()
    found = train_control.load_file(tmp_path / "hints.safetensors")
    assert [len(tensor) for tensor in found.values()] == [17] * 3
    scene, pose, identity = example(16, encode_latents.SEED)
    pixels, _ = encode_latents.pixels_and_captions(scene, pose, identity)
    edges = train_control.hint_pictures(found, "edges", np.array([16]))
    assert torch.equal(edges, hints.as_hint(hints.edges_picture(pixels[None])))
    points = encode_hints.render(scene, pose, identity).keypoints
    pose_hint = train_control.hint_pictures(found, "pose", np.array([16, 3]))
    assert torch.equal(pose_hint[0], hints.as_hint(hints.keypoints_picture(points)[None])[0])
    assert pose_hint.shape == (2, 3, hints.SIZE, hints.SIZE)


def test_a_training_step_shows_other_pictures_of_the_person_that_it_draws():
    people, views = 40, 3
    numbers = torch.arange(people * views).reshape(people, views)
    data = dict.fromkeys(("latents", "heads", "keypoints"), numbers)
    data |= {"ids": numbers[..., None].expand(-1, -1, 2), "faces": numbers[..., None]}
    for step in range(8):
        drawn, heads, points, ids, faces = train_instantid.draw(np.random.default_rng(step), data)
        assert all(torch.equal(each, drawn) for each in (heads, points, ids)) and len(drawn) == 32
        assert ((faces[:, 0] // views).int() == drawn // views).all() and (faces[:, 0] != drawn).any()


def test_the_models_folder_has_the_files_where_the_loaders_look(model, trained, tmp_path, files):
    weights, models = tmp_path / "weights", tmp_path / "models"
    weights.mkdir()
    save_file(model.state_dict(), weights / "unet.safetensors")
    save_file(trained[0].state_dict(), weights / "control_pose.safetensors")
    save_file(trained[1].state_dict(), weights / "instantid.safetensors")
    models_folder.write_models_folder(weights, models)
    written = {
        "controlnet/pocket_pose": "control",
        f"instantid/{kept.INSTANTID.removesuffix('.safetensors')}": "instantid",
        f"controlnet/{kept.IDENTITY_NET.removesuffix('.safetensors')}": "identity_net",
    }
    assert sorted(path.relative_to(models).as_posix() for path in models.rglob("*.safetensors")) == sorted(
        f"{name}.safetensors" for name in written
    )
    for name, same in written.items():
        places = models / f"{name}.safetensors", files / f"{same}.safetensors"
        one, other = map(train_control.load_file, places)
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@torch.no_grad()
def test_sampling_gives_each_prompt_its_hint_and_the_negative_prompt_a_zero_embedding(model, trained):
    x, timesteps = torch.randn(4, 4, 16, 16), torch.full((4,), 300.0)
    ids = text.token_ids([PROMPT, PROMPT, "", ""])
    hint, face = torch.rand(2, 3, hints.SIZE, hints.SIZE), torch.randn(512)
    steered = measure_control.Steered(model, trained[0], hint)(x, timesteps, ids)
    rows = (1, 3)
    for row in rows:
        alone = measure_control.Steered(model, trained[0], hint[1:])
        assert torch.allclose(alone(x[[row] * 2], timesteps[:2], ids[[row] * 2])[:1], steered[row : row + 1], atol=1e-4)
    personalised = measure_instantid.Personalised(model, trained[1], face, hint[:1])(x, timesteps, ids)
    for row, shown in zip(rows, (face, torch.zeros(512)), strict=True):
        one = slice(row, row + 1)
        inputs = x[one], timesteps[one], *model.text(ids[one])
        assert torch.allclose(trained[1](model.unet, shown[None], hint[:1], *inputs), personalised[one], atol=1e-4)


def test_edge_agreement_is_1_for_the_hint_itself_and_falls_with_distance():
    asked = np.zeros((32, 32), bool)
    asked[8, 4:28] = True
    agreement = [measure_control.edge_agreement(asked, np.roll(asked, by, axis=0)) for by in (0, 1, 5)]
    assert agreement[:2] == [1, 1] and agreement[2] == 0
    assert 0.4 < measure_control.edge_agreement(asked, asked | asked.T) < 1
    assert measure_control.edge_agreement(asked, np.zeros_like(asked)) == 0


def test_key_point_error_is_measured_in_widths_of_the_face():
    asked = SimpleNamespace(keypoints=POINTS, box=np.array([40, 40, 80, 85]))
    found = [SimpleNamespace(kps=POINTS + np.array([3, 4]), bbox=np.array([0, 0, 9, 9]))]
    analysis = SimpleNamespace(get=lambda _: found)
    assert measure_control.points_off(analysis, asked, np.zeros((9, 9, 3), np.uint8)) == pytest.approx(5 / 40)
    found.clear()
    off = measure_control.points_off(analysis, asked, np.zeros((9, 9, 3), np.uint8))
    assert np.isnan(off) and "no face in 50%" in measure_control.summary("pose", [off, 0.1])
