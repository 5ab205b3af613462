"""Control modules of another family of models than the MODEL's: refused by every node that gets them, by name."""

import comfy.controlnet
import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_custom_sampler import RandomNoise
from customenhancer.host.recordings import ModelRecording
from customenhancer.nodes.baselines import NullTextInversionNode
from customenhancer.nodes.flows import TripleFlowGuiderNode
from customenhancer.nodes.inversion import DDIMInversionNode, RecordResidualNoiseNode, ResInversionNode
from customenhancer.nodes.pivots import NoisePivotNode, RecordTrajectoryNode
from customenhancer.nodes.seeing import InversionReportNode
from helpers.scene_control import NEGATIVE, PROMPT, apply_control, draw_scene, scene_schedule, text_guider
from standins.analytic import gaussian_model
from standins.control import (
    MODULES,
    control_lora,
    control_net,
    flux,
    flux_control_net,
    sd15_control_net,
    shallow_sdxl,
    t2i_adapter,
)

SD15_LORA = {"channel_mult": [1, 2, 4, 4], "num_res_blocks": [2] * 4, "transformer_depth": [1] * 6 + [0] * 2}
SD15_LORA |= {"num_head_channels": 32, "context_dim": 768, "num_classes": None, "adm_in_channels": None}
WRONG_FOR_SDXL = {
    "SD 1.5's ControlNet": (sd15_control_net, "text 768 wide"),
    "SD 1.5's T2I-Adapter": (lambda: t2i_adapter(xl=False), "4 levels"),
    "SD 1.5's Control-LoRA": (lambda: control_lora(**SD15_LORA), "64, 128, 128, 128, .* text 768 wide"),
    "a Control-LoRA for other text": (lambda: control_lora(context_dim=1024), "text 1024 wide"),
    "a Control-LoRA for other channels": (lambda: control_lora(channel_mult=[1, 2, 2]), "64, 64, 64, 64 ch"),
    "Flux's ControlNet": (flux_control_net, "ControlNetFlux.*a UNet"),
}


@pytest.fixture(scope="module")
def model():
    return shallow_sdxl()


def refused(name, node, *inputs):
    """The node refuses a control module, naming the input that the module came by, before it does anything else."""
    with pytest.raises(ValueError, match=f"^{name}: a .* in its conditioning was made for .* another family"):
        node.execute(*inputs)


@pytest.mark.parametrize("kind", WRONG_FOR_SDXL)
def test_a_module_of_another_family_is_refused_with_the_input_and_the_remedy_named(model, kind):
    make, why = WRONG_FOR_SDXL[kind]
    conds = apply_control(make())
    wrong, right = text_guider(model, *conds), text_guider(model)
    sigmas, latent = scene_schedule(model), {"samples": torch.zeros(1, 4, 8, 8)}
    noise, euler = RandomNoise.execute(1).result[0], comfy.samplers.sampler_object("euler")
    pivot = NoisePivotNode.execute(model, sigmas, latent).result[0]
    predictions = torch.zeros_like(pivot.anchors[1:])
    residual_noise = ModelRecording(pivot.sigmas, pivot.anchors, predictions, pivot.model_kind)
    for node in (ResInversionNode, DDIMInversionNode):
        refused("guider", node, wrong, sigmas, latent)
    refused("guider", RecordResidualNoiseNode, wrong, pivot)
    refused("guider", RecordTrajectoryNode, noise, wrong, euler, sigmas, latent)
    refused("guider", InversionReportNode, residual_noise, wrong)
    refused("positive", NullTextInversionNode, model, conds[0], NEGATIVE, sigmas, latent)
    refused("negative", NullTextInversionNode, model, PROMPT, conds[1], sigmas, latent)
    refused("pivot_flow", TripleFlowGuiderNode, wrong, right)
    refused("forward_flow", TripleFlowGuiderNode, right, wrong)
    with pytest.raises(ValueError, match=f"{why}.*Choose one .* for SDXL an SDXL"):
        TripleFlowGuiderNode.execute(right, wrong)


@pytest.mark.parametrize("kind", MODULES)
def test_a_module_for_a_unet_is_refused_on_a_transformer(kind):
    """Flux's would take no notice of some, and stop inside the first layer of others."""
    model = flux()
    with pytest.raises(ValueError, match=r"^forward_flow: a .* \(a UNet\) than its MODEL \(Flux\)"):
        TripleFlowGuiderNode.execute(text_guider(model), text_guider(model, *apply_control(MODULES[kind]())))


def test_a_module_of_another_family_is_found_behind_another_in_the_chain(model):
    conds = apply_control(control_net(), *apply_control(sd15_control_net()))
    with pytest.raises(ValueError, match="text 768 wide"):
        TripleFlowGuiderNode.execute(text_guider(model), text_guider(model, *conds))


@pytest.mark.parametrize("kind", MODULES)
def test_a_module_of_the_models_own_family_is_accepted(model, kind):
    controlled = text_guider(model, *apply_control(MODULES[kind]()))
    assert TripleFlowGuiderNode.execute(text_guider(model), controlled).result[0].forward_flow is controlled


@torch.inference_mode()
def test_a_transformers_own_control_net_is_accepted_and_changes_its_predictions():
    """Flux's ControlNet on Flux, inverted under control."""
    model = flux()
    prompt = [[torch.randn(1, 8, 64), {"pooled_output": torch.randn(1, 32)}]]
    latent, drawn = {"samples": torch.zeros(1, 16, 8, 8)}, []
    for conds in ((prompt, prompt), apply_control(flux_control_net(), prompt, prompt)):
        drawn.append(
            ResInversionNode.execute(text_guider(model, *conds), scene_schedule(model), latent).result[0].predictions
        )
    assert torch.isfinite(drawn[1]).all() and not torch.equal(*drawn)


@pytest.mark.parametrize("network", [shallow_sdxl, flux, gaussian_model])
def test_modules_and_networks_unknown_to_the_host_are_accepted(network):
    class Foreign(comfy.controlnet.ControlBase):
        control_model = torch.nn.Linear(3, 3)

    model = network()
    known = control_net() if network is gaussian_model else None
    for module in filter(None, (Foreign(), known)):
        positive = [[PROMPT[0][0], {**PROMPT[0][1], "control": module}]]
        controlled = text_guider(model, positive)
        assert TripleFlowGuiderNode.execute(text_guider(model), controlled).result[0].forward_flow is controlled


def test_the_stock_sampler_alone_fails_with_a_matrix_shape_error(model):
    """Where the stock sampling node runs the scene branch, none of ours: two sizes that do not match."""
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        draw_scene(model, *apply_control(sd15_control_net()))
