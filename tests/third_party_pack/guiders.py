"""The guiders: one subclasses the host's, with a third conditioning and guidance of its own; the other does not."""

import comfy.model_management
import comfy.model_patcher
import comfy.sampler_helpers
import comfy.samplers
import torch


class IdentityGuider(comfy.samplers.CFGGuider):
    """Guidance towards a person beside the guidance towards the text; keeps a state for the time of a sampling."""

    def set_conds(self, positive, negative, person):
        self.inner_set_conds({"positive": positive, "negative": negative, "person": person})

    def set_scales(self, cfg, person_scale):
        self.set_cfg(cfg)
        self.person_scale = person_scale

    def predict_noise(self, x, timestep, model_options=None, seed=None):
        self.calls_made += 1
        model_options = model_options or {}
        conds = [self.conds[name] for name in ("positive", "negative", "person")]
        positive, negative, person = comfy.samplers.calc_cond_batch(self.inner_model, conds, x, timestep, model_options)
        text = comfy.samplers.cfg_function(
            self.inner_model, positive, negative, self.cfg, x, timestep,
            model_options=model_options, cond=conds[0], uncond=conds[1],
        )  # fmt: skip
        return text + self.person_scale * (person - positive)

    def sample(self, *args, **kwargs):
        self.calls_made = 0
        try:
            return super().sample(*args, **kwargs)
        finally:
            del self.calls_made


class PlainGuider:
    """Not a CFGGuider at all: `model_patcher` and `sample` are everything that SamplerCustomAdvanced asks for."""

    def __init__(self, model, positive):
        self.model_patcher = model
        self.positive = positive

    def sample(
        self, noise, latent_image, sampler, sigmas, denoise_mask=None, callback=None, disable_pbar=False, seed=None
    ):
        patcher = self.model_patcher
        comfy.model_management.load_models_gpu([patcher])
        device, model = patcher.load_device, patcher.model
        noise, sigmas = noise.to(device), sigmas.to(device)
        latent_image = latent_image.to(device)
        if latent_image.count_nonzero():
            latent_image = model.process_latent_in(latent_image)
        if denoise_mask is not None:
            denoise_mask = comfy.sampler_helpers.prepare_mask(denoise_mask, noise.shape, device)
        conds = {"positive": comfy.sampler_helpers.convert_cond(self.positive)}
        conds = comfy.samplers.process_conds(model, noise, conds, device, latent_image, denoise_mask, seed)
        options = comfy.model_patcher.create_model_options_clone(patcher.model_options)
        options["transformer_options"]["sample_sigmas"] = sigmas
        wrap = PlainModel(patcher, conds["positive"])
        patcher.pre_run()
        try:
            extra_args = {"model_options": options, "seed": seed}
            samples = sampler.sample(
                wrap, sigmas, extra_args, callback, noise, latent_image, denoise_mask, disable_pbar
            )
        finally:
            patcher.cleanup()
        return model.process_latent_out(samples.to(torch.float32))


class PlainModel:
    """What a sampler gets: unguided predictions."""

    cfg = 1.0

    def __init__(self, patcher, cond):
        self.model_patcher = patcher
        self.inner_model = patcher.model
        self.cond = cond

    def __call__(self, x, sigma, model_options=None, seed=None):
        conds, options = [self.cond], model_options or {}
        (denoised,) = comfy.samplers.calc_cond_batch(self.inner_model, conds, x, sigma, options)
        return denoised


class IdentityGuiderNode:
    """`IdentityGuider` as a node."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": ("MODEL",),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "person": ("CONDITIONING",),
                "cfg": ("FLOAT", {"default": 5.0}),
                "person_scale": ("FLOAT", {"default": 1.0}),
            }
        }

    RETURN_TYPES = ("GUIDER",)
    FUNCTION = "get_guider"
    CATEGORY = "third_party"

    def get_guider(self, model, positive, negative, person, cfg, person_scale):
        """Make the guider."""
        guider = IdentityGuider(model)
        guider.set_conds(positive, negative, person)
        guider.set_scales(cfg, person_scale)
        return (guider,)


class PlainGuiderNode:
    """`PlainGuider` as a node."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "positive": ("CONDITIONING",)}}

    RETURN_TYPES = ("GUIDER",)
    FUNCTION = "get_guider"
    CATEGORY = "third_party"

    def get_guider(self, model, positive):
        """Make the guider."""
        return (PlainGuider(model, positive),)
