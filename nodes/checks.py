"""Checks of what a graph hands to the sampling nodes: each error names the input, what is wrong and what to do."""

import torch


def check_sigmas(sigmas: torch.Tensor) -> None:
    """Refuse SIGMAS that no inversion can follow. sigmas: (N + 1,), as the host's scheduler nodes give them.

    Raises ValueError unless there are at least two, finite, strictly descending and ending at 0.
    """
    if len(sigmas) < 2:
        raise ValueError(
            f"sigmas: {len(sigmas)} values make no step. Connect a scheduler with 1 step or more and denoise above 0."
        )
    if not torch.isfinite(sigmas).all():
        raise ValueError("sigmas: holds NaN or Inf. Check the scheduler's settings.")
    if not (sigmas.diff() < 0).all():
        raise ValueError(
            "sigmas: must descend at every step. Connect the scheduler's output as it is (no FlipSigmas: "
            "inversion flips it by itself), with no more steps than the model has timesteps."
        )
    if sigmas[-1] != 0:
        raise ValueError(
            f"sigmas: ends at {sigmas[-1].item():.4g}, not at 0, but inversion starts from a finished picture. "
            "To invert only part of the way, connect low_sigmas of SplitSigmas."
        )


def check_latent(name: str, samples: torch.Tensor) -> None:
    """Raise ValueError if the latent input `name` holds NaN or Inf. samples: a LATENT's tensor, nested or not."""
    for tensor in samples.unbind() if samples.is_nested else [samples]:
        if not torch.isfinite(tensor).all():
            raise ValueError(
                f"{name}: holds NaN or Inf. Whatever made this latent failed: a VAE in fp16 often does "
                "(start ComfyUI with --fp32-vae or --bf16-vae)."
            )


def check_recording(record: torch.Tensor) -> None:
    """Raise ValueError if a recorded trajectory holds NaN or Inf. record: latents of any shape."""
    if not torch.isfinite(record).all():
        raise ValueError(
            "guider: its model predicted NaN or Inf on the way. Run the model in bf16 or fp32 (--bf16-unet, "
            "--fp32-unet) or lower the guider's cfg."
        )


def model_kind(model_patcher) -> str:
    """What a recording has to agree on with the model that samples along it: architecture and prediction type.

    model_patcher: a MODEL. Returns text such as "SDXL, EPS prediction".
    """
    sampling_classes = type(model_patcher.get_model_object("model_sampling")).__mro__
    prediction = next(c.__name__ for c in sampling_classes if "calculate_denoised" in vars(c))
    return f"{type(model_patcher.model).__name__}, {prediction} prediction"


def check_model_kind(recorded: str, model_patcher, recording: str) -> None:
    """Raise ValueError unless the guider's MODEL is of the kind that the recording was made with.

    recorded: the recording's `model_kind`. recording: the input it came from, for the message.
    """
    kind = model_kind(model_patcher)
    if kind != recorded:
        raise ValueError(
            f"{recording}: was recorded with a model of another kind ({recorded}) than the guider's ({kind}). "
            "Invert the picture with the model that samples it."
        )
