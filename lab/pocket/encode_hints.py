"""Draw the pictures behind latents.safetensors again and keep what the control modules train on: edges, key points.

nice python lab pocket.encode_hints [--pictures 8000]     after encode_latents.py
"""

import argparse
import os
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pocket import encode_latents
from pocket.examples import stream
from pocket.hints import edges_picture
from pocket.kept import OUTPUT
from pocket.unet import LATENT
from pocket.world.render import render

BATCH = 16


def main() -> None:
    """Write hints.safetensors, for the first N latents: edges (N, 128, 16) uint8, a bit for each pixel, keypoints
    (N, 5, 2) float32 in pixels, heads (N, 16, 16) float16, the share of head in each latent.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=8_000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--workers", type=int, default=1, help="processes that draw pictures; 0: this one")
    parser.add_argument("--seed", type=int, default=encode_latents.SEED, help="of encode_latents.py")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with safe_open(options.output / "latents.safetensors", "pt") as file:
        wanted = min(options.pictures, file.get_slice("latents").get_shape()[0])
    pictures = stream(render, options.seed, workers=options.workers)
    edges, keypoints, heads, started = [], [], [], time.monotonic()
    while batch := list(islice(pictures, min(BATCH, wanted - len(heads)))):
        edges.append(np.packbits(edges_picture(np.stack([picture.pixels for picture in batch])), axis=-1))
        keypoints += [picture.keypoints for picture in batch]
        heads += [cv2.resize(picture.head_mask, (LATENT, LATENT), interpolation=cv2.INTER_AREA) for picture in batch]
        if len(edges) % 50 == 0:
            done = len(heads) / wanted
            left = (time.monotonic() - started) * (1 / done - 1)
            print(f"{done:.0%} of {wanted} pictures, {left:.0f} s left", flush=True)
    pictures.close()
    tensors = {
        "edges": torch.from_numpy(np.concatenate(edges)),
        "keypoints": torch.from_numpy(np.stack(keypoints)),
        "heads": torch.from_numpy(np.stack(heads)).half(),
    }
    save_file(tensors, options.output / "hints.safetensors")


if __name__ == "__main__":
    main()
