"""Draw training pictures once and keep what the UNet trains on: their latents, and the token ids of their captions.

nice python lab pocket.encode_latents [--pictures 12000]     needs the trained taesd.safetensors
"""

from itertools import islice
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from pocket.encoding import Progress, arguments
from pocket.examples import stream
from pocket.text import token_ids
from pocket.train_vae import as_tensor
from pocket.vae import VAE
from pocket.world.caption import caption
from pocket.world.identity import Identity
from pocket.world.pose import Pose
from pocket.world.render import render
from pocket.world.scene import Scene

BATCH, SEED = 16, 1
WORDINGS = 4  # captions of each picture


def pixels_and_captions(scene: Scene, pose: Pose, identity: Identity) -> tuple[np.ndarray, list[str]]:
    """(128, 128, 3) uint8, and WORDINGS captions."""
    rng = np.random.default_rng(scene.seed)
    return render(scene, pose, identity).pixels, [caption(scene, pose, identity.word, rng) for _ in range(WORDINGS)]


def load_vae(folder: Path) -> VAE:
    """The trained VAE in `folder`, in float32."""
    vae = VAE().to(memory_format=torch.channels_last).eval()
    vae.load_state_dict(
        {key: value.float() for key, value in load_file(folder / "taesd.safetensors").items() if "taesd" in key}
    )
    return vae


@torch.no_grad()
def main() -> None:
    """Write latents.safetensors: latents (N, 4, 16, 16) float16, ids (N, WORDINGS, 2, 77) int32."""
    options = arguments(__doc__.splitlines()[0], pictures=12_000, seed=SEED).parse_args()
    torch.set_num_threads(options.threads)
    vae = load_vae(options.output)
    pictures = stream(pixels_and_captions, options.seed, workers=options.workers)
    latents, texts, progress = [], [], Progress(options.pictures)
    while len(texts) < options.pictures * WORDINGS:
        batch = list(islice(pictures, BATCH))
        with torch.autocast("cpu", torch.bfloat16):
            latents.append(vae.taesd_encoder(as_tensor(np.stack([pixels for pixels, _ in batch]))).half())
        texts += [text for _, wordings in batch for text in wordings]
        if len(latents) % 50 == 0:
            progress.show(len(texts) // WORDINGS)
    pictures.close()
    latents = torch.cat(latents).contiguous()
    ids = token_ids(texts).unflatten(0, (-1, WORDINGS))
    save_file({"latents": latents, "ids": ids}, options.output / "latents.safetensors")
    print(f"latents' deviation {latents.float().std():.3f}, {len(ids.unique())} tokens", flush=True)


if __name__ == "__main__":
    main()
