"""Where a socket's value comes from in graphs that nobody expects: patches, other models' latents, spoiled tensors."""

from collections.abc import Callable

from fuzz.producers import LORA, PICTURES


def _node(class_type: str, slot: int = 0, **inputs):
    """A producer: one node; "@TYPE" is a link of that type, a list or tuple a choice."""

    def produce(b):
        given = {}
        for name, value in inputs.items():
            value = b.rng.choice(value) if isinstance(value, list | tuple) else value
            given[name] = b.link(value[1:]) if isinstance(value, str) and value.startswith("@") else value
        return b.add(class_type, **given), slot

    return produce


def _tensor(slot: int, *shapes: str, dtypes=("float32",), fills=("random", "zeros", "ones", "nan", "inf", "negative")):
    return _node("TestTensor", slot, shape=shapes, dtype=dtypes, fill=fills, seed=0)


def _keyframed(b):
    """A LoRA that hooks switch over at half of the way."""
    first = b.add("CreateHookKeyframe", strength_mult=1.0, start_percent=0.0), 0
    second = b.add("CreateHookKeyframe", strength_mult=0.0, start_percent=0.5, prev_hook_kf=first), 0
    hooks = b.add("SetHookKeyframes", hooks=b.link("HOOKS"), hook_kf=second), 0
    clip = b.add("SetClipHooks", clip=b.link("CLIP"), hooks=hooks, apply_to_conds=True, schedule_clip=False), 0
    return b.add("CLIPTextEncode", clip=clip, text="a man"), 0


