"""Where a socket's value usually comes from: stock nodes, wired as users wire them.

Each is a function of a Builder (generator.py) that adds nodes and returns the link to them.
"""

from collections.abc import Callable

PICTURES = ("fuzz_one.png", "fuzz_other.png", "fuzz_two.png", "fuzz_photo.png")  # pictures.py uploads them
CHECKPOINT, LORA, CONTROL = "tiny_sdxl.safetensors", "tiny_lora.safetensors", "tiny_identity_net.safetensors"
# The packs whose recognisers the nodes were trained with: others find no face in these pictures, or are refused.
PACKS = {"CE_InstantIDForwardFlow": "pocket_antelopev2"}
PACK = "pocket"
PROMPTS = ("a photo of a man in a library", "a photo of a woman in a garden", "blurry", "")
SIZES = ((64, 64, 1), (64, 64, 1), (64, 64, 2), (72, 104, 1), (128, 64, 1))  # one for a case: width, height, batch


def _model(b):
    return b.add("TestFresh", value=[b.add("CheckpointLoaderSimple", ckpt_name=CHECKPOINT), 0], run=0), 0


def _checkpoint(slot):
    return lambda b: (b.add("CheckpointLoaderSimple", ckpt_name=CHECKPOINT), slot)


def _encoded(b):
    return b.add("CLIPTextEncode", clip=b.link("CLIP"), text=b.rng.choice(PROMPTS)), 0


def _latent(b):
    width, height, batch = b.size
    return b.add("EmptyLatentImage", width=width, height=height, batch_size=batch), 0


def _sampled(b):
    inputs = {name: b.link(kind) for name, kind in (("noise", "NOISE"), ("guider", "GUIDER"), ("sigmas", "SIGMAS"))}
    euler = b.add("KSamplerSelect", sampler_name="euler"), 0
    return b.add("SamplerCustomAdvanced", **inputs, sampler=euler, latent_image=_latent(b)), 0


def _scheduler(b):
    return b.add("BasicScheduler", model=b.link("MODEL"), scheduler="normal", steps=b.steps, denoise=1.0), 0


def _cfg(b):
    conds = {"positive": b.link("CONDITIONING"), "negative": b.link("CONDITIONING")}
    return b.add("CFGGuider", model=b.link("MODEL"), **conds, cfg=b.rng.choice((1.0, 3.0, 5.0))), 0


def _picture(b):
    return b.add("LoadImage", image=b.rng.choice(PICTURES[:3])), 0


def _small_picture(b):
    return b.add(
        "ImageScale", image=b.link("IMAGE"), upscale_method="bilinear", width=160, height=160, crop="disabled"
    ), 0


def _batched(b):
    return b.add("RepeatImageBatch", image=b.link("IMAGE"), amount=2), 0


def _mask(b):
    return b.add("SolidMask", value=b.rng.choice((1.0, 1.0, 0.5)), width=64, height=64), 0


def _curve(b):
    points = b.rng.choice(([[0, 0], [1, 1]], [[0, 1], [1, 1]], [[0, 1], [0.5, 0.2], [1, 0]]))
    return b.add(
        "CurveEditor", curve={"points": points, "interpolation": b.rng.choice(("linear", "monotone_cubic"))}
    ), 0


def _stock_sampler(b):
    return b.add("KSamplerSelect", sampler_name=b.rng.choice(("euler", "heun", "dpmpp_2m"))), 0


def _noise(b):
    return b.add("RandomNoise", noise_seed=b.rng.randrange(4)), 0


def _lists(b):
    return b.add("CE_SweepValues", values=b.rng.choice(("0, 1", "0:2:1", "1"))), 0


PLAIN: dict[str, list[Callable]] = {
    "MODEL": [_model],
    "CLIP": [_checkpoint(1)],
    "CLIP_VISION": [lambda b: (b.add("TestClipVision", width=1280), 0)],
    "VAE": [_checkpoint(2)],
    "CONDITIONING": [_encoded],
    "LATENT": [_latent, _latent, _sampled],
    "SIGMAS": [_scheduler],
    "GUIDER": [_cfg],
    "IMAGE": [_picture, _picture, _small_picture, _batched],
    "MASK": [_mask],
    "CURVE": [_curve],
    "SAMPLER": [_stock_sampler, lambda b: (b.node("CE_BiMDSampler"), 0)],
    "NOISE": [_noise, _noise, lambda b: (b.add("DisableNoise"), 0)],
    "CONTROL_NET": [lambda b: (b.add("ControlNetLoader", control_net_name=CONTROL), 0)],
    "FLOAT": [_lists],
    "INT": [lambda b: (_lists(b)[0], 1)],
    "STRING": [lambda b: (_lists(b)[0], 2)],
    "HOOKS": [lambda b: (b.add("CreateHookLora", lora_name=LORA, strength_model=1.0, strength_clip=0.0), 0)],
}
