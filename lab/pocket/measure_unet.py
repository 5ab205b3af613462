"""Measure the pocket world's text-to-image model: is the scene that a held-out prompt names in the picture?

python lab pocket.measure_unet [--prompts 96]     needs unet, taesd and scenes; draws samples.png beside them
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from pocket.encode_latents import load_vae
from pocket.examples import example, example_caption
from pocket.kept import OUTPUT
from pocket.preview import contact_sheet
from pocket.sampling import load_model, sample
from pocket.train_scenes import load_classifier
from pocket.train_vae import as_tensor
from pocket.world.scene import KINDS

BATCH = 16
SHOWN = 8  # pictures in a row of the sheet


def main() -> None:
    """Print the share of held-out prompts whose scene is recognised, by kind and in all, and draw a contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, default=OUTPUT, help="the folder of the trained weights")
    parser.add_argument("--output", type=Path, default=OUTPUT / "samples.png", help="the contact sheet")
    options = parser.parse_args()
    model = load_model(load_file(options.weights / "unet.safetensors"))
    vae, classifier = load_vae(options.weights), load_classifier(options.weights)
    examples = [example(number, seed=9, split="heldout") for number in range(options.prompts)]
    pictures, found = [], []
    for start in range(0, len(examples), BATCH):
        prompts = [example_caption(*parts) for parts in examples[start : start + BATCH]]
        batch = sample(model, vae, prompts, seed=options.seed + start).numpy()
        pictures += list(batch)
        with torch.no_grad():
            found += classifier(as_tensor(batch)).argmax(dim=1).tolist()
        print(f"{len(found)} of {len(examples)} prompts", flush=True)
    named = np.array([list(KINDS).index(scene.kind) for scene, _, _ in examples])
    right = np.array(found) == named
    by_kind = ", ".join(f"{kind} {right[named == number].mean():.0%}" for number, kind in enumerate(KINDS))
    print(f"scene recognised in {right.mean():.1%} of {len(right)} held-out prompts ({by_kind})")
    rows = [pictures[start : start + SHOWN] for start in range(0, min(len(pictures), 6 * SHOWN), SHOWN)]
    contact_sheet(rows).save(options.output)
    print(options.output)


if __name__ == "__main__":
    main()
