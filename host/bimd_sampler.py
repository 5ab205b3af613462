"""BiMD as a SAMPLER of the host: `sample_bimd` in the guider that has been entered."""

import torch
from tqdm.auto import tqdm

from ..bimd import sample_bimd
from .checks import check_mask, check_model_kind
from .entered import EnteredGuider, SamplerFunction
from .regions import curve_values, read_curve, region_mask
from .sampling_errors import check_samples
from .schedules import whole_sigmas

FLOW = "the backward flow"


class BiMDSampler(SamplerFunction):
    """Starts at the recorded pivot's noisy end and follows its recorded schedule, no other.

    residual_noise: a ModelRecording. backward_scale: b of the paper's eq. 4. backward_mask: MASK (M, H, W), where the
    backward flow acts. backward_curve: CURVE, what backward_scale is multiplied by from the first step to the last.
    source: the input, or inputs, that the guider comes from, for messages.
    """

    def __init__(
        self,
        residual_noise,
        backward_scale: float,
        backward_mask=None,
        backward_curve=None,
        source: str = "guider",
    ):
        super().__init__(self._sample)
        check_mask("backward_mask", backward_mask, FLOW)
        self.residual_noise = residual_noise
        self.backward_scale = backward_scale
        self.backward_mask = backward_mask
        self.backward_curve = read_curve("backward_curve", backward_curve)
        self.source = source

    def scales(self) -> list[float]:
        """b at each step, counted from the noisiest, before the mask."""
        steps = self.residual_noise.steps
        curve = curve_values(self.backward_curve, steps) or [1.0] * steps
        return [self.backward_scale * factor for factor in curve]

    def mask(self, latent: torch.Tensor) -> torch.Tensor | None:
        """What b is multiplied by, place by place, at the size of a latent (B, C, H, W); None is 1 everywhere."""
        return region_mask("backward_mask", self.backward_mask, FLOW, latent)

    def _sample(self, entered: EnteredGuider) -> tuple[None, torch.Tensor]:
        """Raises ValueError where the graph does not fit the recording."""
        self._check(entered)
        recording, model_options = self.residual_noise, entered.extra_args["model_options"]
        mask_function = model_options.get("denoise_mask_function")

        def mask_at(sigma):
            if mask_function is None:
                return entered.denoise_mask
            options = {"model": entered.model, "sigmas": entered.sigmas}
            return mask_function(sigma, entered.denoise_mask, extra_options=options)

        steps = recording.steps
        with tqdm(total=steps, disable=entered.disable_pbar) as progress:

            def on_step(step: dict) -> None:
                progress.update()
                if entered.callback is not None:
                    entered.callback(step["i"], step["denoised"], step["x"], steps)

            samples = sample_bimd(
                entered.predict,
                recording,
                on_step,
                backward_scale=self.scales(),
                backward_mask=self.mask(entered.noise),
                denoise_mask=None if entered.denoise_mask is None else mask_at,
                device=entered.noise.device,
            )
        check_samples(samples, self.source)
        model_sampling = entered.model.inner_model.model_sampling
        return None, model_sampling.inverse_noise_scaling(recording.sigmas[0], samples)

    def _check(self, entered: EnteredGuider) -> None:
        recording, sigmas, noise = self.residual_noise, whole_sigmas(entered.sigmas), entered.noise
        check_model_kind(recording.model_kind, entered.model.model_patcher, "residual_noise")
        schedule = recording.sigmas.flip(0).to(sigmas.device)
        if schedule.shape != sigmas.shape or not torch.allclose(schedule, sigmas.to(schedule), rtol=1e-5, atol=0):
            raise ValueError(
                f"sigmas: not the schedule that residual_noise was recorded on ({recording.steps} steps from "
                f"{schedule[0].item():.4g} to 0; got {len(sigmas) - 1} from {sigmas[0].item():.4g} to "
                f"{sigmas[-1].item():.4g}). Connect the same SIGMAS as at the inversion node."
            )
        if noise.shape != recording.anchors.shape[1:]:
            raise ValueError(
                f"latent_image: its shape {tuple(noise.shape)} is not that of the inverted picture "
                f"{tuple(recording.anchors.shape[1:])}. Connect the latent output of the inversion node."
            )
        if noise.count_nonzero() > 0:
            raise ValueError(
                "noise: BiMD Sampler starts from the recorded noise, so any other noise would be ignored. Connect "
                "DisableNoise."
            )
