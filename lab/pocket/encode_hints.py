"""Draw the pictures behind latents.safetensors again and keep what the control modules train on: edges, key points.

nice python lab pocket.encode_hints [--pictures 8000]     after encode_latents.py
"""

from itertools import islice

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pocket import encode_latents
from pocket.encoding import Progress, arguments, head_shares
from pocket.examples import stream
from pocket.hints import edges_picture
from pocket.world.render import render

BATCH = 16


def main() -> None:
    """Write hints.safetensors, for the first N latents: edges (N, 128, 16) uint8, a bit for each pixel, keypoints
    (N, 5, 2) float32 in pixels, heads (N, 16, 16) float16, the share of head in each latent.
    """
    options = arguments(__doc__.splitlines()[0], pictures=8_000, seed=encode_latents.SEED).parse_args()
    torch.set_num_threads(options.threads)
    with safe_open(options.output / "latents.safetensors", "pt") as file:
        wanted = min(options.pictures, file.get_slice("latents").get_shape()[0])
    pictures = stream(render, options.seed, workers=options.workers)
    edges, keypoints, heads, progress = [], [], [], Progress(wanted)
    while batch := list(islice(pictures, min(BATCH, wanted - len(heads)))):
        edges.append(np.packbits(edges_picture(np.stack([picture.pixels for picture in batch])), axis=-1))
        keypoints += [picture.keypoints for picture in batch]
        heads += head_shares(batch)
        if len(edges) % 50 == 0:
            progress.show(len(heads))
    pictures.close()
    tensors = {
        "edges": torch.from_numpy(np.concatenate(edges)),
        "keypoints": torch.from_numpy(np.stack(keypoints)),
        "heads": torch.from_numpy(np.stack(heads)).half(),
    }
    save_file(tensors, options.output / "hints.safetensors")


if __name__ == "__main__":
    main()
