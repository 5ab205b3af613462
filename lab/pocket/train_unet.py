"""Train the pocket world's text-to-image model: an SDXL-shaped UNet and its text encoders, on encoded pictures.

nice python lab pocket.train_unet [--minutes 50]     after the three encode_*.py; start it again to go on
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from pocket.text import token_ids
from pocket.training import Training, arguments
from pocket.unet import TIMESTEPS, TextToImage, alphas_bar

STEPS, BATCH, RATE = 11_000, 32, 8e-4
UNCONDITIONAL = 0.1  # share of the examples that learn the empty prompt, for classifier-free guidance
SNR_LIMIT = 5.0
SCALES = 1, 2, 4, 8, 16  # latents along a side over which an error is averaged
HEAD = 2.0  # how much more an error on the head counts
CLOSE_UPS = 0.5  # share of the examples that are close-ups: a face of a few latents teaches no face


def noise_weights(signal: torch.Tensor) -> torch.Tensor:
    """The weight of each timestep's error in the noise: min-SNR-5 (Hang et al.). signal: alpha_bar, any shape."""
    snr = signal / (1 - signal)
    return snr.clamp(max=SNR_LIMIT) / snr


def square_error(error: torch.Tensor) -> torch.Tensor:
    """The mean square of an error (B, 4, 16, 16), summed over SCALES, at each of which white noise counts 1 / scale.

    The plain mean square leaves a picture's colours to chance: at sigma 14 an error in the noise's mean that it hardly
    shows, one part in 256, becomes the whole of the picture's mean. Were all scales to count alike, they would be paid
    for in outlines. Whatever the scales, what is least wrong remains the expected noise.
    """
    return sum(scale * F.avg_pool2d(error, scale).square().mean() for scale in SCALES)


def noised(rng: np.random.Generator, latents: torch.Tensor, heads: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """A step's noisy latents (B, 4, 16, 16), their timesteps (B,), the noise in them, and the weight of its error.

    latents: (B, 4, 16, 16) float32. heads: (B, 16, 16), the share of head, on which an error counts HEAD times more.
    """
    timesteps = torch.from_numpy(rng.integers(TIMESTEPS, size=len(latents)))
    signal = alphas_bar()[timesteps][:, None, None, None]
    noise = torch.randn_like(latents)
    weight = noise_weights(signal) * (1 + HEAD * heads[:, None].float())
    return signal.sqrt() * latents + (1 - signal).sqrt() * noise, timesteps.float(), noise, weight


def training_pictures(folder: Path) -> list[dict[str, torch.Tensor]]:
    """Pictures of all shots, and close-ups: latents (N, 4, 16, 16), heads (N, 16, 16), ids (N, wordings, 2, 77)."""
    all_shots, hints, close_ups = (
        load_file(folder / f"{name}.safetensors") for name in ("latents", "hints", "portraits")
    )
    count = len(hints["heads"])
    return [
        {"latents": all_shots["latents"][:count], "heads": hints["heads"], "ids": all_shots["ids"][:count]},
        {name: close_ups[name].flatten(0, 1) for name in ("latents", "heads", "ids")},
    ]


def draw(rng: np.random.Generator, pictures: dict[str, torch.Tensor], count: int) -> tuple[torch.Tensor, ...]:
    """Latents and heads (count, ...) of pictures drawn at random, and one wording (count, 2, 77) of each."""
    chosen = rng.integers(len(pictures["latents"]), size=count)
    wording = rng.integers(pictures["ids"].shape[1], size=count)
    return pictures["latents"][chosen].float(), pictures["heads"][chosen].float(), pictures["ids"][chosen, wording]


def main() -> None:
    """Train, and write unet.safetensors beside the checkpoint: all weights under the training's own names, float16."""
    options = arguments(__doc__.splitlines()[0], STEPS).parse_args()
    kinds, empty = training_pictures(options.output), token_ids([""])
    vocabulary = torch.cat([*(pictures["ids"].flatten() for pictures in kinds), empty.flatten()]).unique()
    torch.manual_seed(options.seed)
    model = TextToImage(vocabulary)
    training = Training("unet", model, options, RATE)
    close_ups = round(CLOSE_UPS * BATCH)

    def loss(step):
        rng = np.random.default_rng([options.seed, step])
        drawn = map(draw, [rng] * 2, kinds, (BATCH - close_ups, close_ups))
        x, heads, prompts = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        prompts[rng.uniform(size=BATCH) < UNCONDITIONAL] = empty
        noisy, timesteps, noise, weight = noised(rng, x, heads)
        return {"eps": square_error(weight.sqrt() * (model(noisy, timesteps, prompts).float() - noise))}

    training.run(loss)
    weights = {key: value.half() if value.is_floating_point() else value for key, value in model.state_dict().items()}
    save_file(weights, options.output / "unet.safetensors")


if __name__ == "__main__":
    main()
