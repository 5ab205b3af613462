"""Seeing the flows in a real server: previews of a pivot, the one-box sampling, its frames and the inspector."""

from helpers.prompts import inversion_prompt, node

STEPS, START = 6, 2


def test_a_pivot_and_a_residual_noise_are_shown(host):
    prompt = inversion_prompt(STEPS, size=128)
    prompt["ddim"] = node("CE_DDIMInversion", guider=["guider", 0], sigmas=["sigmas", 0], latent_image=["picture", 0])
    decoding = {"model": ["model", 0], "vae": ["model", 2]}
    prompt["all"] = node("CE_PivotPreview", pivot=["inversion", 0], **decoding)
    prompt["three"] = node("CE_PivotPreview", pivot=["ddim", 0], count=3, **decoding)
    outputs = host.run(prompt).outputs
    assert len(outputs["all"]["images"]) == STEPS and len(outputs["three"]["images"]) == 3
    assert all(host.picture(image).size == (128, 128) for image in outputs["all"]["images"])


def test_one_node_samples_as_the_separate_ones_and_its_trajectory_is_saved_as_frames(host):
    prompt = inversion_prompt(STEPS, size=128)
    prompt["person"] = node("CLIPTextEncode", clip=["model", 1], text="the person")
    prompt["forward"] = {**prompt["guider"], "inputs": {**prompt["guider"]["inputs"], "positive": ["person", 0]}}
    flows = {"pivot_flow": ["guider", 0], "forward_flow": ["forward", 0], "start_step": START}
    prompt["flow"] = node("CE_TripleFlowGuider", **flows)
    prompt["sampled"]["inputs"]["guider"] = ["flow", 0]
    prompt["joined"] = node(
        "CE_TripleFlowSample", residual_noise=["inversion", 0], latent_image=["inversion", 1], **flows
    )
    prompt["same"] = node("TestLatentDifference", a=["sampled", 0], b=["joined", 0])
    prompt["frames"] = node("VAEDecode", samples=["joined", 1], vae=["model", 2])
    prompt["saved"] = node("SaveImage", images=["frames", 0], filename_prefix="frames")
    prompt["inspector"] = node("CE_FlowInspector", flow_norms=["joined", 2])
    run = host.run(prompt)
    assert float(run.outputs["same"]["text"][0]) == 0
    assert float(run.outputs["difference"]["text"][0]) > 0.01  # the forward flow acts
    assert len(run.outputs["saved"]["images"]) == STEPS
    (plot,) = run.outputs["inspector"]["images"]
    assert host.picture(plot).size == (768, 512)
    assert f"At {STEPS - START} of {STEPS} steps" in run.outputs["inspector"]["text"][0]
    counts = host.get_json("/customenhancer_test/counts", prompt_id=run.prompt_id)
    assert counts["joined"] == counts["sampled"] and counts["joined"]["guider_calls"] == STEPS
    assert "inspector" not in counts
