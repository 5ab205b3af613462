"""Any other method as the forward flow, in a real server: its guider is all that the triple flow needs of it."""

import copy

import pytest
from helpers.prompts import difference, inversion_prompt, node

STEPS, START = 6, 2
LORA, EMBEDDING = "tiny_lora.safetensors", "tiny_person"
TEXT = "a photo of a man in a library"


def cfg_guider(model="model", positive="positive"):
    return node("CFGGuider", model=[model, 0], positive=[positive, 0], negative=["negative", 0], cfg=5.0)


def lora():
    """A LoRA, as DreamBooth training makes them, on the forward side alone: the pivot flow keeps the plain MODEL."""
    return {
        "lora": node(
            "LoraLoader", model=["model", 0], clip=["model", 1], lora_name=LORA, strength_model=1.0, strength_clip=1.0
        ),
        "person": node("CLIPTextEncode", clip=["lora", 1], text=TEXT),
        "forward": cfg_guider("lora", "person"),
    }


def embedding():
    """A textual inversion in the forward flow's prompt."""
    return {
        "person": node("CLIPTextEncode", clip=["model", 1], text=f"{TEXT} embedding:{EMBEDDING}"),
        "forward": cfg_guider(positive="person"),
    }


def third_party():
    """Patched attention, three conditionings and a guider class of its own."""
    return {
        "identity": node("ThirdPartyApplyIdentity", model=["model", 0], person=7, strength=2.0),
        "person": node("CLIPTextEncode", clip=["model", 1], text="the person"),
        "forward": node(
            "ThirdPartyIdentityGuider",
            **{"model": ["identity", 0], "positive": ["positive", 0], "negative": ["negative", 0]},
            **{"person": ["person", 0], "cfg": 5.0, "person_scale": 1.0},
        ),
    }


def not_a_cfg_guider():
    """Patched attention, and a guider that only has a MODEL and `sample`."""
    return {
        "identity": node("ThirdPartyApplyIdentity", model=["model", 0], person=7, strength=2.0),
        "forward": node("ThirdPartyPlainGuider", model=["identity", 0], positive=["positive", 0]),
    }


def lora_hooks():
    """The LoRA as a hook on the forward flow's conditioning, which becomes stronger on the way; one MODEL for both."""
    return {
        "early": node("CreateHookKeyframe", strength_mult=0.3, start_percent=0.0),
        "late": node("CreateHookKeyframe", strength_mult=1.0, start_percent=0.6, prev_hook_kf=["early", 0]),
        "lora": node("CreateHookLora", lora_name=LORA, strength_model=1.0, strength_clip=0.0),
        "hooks": node("SetHookKeyframes", hooks=["lora", 0], hook_kf=["late", 0]),
        "person": node(
            "ConditioningSetProperties",
            cond_NEW=["positive", 0], strength=1.0, set_cond_area="default", hooks=["hooks", 0],
        ),
        "forward": cfg_guider(positive="person"),
    }  # fmt: skip


def dual_cfg():
    """A stock guider of three conditionings."""
    return {
        "person": node("CLIPTextEncode", clip=["model", 1], text="the person"),
        "forward": node(
            "DualCFGGuider",
            **{"model": ["model", 0], "cond1": ["person", 0], "cond2": ["positive", 0], "negative": ["negative", 0]},
            **{"cfg_conds": 5.0, "cfg_cond2_negative": 5.0, "style": "regular"},
        ),
    }


def perp_neg():
    """A stock guider that subtracts the perpendicular part of the negative prompt alone."""
    return {
        "empty_text": node("CLIPTextEncode", clip=["model", 1], text=""),
        "forward": node(
            "PerpNegGuider",
            **{"model": ["model", 0], "positive": ["positive", 0], "negative": ["negative", 0]},
            **{"empty_conditioning": ["empty_text", 0], "cfg": 5.0, "neg_scale": 1.0},
        ),
    }


def flow_prompt(forward):
    """Invert the pivot flow's picture and sample it back: the forward flow off, beyond the end, half on and on."""
    prompt = {**inversion_prompt(steps=STEPS, size=128), **forward}
    sampled = prompt.pop("sampled")
    for name, scale, start in (("off", 0.0, START), ("never", 1.0, STEPS), ("half", 0.5, START), ("on", 1.0, START)):
        prompt[f"{name}_flow"] = node(
            "CE_TripleFlowGuider",
            **{"pivot_flow": ["guider", 0], "forward_flow": ["forward", 0]},
            **{"start_step": start, "forward_scale": scale},
        )
        prompt[name] = copy.deepcopy(sampled)
        prompt[name]["inputs"]["guider"] = [f"{name}_flow", 0]
        prompt[f"{name}_difference"] = node("TestLatentDifference", a=["picture", 0], b=[name, 0])
    prompt["difference"] = node("TestLatentDifference", a=["half", 0], b=["on", 0])
    # The pivot flow's MODEL by itself once more, when both flows have run in it.
    prompt["empty_again"] = node("LatentMultiply", samples=["half", 0], multiplier=0.0)
    prompt["again"] = copy.deepcopy(prompt["picture"])
    prompt["again"]["inputs"]["latent_image"] = ["empty_again", 0]
    prompt["again_difference"] = node("TestLatentDifference", a=["picture", 0], b=["again", 0])
    return prompt


FLOWS = [lora, embedding, third_party, not_a_cfg_guider, lora_hooks, dual_cfg, perp_neg]


@pytest.mark.parametrize("forward", FLOWS, ids=lambda forward: forward.__name__)
def test_a_forward_flow_is_any_guider(host, forward, measured):
    prompt = flow_prompt(forward())
    # A seed of its own: nothing but the model shall come from the cache of the server that all tests share.
    prompt["noise"]["inputs"]["noise_seed"] = 100 + FLOWS.index(forward)
    run = host.run(prompt)
    error = max(difference(run, f"{name}_difference") for name in ("off", "never"))  # switched off, or never reached
    measured(f"reconstruction error, 6 steps, {forward.__name__} as forward flow", error)
    assert error <= 1e-5
    assert min(difference(run, name) for name in ("on_difference", "half_difference", "difference")) > 0.01
    assert difference(run, "again_difference") == 0
    counts = host.get_json("/customenhancer_test/counts", prompt_id=run.prompt_id)
    calls = {name: counts[name]["guider_calls"] for name in ("inversion", "off", "never", "half", "on")}
    # A guider that is not the host's is not counted.
    on, half = (START, STEPS) if forward is not_a_cfg_guider else (STEPS, 2 * STEPS - START)
    assert calls == {"inversion": STEPS + 1, "off": STEPS, "never": STEPS, "half": half, "on": on}
