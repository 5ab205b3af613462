"""The graphs of these checks: every sampling node on the tiny stand-ins, and the three flows."""

from fuzz.graphs import pruned
from fuzz.producers import CHECKPOINT, CONTROL, LORA, PICTURES

SAMPLER = "SamplerCustomAdvanced"
FRESH = "fresh"  # the node whose `run` makes the host compute everything after the checkpoint again


def node(class_type: str, **inputs) -> dict:
    """A node of an API prompt."""
    return {"class_type": class_type, "inputs": inputs, "_meta": {"title": class_type}}


def scene(run: int = 0, steps: int = 4) -> dict:
    """A picture's latent, 64 x 64, and what every flow needs."""
    return {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name=CHECKPOINT),
        FRESH: node("TestFresh", value=["checkpoint", 0], run=run),
        "positive": node("CLIPTextEncode", clip=["checkpoint", 1], text="a photo of a man in a library"),
        "negative": node("CLIPTextEncode", clip=["checkpoint", 1], text="blurry"),
        "guider": guider("positive", FRESH),
        "sigmas": node("BasicScheduler", model=[FRESH, 0], scheduler="normal", steps=steps, denoise=1.0),
        "noise": node("RandomNoise", noise_seed=1),
        "no_noise": node("DisableNoise"),
        "euler": node("KSamplerSelect", sampler_name="euler"),
        "empty": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "scene": sampling("guider", "euler", "empty", noise="noise"),
    }


def guider(positive: str | list, model: str | list, negative: str | list = "negative", cfg: float = 4.0) -> dict:
    """A CFGGuider; a name stands for output 0 of that node."""
    return node("CFGGuider", model=_out(model), positive=_out(positive), negative=_out(negative), cfg=cfg)


def sampling(guider: str, sampler: str, latent: str | list, noise: str = "no_noise") -> dict:
    """SamplerCustomAdvanced on the scene's schedule."""
    links = {"noise": [noise, 0], "guider": [guider, 0], "sampler": [sampler, 0], "sigmas": ["sigmas", 0]}
    return node(SAMPLER, **links, latent_image=_out(latent))


def inversion(class_type: str, **inputs) -> dict:
    """An inversion node on the scene."""
    return node(class_type, guider=["guider", 0], sigmas=["sigmas", 0], latent_image=["scene", 0], **inputs)


def method(run: int = 0) -> dict:
    """Inversion, both flows and the sampling: the forward flow is a LoRA at half of its strength and another prompt."""
    return {
        **scene(run),
        "inverted": inversion("CE_ResInversion"),
        "lora": node("LoraLoaderModelOnly", model=[FRESH, 0], lora_name=LORA, strength_model=0.5),
        "person": node("CLIPTextEncode", clip=["checkpoint", 1], text="a photo of a woman in a garden"),
        "forward": guider("person", "lora"),
        "flows": node(
            "CE_TripleFlowGuider",
            pivot_flow=["guider", 0],
            forward_flow=["forward", 0],
            start_step=1,
            forward_scale=0.5,
        ),
        "bimd": node("CE_BiMDSampler", residual_noise=["inverted", 0], backward_scale=1.0),
        "sampled": sampling("flows", "bimd", ["inverted", 1]),
    }


