"""API prompts for a running host, and what comes of them."""


def node(class_type, **inputs):
    """A node of an API prompt, titled with its class."""
    return {"class_type": class_type, "inputs": inputs, "_meta": {"title": class_type}}


def inversion_prompt(steps=8, scheduler="normal", batch=1, cfg=5.0, size=256):
    """Invert a latent of the tiny SDXL and sample it back with the forward flow off, measured in the latent."""
    return {
        "model": node("CheckpointLoaderSimple", ckpt_name="tiny_sdxl.safetensors"),
        "positive": node("CLIPTextEncode", clip=["model", 1], text="a photo of a man in a library"),
        "negative": node("CLIPTextEncode", clip=["model", 1], text="blurry"),
        "sigmas": node("BasicScheduler", model=["model", 0], scheduler=scheduler, steps=steps, denoise=1.0),
        "empty": node("EmptyLatentImage", width=size, height=size, batch_size=batch),
        "noise": node("RandomNoise", noise_seed=1),
        "euler": node("KSamplerSelect", sampler_name="euler"),
        "guider": node("CFGGuider", model=["model", 0], positive=["positive", 0], negative=["negative", 0], cfg=cfg),
        "picture": node(
            "SamplerCustomAdvanced",
            **{"noise": ["noise", 0], "guider": ["guider", 0], "sampler": ["euler", 0], "sigmas": ["sigmas", 0]},
            latent_image=["empty", 0],
        ),
        "inversion": node("CE_ResInversion", guider=["guider", 0], sigmas=["sigmas", 0], latent_image=["picture", 0]),
        "no_noise": node("DisableNoise"),
        "bimd": node("CE_BiMDSampler", residual_noise=["inversion", 0]),
        "sampled": node(
            "SamplerCustomAdvanced",
            **{"noise": ["no_noise", 0], "guider": ["guider", 0], "sampler": ["bimd", 0], "sigmas": ["sigmas", 0]},
            latent_image=["inversion", 1],
        ),
        "difference": node("TestLatentDifference", a=["picture", 0], b=["sampled", 0]),
    }


def difference(run, node_id="difference"):
    """What a TestLatentDifference measured."""
    return float(run.outputs[node_id]["text"][0])


def guider_calls(host, run):
    """The number of guider calls of each node of a run that made any."""
    counts = host.get_json("/customenhancer_test/counts", prompt_id=run.prompt_id)
    return {node_id: counted["guider_calls"] for node_id, counted in counts.items()}
