"""Train the pocket world's VAE: TAESD's layers, on crops of training pictures. A stock ComfyUI loads what comes out.

nice python lab pocket.train_vae [--minutes 50]     start it again to go on, until all --steps are taken
"""

from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from pocket.examples import example, stream
from pocket.training import Training, arguments
from pocket.vae import VAE
from pocket.world.identity import Identity
from pocket.world.pose import Pose
from pocket.world.render import render
from pocket.world.scene import Scene

STEPS = 11_000
PICTURES, CROP = 3, 64  # a step; two crops of each picture: one anywhere, one with the face
RATE = 1e-3
LATENT_NOISE = 0.05  # so that the decoder forgives what a diffusion model leaves over
HELD_OUT = 48  # pictures that are measured at the end of a run


def pixels_and_face(scene: Scene, pose: Pose, identity: Identity) -> tuple[np.ndarray, np.ndarray]:
    """(128, 128, 3) uint8 and the face's box, (4,) pixels."""
    picture = render(scene, pose, identity)
    return picture.pixels, picture.box


def crops(pictures: list[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator) -> torch.Tensor:
    """Two crops of each picture, the second with the middle of the face in it: (2 n, 3, CROP, CROP), 0 to 1."""
    found = []
    for pixels, box in pictures:
        room = np.array(pixels.shape[:2]) - CROP
        middle = np.array([box[1] + box[3], box[0] + box[2]]).astype(int) // 2
        for corner in (rng.integers(0, room + 1), np.clip(middle - rng.integers(0, CROP, 2), 0, room)):
            found.append(pixels[corner[0] : corner[0] + CROP, corner[1] : corner[1] + CROP])
    return as_tensor(np.stack(found))


def as_tensor(pixels: np.ndarray) -> torch.Tensor:
    """(B, H, W, 3) uint8 as (B, 3, H, W) float32, 0 to 1, the channels last in memory."""
    return torch.tensor(pixels).permute(0, 3, 1, 2).float().div(255).contiguous(memory_format=torch.channels_last)


def edges(difference: torch.Tensor) -> torch.Tensor:
    """The mean absolute slope of `difference` (B, C, H, W), at full, half and quarter size: it keeps outlines sharp."""
    total = difference.new_zeros(())
    for _ in range(3):
        total = total + difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
        difference = F.avg_pool2d(difference, 2)
    return total


def losses(decoded: torch.Tensor, pictures: torch.Tensor, latents: torch.Tensor) -> dict[str, torch.Tensor]:
    """The terms that are minimised, weighted. `latents` are held near zero mean and unit deviation, by channel."""
    difference, latents = decoded.float() - pictures, latents.float()
    mean, deviation = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    return {
        "l1": difference.abs().mean(),
        "l2": 5 * difference.square().mean(),
        "edges": 0.25 * edges(difference),
        "latent": 0.01 * (mean.square() + (deviation - 1).square()).mean(),
    }


@torch.no_grad()
def measure(vae: VAE) -> str:
    """PSNR on held-out pictures, whole and on faces of 32 pixels and more, and what the latents look like."""
    whole, faces, latents = [], [], []
    for number in range(HELD_OUT):
        pixels, (left, top, right, bottom) = pixels_and_face(*example(number, split="heldout"))
        picture = as_tensor(pixels[None])
        decoded, latent = vae(picture)
        squared = (decoded.clamp(0, 1) - picture).square()
        whole.append(-10 * squared.mean().log10())
        if right - left >= 32:
            face = squared[:, :, round(top) : round(bottom), round(left) : round(right)]
            faces.append(-10 * face.mean().log10())
        latents.append(latent)
    whole, faces, latents = torch.stack(whole), torch.stack(faces), torch.cat(latents)
    spread = " ".join(f"{value:.2f}" for value in latents.std(dim=(0, 2, 3)))
    psnr = f"held-out PSNR {whole.mean():.2f} dB (least {whole.min():.2f}), in faces {faces.mean():.2f} dB"
    return f"{psnr}; latents' deviation {spread}"


def main() -> None:
    """Train, measure, and write taesd.safetensors beside the checkpoint."""
    options = arguments(__doc__.splitlines()[0], STEPS, draws=True).parse_args()
    torch.manual_seed(options.seed)
    vae = VAE().to(memory_format=torch.channels_last)
    training = Training("vae", vae, options, RATE)
    pictures = stream(pixels_and_face, options.seed, start=training.step * PICTURES, workers=options.workers)

    def loss(step):
        batch = crops(list(islice(pictures, PICTURES)), np.random.default_rng([options.seed, step]))
        decoded, latents = vae(batch, LATENT_NOISE)
        return losses(decoded, batch, latents)

    training.run(loss)
    pictures.close()
    save_file(vae.file_weights(), options.output / "taesd.safetensors")
    print(f"step {training.step}: {measure(vae)}", flush=True)


if __name__ == "__main__":
    main()