FACTORS = (0.0, 0.5, 1.0, 3.0)
HALVES = (0.0, 0.3, 0.5, 1.0)
ALL_DTYPES = ("float32", "float16", "bfloat16", "float64", "uint8")
ODD: dict[str, list[Callable]] = {
    "MODEL": [
        _node("RescaleCFG", model="@MODEL", multiplier=(0.0, 0.7, 1.0)),
        _node("APG", model="@MODEL", eta=(0.0, 1.0), norm_threshold=(0.0, 5.0), momentum=(0.0, -0.5, 0.5)),
        _node("PerturbedAttentionGuidance", model="@MODEL", scale=(0.0, 3.0)),
        _node("SelfAttentionGuidance", model="@MODEL", scale=(0.0, 0.5), blur_sigma=(0.0, 2.0)),
        _node("FreeU_V2", model="@MODEL", b1=1.3, b2=1.4, s1=0.9, s2=0.2),
        _node(
            "EasyCache",
            model="@MODEL",
            reuse_threshold=(0.0, 0.2, 3.0),
            start_percent=0.15,
            end_percent=0.95,
            verbose=False,
        ),
        _node(
            "LazyCache", model="@MODEL", reuse_threshold=(0.2, 3.0), start_percent=0.15, end_percent=0.95, verbose=False
        ),
        _node("LoraLoaderModelOnly", model="@MODEL", lora_name=LORA, strength_model=(0.0, 0.5, 1.0, -1.0)),
        _node("ModelSamplingDiscrete", model="@MODEL", sampling=("eps", "v_prediction", "lcm"), zsnr=(True, False)),
        _node("HyperTile", model="@MODEL", tile_size=(1, 256), swap_size=2, max_depth=0, scale_depth=False),
        _node("TomePatchModel", model="@MODEL", ratio=(0.0, 0.3, 1.0)),
        _node("CFGZeroStar", model="@MODEL"),
        _node("DifferentialDiffusion", model="@MODEL", strength=1.0),
        _node("CFGNorm", model="@MODEL", strength=1.0),
    ],
    "CLIP": [
        _node("CLIPSetLastLayer", clip="@CLIP", stop_at_clip_layer=(-1, -2)),
        _node("SetClipHooks", clip="@CLIP", hooks="@HOOKS", apply_to_conds=True, schedule_clip=(True, False)),
    ],
    "CLIP_VISION": [_node("TestClipVision", width=(768, 1024))],
    "CONDITIONING": [
        _keyframed,
        _node(
            "ConditioningSetArea",
            conditioning="@CONDITIONING",
            width=(64, 128),
            height=64,
            x=(0, 64),
            y=0,
            strength=1.0,
        ),
        _node(
            "ConditioningSetMask",
            conditioning="@CONDITIONING",
            mask="@MASK",
            strength=FACTORS,
            set_cond_area=("default", "mask bounds"),
        ),
        _node("ConditioningSetTimestepRange", conditioning="@CONDITIONING", start=HALVES, end=HALVES),
        _node("ConditioningZeroOut", conditioning="@CONDITIONING"),
        _node("ConditioningCombine", conditioning_1="@CONDITIONING", conditioning_2="@CONDITIONING"),
        _node("ConditioningConcat", conditioning_to="@CONDITIONING", conditioning_from="@CONDITIONING"),
        _node(
            "ConditioningAverage",
            conditioning_to="@CONDITIONING",
            conditioning_from="@CONDITIONING",
            conditioning_to_strength=0.5,
        ),
        _node(
            "ControlNetApplyAdvanced",
            (0),
            positive="@CONDITIONING",
            negative="@CONDITIONING",
            control_net="@CONTROL_NET",
            image="@IMAGE",
            strength=FACTORS,
            start_percent=(0.0, 0.5),
            end_percent=HALVES,
        ),
        _node(
            "CLIPTextEncode",
            clip="@CLIP",
            text=("", "a " * 200, "embedding:tiny_person", "漢字 🙂", "(a:nan)", "(a:1e9)"),
        ),
    ],
    "LATENT": [
        _node("EmptyLatentImage", width=(16, 24, 72, 136), height=(16, 40, 64), batch_size=(1, 2, 3)),
        _node("EmptyHunyuanLatentVideo", width=64, height=64, length=(1, 5), batch_size=1),
        _node("EmptySD3LatentImage", width=64, height=64, batch_size=1),
        _node("EmptyFlux2LatentImage", width=64, height=64, batch_size=1),
        _node("EmptyAceStepLatentAudio", seconds=1.0, batch_size=1),
        _node("EmptyLatentAudio", seconds=1.0, batch_size=1),
        _node("EmptyLTXVLatentVideo", width=64, height=64, length=9, batch_size=1),
        _node("LatentConcat", samples1="@LATENT", samples2="@LATENT", dim=("x", "y", "t", "-t")),
        _node("LatentCut", samples="@LATENT", dim=("x", "y", "t"), index=(0, 1), amount=1),
        _node("RepeatLatentBatch", samples="@LATENT", amount=(2, 3)),
        _node("LatentBatch", samples1="@LATENT", samples2="@LATENT"),
        _node("LatentFromBatch", samples="@LATENT", batch_index=(0, -1, 5), length=(1, 2)),
        _node("SetLatentNoiseMask", samples="@LATENT", mask="@MASK"),
        _node("LatentMultiply", samples="@LATENT", multiplier=(0.0, 10.0)),
        _node("VAEEncode", pixels="@IMAGE", vae="@VAE"),
        _tensor(
            2,
            "1,4,8,8",
            "0,4,8,8",
            "1,4,1,1",
            "1,3,8,8",
            "4,8,8",
            "1,4,8",
            "1,4,0,8",
            "1,4,1,8,8",
            "2,4,9,7",
            "8",
            dtypes=ALL_DTYPES,
        ),
    ],
    "SIGMAS": [
        _node("SplitSigmas", (0), sigmas="@SIGMAS", step=(0, 1, 2, 9)),
        _node("SplitSigmas", (1), sigmas="@SIGMAS", step=(0, 1, 2, 9)),
        _node("SplitSigmasDenoise", (1), sigmas="@SIGMAS", denoise=HALVES),
        _node("FlipSigmas", sigmas="@SIGMAS"),
        _node(
            "BasicScheduler",
            model="@MODEL",
            scheduler=(
                "karras",
                "exponential",
                "sgm_uniform",
                "simple",
                "ddim_uniform",
                "beta",
                "linear_quadratic",
                "kl_optimal",
            ),
            steps=(1, 2, 4, 6),
            denoise=(0.0, 0.3, 0.6, 1.0),
        ),
        _node("KarrasScheduler", steps=(1, 3), sigma_max=(14.6, 0.0, 5000.0), sigma_min=(0.03, 0.0), rho=(7.0, 0.0)),
        _node(
            "ManualSigmas",
            sigmas=("", "0", "1", "1, 0", "14, 7, 0", "1, 1, 0", "0, 1", "1e30, 0", "5, -1, 0", "3, 1", "1e-9, 0"),
        ),
        _tensor(3, "0", "1", "3", "2,3", ""),
    ],
    "GUIDER": [
        _node(
            "DualCFGGuider",
            model="@MODEL",
            cond1="@CONDITIONING",
            cond2="@CONDITIONING",
            negative="@CONDITIONING",
            cfg_conds=5.0,
            cfg_cond2_negative=3.0,
            style=("regular", "nested"),
        ),
        _node(
            "PerpNegGuider",
            model="@MODEL",
            positive="@CONDITIONING",
            negative="@CONDITIONING",
            empty_conditioning="@CONDITIONING",
            cfg=5.0,
            neg_scale=FACTORS,
        ),
        _node("BasicGuider", model="@MODEL", conditioning="@CONDITIONING"),
        _node(
            "CFGGuider", model="@MODEL", positive="@CONDITIONING", negative="@CONDITIONING", cfg=(0.0, 1.0, 30.0, 100.0)
        ),
    ],
    "IMAGE": [
        _node("EmptyImage", width=(1, 3, 64, 700), height=(1, 2, 5, 64), batch_size=(1, 1, 2), color=(0, 16777215)),
        _node("MaskToImage", mask="@MASK"),
        _node("JoinImageWithAlpha", image="@IMAGE", alpha="@MASK"),
        _node("ImageBatch", image1="@IMAGE", image2="@IMAGE"),
        _node("ImageFromBatch", image="@IMAGE", batch_index=(0, -1, 9), length=(1, 2)),
        _node("ImageCrop", image="@IMAGE", width=(1, 33), height=(1, 57), x=(0, 20), y=(0, 20)),
        _node("RepeatImageBatch", image="@IMAGE", amount=3),
        _node("VAEDecode", samples="@LATENT", vae="@VAE"),
        _tensor(
            0,
            "1,64,64,1",
            "1,64,64,2",
            "1,64,64,4",
            "1,64,64,5",
            "0,64,64,3",
            "1,0,64,3",
            "64,64,3",
            "1,3,64,64,3",
            "3,1,1,3",
            "1,64,64,0",
            dtypes=("float32",) * 4 + ALL_DTYPES,
        ),
        _tensor(0, "1,128,128,3", "2,64,96,3", dtypes=ALL_DTYPES),
    ],
    "MASK": [
        _node("SolidMask", value=(0.0, 1.0), width=(1, 33, 64, 300), height=(1, 7, 64)),
        _node("GrowMask", mask="@MASK", expand=(-30, 0, 5), tapered_corners=True),
        _node("InvertMask", mask="@MASK"),
        _node("ImageToMask", image="@IMAGE", channel=("red", "alpha")),
        _node("LoadImage", (1), image=PICTURES),
        _tensor(
            1,
            "64,64",
            "1,64,64",
            "3,16,16",
            "0,64,64",
            "1,1,64,64",
            "1,64,64,3",
            "1,0,0",
            "64",
            dtypes=("float32",) * 3 + ALL_DTYPES,
        ),
    ],
    "CURVE": [
        _node(
            "CurveEditor",
            curve=tuple(
                {"points": points, "interpolation": how}
                for how in ("linear", "monotone_cubic", "no such")
                for points in (
                    [],
                    [[0, 1]],
                    [[0.5, 1], [0.2, 0]],
                    [[0, float("nan")], [1, 1]],
                    [[0, 1e30], [1, -1e30]],
                    [[0, 0], [0, 1]],
                    [[0, 1, 2]],
                    "abc",
                )
            ),
        ),
        _node("TestValue", text=("null", "[]", "0.5", '"abc"', "{}")),
    ],
    "NOISE": [_node("DisableNoise"), _node("RandomNoise", noise_seed=(0, 2**64 - 1))],
    "SAMPLER": [
        lambda b: (b.add("KSamplerSelect", sampler_name=b.rng.choice(b.choices("KSamplerSelect", "sampler_name"))), 0),
        _node("SamplerEulerAncestral", eta=FACTORS, s_noise=FACTORS),
        _node("SamplerDPMPP_2M_SDE", solver_type="midpoint", eta=FACTORS, s_noise=1.0, noise_device="cpu"),
        _node("SamplerLMS", order=4),
    ],
    "FLOAT": [
        _node("TestValue", text=("null", '"a"', "NaN", "Infinity", "1e400", "true", "[1, 2]")),
        _node("PrimitiveFloat", value=(0.0, -3.5)),
    ],
    "STRING": [_node("TestValue", text=("null", "3", '""', '"\\ud800"', "[1]", '"' + "x" * 3000 + '"'))],
    "CONTROL_NET": [_node("SetUnionControlNetType", control_net="@CONTROL_NET", type="auto")],
}