def sampling_nodes(run: int = 0) -> dict[str, tuple[dict, str]]:
    """{title: (graph, id of the node that samples)}: every node of ours that calls a model, and the stock sampler."""
    whole = method(run)
    recorded = {"residual_noise": ["inverted", 0], "latent_image": ["inverted", 1]}
    flows = {"pivot_flow": ["guider", 0], "forward_flow": ["forward", 0], "start_step": 1, "forward_scale": 0.5}
    conds = {"model": [FRESH, 0], "positive": ["positive", 0], "negative": ["negative", 0]}
    given = {"sigmas": ["sigmas", 0], "latent_image": ["scene", 0]}
    added = {
        "DDIM Inversion": inversion("CE_DDIMInversion"),
        "ResInversion": inversion("CE_ResInversion"),
        "ResInversion, at target": inversion("CE_ResInversion", evaluate_at="target"),
        "ReNoise Inversion": inversion("CE_ReNoiseInversion", iterations=1, regularisation_steps=1),
        "Null-Text Inversion": node("CE_NullTextInversion", **conds, **given, inner_steps=2),
        "Record Trajectory": inversion("CE_RecordTrajectory", noise=["noise", 0], sampler=["euler", 0]),
        "Inversion Report": node("CE_InversionReport", residual_noise=["inverted", 0], guider=["guider", 0]),
        "Triple-Flow Sample": node("CE_TripleFlowSample", **flows, **recorded),
        "SamplerCustomAdvanced, Triple-Flow Guider": whole["sampled"],
    }
    found = {title: ({**whole, "target": target}, "target") for title, target in added.items()}
    pivot = {**whole, "pivot": inversion("CE_DDIMInversion")}
    for calls in (1, 2):
        target = node("CE_RecordResidualNoise", guider=["guider", 0], pivot=["pivot", 0], steps_per_call=calls)
        found[f"Record Residual Noise, {calls} a call"] = {**pivot, "target": target}, "target"
    null = {**whole, "null": added["Null-Text Inversion"]}
    found["SamplerCustomAdvanced, null text"] = {**null, "target": sampling("null", "euler", ["null", 1])}, "target"
    for _, (graph, _) in found.items():
        graph.pop("sampled", None)
    return found


def photomaker(run: int = 0, lora_strength: float = 1.0, version: int = 2) -> dict:
    """The method with a PhotoMaker forward flow."""
    return {
        **method(run),
        **_reference("pocket"),
        "file": node("CE_PhotoMakerLoader", photomaker_name=f"tiny_photomaker_v{version}.safetensors"),
        "personal": node(
            "CE_PhotoMakerForwardFlow", model=[FRESH, 0], clip=["checkpoint", 1], photomaker=["file", 0],
            reference_images=["reference", 0], text="a photo of a man img in a library", lora_strength=lora_strength,
            face_analysis=["faces", 0],
        ),
        "guider": guider(["personal", 2], "personal"),
        "forward": guider(["personal", 1], "personal"),
    }  # fmt: skip


def instantid(run: int = 0, ip_adapter_scale: float = 0.8, controlnet_strength: float = 0.8) -> dict:
    """The method with an InstantID forward flow."""
    scales = {"ip_adapter_scale": ip_adapter_scale, "controlnet_strength": controlnet_strength}
    return {
        **method(run),
        **_reference("pocket_antelopev2"),
        "file": node("CE_InstantIDLoader", instantid_name="tiny_instantid.safetensors"),
        "net": node("ControlNetLoader", control_net_name=CONTROL),
        "personal": node(
            "CE_InstantIDForwardFlow", model=[FRESH, 0], positive=["positive", 0], negative=["negative", 0],
            instantid=["file", 0], control_net=["net", 0], face_analysis=["faces", 0],
            reference_images=["reference", 0], **scales,
        ),
        "guider": guider("positive", "personal"),
        "forward": guider(["personal", 1], "personal", ["personal", 2]),
    }  # fmt: skip


def face_swap() -> dict:
    """A swap of both faces in a picture of two people."""
    return {
        **_reference("pocket"),
        "two": node("LoadImage", image=PICTURES[2]),
        "swapper": node("CE_FaceSwapperLoader", model_name="pocket_inswapper.onnx"),
        "sampled": node(
            "CE_FaceSwap", image=["two", 0], reference=["reference", 0], face_analysis=["faces", 0],
            face_swapper=["swapper", 0], target_faces="0,1",
        ),
    }  # fmt: skip


def _reference(pack: str) -> dict:
    return {
        "reference": node("LoadImage", image=PICTURES[0]),
        "faces": node("CE_FaceAnalysisLoader", pack=pack),
    }


def shown(graph: dict, *targets: tuple[str, int]) -> dict:
    """What of the graph leads to these outputs, given as (node, slot), each with a TestDigest named "<node>/<slot>".

    The host's cache would keep the signature of any other node for good: it forgets only what it has computed.
    """
    digests = {f"{name}/{slot}": node("TestDigest", value=[name, slot]) for name, slot in targets}
    return pruned({**graph, **digests}, set(digests))


def _out(where: str | list) -> list:
    return [where, 0] if isinstance(where, str) else where
