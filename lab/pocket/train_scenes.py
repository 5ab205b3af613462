"""Train the pocket world's judge of scenes: a small classifier of the eight kinds, on the renderer's pictures alone.

nice python lab pocket.train_scenes     writes scenes.safetensors; four minutes
"""

from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from pocket.examples import example
from pocket.pool import train_on_pool
from pocket.train_vae import as_tensor
from pocket.training import Training, arguments
from pocket.world.render import render
from pocket.world.scene import KINDS

STEPS, PICTURES, RATE = 1_500, 32, 3e-3
POOL, FRESH = 1_000, 4  # pictures to draw from, new ones a step
HELD_OUT = 400
# Deviation of what is added, share of blurred pictures: those of a model are not as crisp as the renderer's.
NOISE, BLUR = 0.05, 0.5


class SceneClassifier(nn.Module):
    """Pictures (B, 3, 128, 128), 0 to 1, to logits (B, 8) in the order of KINDS."""

    def __init__(self):
        super().__init__()
        widths = (3, 24, 48, 64, 96)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), nn.GroupNorm(8, n_out), nn.ReLU())
            for n_in, n_out in pairwise(widths)
        )
        self.head = nn.Linear(widths[-1], len(KINDS))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """See the class."""
        x = F.avg_pool2d(pictures, 2) - 0.5
        for layer in self.layers:
            x = layer(x)
        return self.head(x.mean(dim=(2, 3)))


def labelled(number: int, seed: int = 0, split: str = "train") -> tuple[np.ndarray, int]:
    """The picture of an example, (128, 128, 3) uint8, and its scene's number in KINDS."""
    scene, pose, identity = example(number, seed, split)
    return render(scene, pose, identity).pixels, list(KINDS).index(scene.kind)


def softened(pictures: torch.Tensor) -> torch.Tensor:
    """Half of the pictures blurred, all with noise: (B, 3, H, W), 0 to 1."""
    blurred = F.avg_pool2d(F.pad(pictures, (2, 2, 2, 2), mode="replicate"), 5, 1)
    chosen = torch.rand(len(pictures), 1, 1, 1) < BLUR
    return torch.where(chosen, blurred, pictures) + NOISE * torch.randn_like(pictures)


def load_classifier(folder: Path) -> SceneClassifier:
    """The trained classifier in `folder`, in float32."""
    classifier = SceneClassifier().eval()
    classifier.load_state_dict({key: value.float() for key, value in load_file(folder / "scenes.safetensors").items()})
    return classifier


def main() -> None:
    """Train, measure on held-out scenes and people, and write scenes.safetensors."""
    options = arguments(__doc__.splitlines()[0], STEPS, draws=True).parse_args()
    torch.manual_seed(options.seed)
    model = SceneClassifier()
    training = Training("scenes", model, options, RATE)

    def loss(pool, rng):
        batch = pool.draw(PICTURES, rng)
        kinds = torch.tensor([kind for _, kind in batch])
        logits = model(softened(as_tensor(np.stack([pixels for pixels, _ in batch]))))
        return {"cross_entropy": F.cross_entropy(logits.float(), kinds)}

    train_on_pool(training, partial(labelled, seed=options.seed + 2), POOL, FRESH, loss)
    held_out = [labelled(number, split="heldout") for number in range(HELD_OUT)]
    with torch.no_grad():
        found = model(as_tensor(np.stack([pixels for pixels, _ in held_out]))).argmax(dim=1)
    right = (found == torch.tensor([kind for _, kind in held_out])).float().mean()
    print(f"step {training.step}: right on {right:.1%} of {HELD_OUT} held-out pictures", flush=True)
    save_file({key: value.half() for key, value in model.state_dict().items()}, options.output / "scenes.safetensors")


if __name__ == "__main__":
    main()
