"""Draw close-ups of many people once and keep what the personalisation trains on: latents, prompts and embeddings.

nice python lab pocket.encode_portraits [--pictures 6000] [--pack antelopev2]     needs taesd.safetensors and the pack
"""

import contextlib
import io
import warnings
from functools import partial
from pathlib import Path

import insightface
import numpy as np
import torch
from safetensors.torch import save_file

from pocket.encode_latents import load_vae
from pocket.encoding import Progress, arguments, head_shares
from pocket.examples import numbered
from pocket.measure_faces import largest
from pocket.text import token_ids
from pocket.train_vae import as_tensor
from pocket.world.caption import caption
from pocket.world.identity import SPLITS, Identity, sample_identity
from pocket.world.pose import sample_pose
from pocket.world.render import Picture, render
from pocket.world.scene import sample_scene

VIEWS, WORDINGS = 3, 2  # pictures of each person, captions of each picture
PORTRAITS = {"buffalo_l": "portraits.safetensors", "antelopev2": "portraits_antelopev2.safetensors"}  # by pack

Portrait = tuple[Picture, list[str]]  # with WORDINGS captions


def portraits(number: int, seed: int = 0, split: str = "train", count: int = VIEWS) -> tuple[Identity, list[Portrait]]:
    """Person `number` (0, 1, ...) of a `split`, and `count` close-ups in as many scenes and poses."""
    rng = np.random.default_rng([seed, SPLITS.index(split), number])
    identity = sample_identity(rng, split)
    found = []
    for _ in range(count):
        scene, pose = sample_scene(rng, split), sample_pose(rng, "close-up", identity.word)
        captions = [caption(scene, pose, identity.word, rng) for _ in range(WORDINGS)]
        found.append((render(scene, pose, identity), captions))
    return identity, found


def load_analysis(folder: Path, pack: str = "buffalo_l") -> insightface.app.FaceAnalysis:
    """A face pack in `folder`, ready to use on the CPU."""
    with contextlib.redirect_stdout(io.StringIO()):  # InsightFace prints what it loads
        name = str(folder / "insightface" / "models" / pack)
        analysis = insightface.app.FaceAnalysis(name, providers=["CPUExecutionProvider"])
    analysis.prepare(ctx_id=0)
    return analysis


def embedding(analysis: insightface.app.FaceAnalysis, pixels: np.ndarray) -> np.ndarray | None:
    """The raw embedding, (512,) float32, of the largest face in a picture (H, W, 3), RGB; None where there is none."""
    face = largest(analysis, pixels)
    return None if face is None else face.embedding


@torch.no_grad()
def main() -> None:
    """Write a file of PORTRAITS, for N people: latents (N, VIEWS, 4, 16, 16) float16, heads (N, VIEWS, 16, 16) float16,
    the share of head in each latent, ids (N, VIEWS, WORDINGS, 2, 77) int32, faces (N, VIEWS, 512) float16, as the pack
    sees them, and keypoints (N, VIEWS, 5, 2) float32, in pixels.
    """
    parser = arguments(__doc__.splitlines()[0], pictures=6_000, seed=2)
    parser.add_argument("--pack", choices=PORTRAITS, default="buffalo_l", help="whose embeddings")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    vae, analysis = load_vae(options.output), load_analysis(options.output, options.pack)
    warnings.simplefilter("ignore", FutureWarning)  # InsightFace's alignment uses what scikit-image deprecates
    people = numbered(partial(portraits, seed=options.seed), workers=options.workers)
    latents, heads, faces, keypoints, texts = [], [], [], [], []
    wanted, progress = options.pictures // VIEWS, Progress(options.pictures)
    while len(latents) < wanted:
        _, views = next(people)
        pictures, captions = zip(*views, strict=True)
        found = [embedding(analysis, picture.pixels) for picture in pictures]
        if any(face is None for face in found):
            continue
        with torch.autocast("cpu", torch.bfloat16):
            latents.append(vae.taesd_encoder(as_tensor(np.stack([picture.pixels for picture in pictures]))).half())
        heads += head_shares(pictures)
        faces += found
        keypoints += [picture.keypoints for picture in pictures]
        texts += [text for wordings in captions for text in wordings]
        if len(latents) % 100 == 0:
            progress.show(len(latents) * VIEWS)
    people.close()
    portraits_of = {
        "latents": torch.cat(latents).contiguous(),
        "heads": torch.from_numpy(np.stack(heads)).half(),
        "faces": torch.from_numpy(np.stack(faces)).half(),
        "keypoints": torch.from_numpy(np.stack(keypoints)),
        "ids": token_ids(texts).unflatten(0, (-1, WORDINGS)),
    }
    tensors = {name: tensor.unflatten(0, (-1, VIEWS)).contiguous() for name, tensor in portraits_of.items()}
    save_file(tensors, options.output / PORTRAITS[options.pack])


if __name__ == "__main__":
    main()
