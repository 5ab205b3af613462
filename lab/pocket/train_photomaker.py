"""Train the pocket world's PhotoMaker V2 on close-ups: the frozen text-to-image model learns to draw whom it is shown.

nice python lab pocket.train_photomaker [--minutes 25]     after train_unet.py and encode_portraits.py
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.func import functional_call

from pocket.photomaker import PhotoMaker, class_places
from pocket.sampling import load_model
from pocket.text import TextEncoders, token_ids
from pocket.train_unet import noised, square_error
from pocket.training import Training, arguments
from pocket.unet import TextToImage

STEPS, RATE = 2_500, 2e-3
# A step's examples with the person in the prompt, with the same prompt alone, and with the empty prompt.
SHOWN, PLAIN, EMPTY = 26, 3, 3
REFERENCES = 2  # at most


def load_frozen(folder: Path) -> TextToImage:
    """The trained text-to-image model in `folder`, which learns no more."""
    return load_model(load_file(folder / "unet.safetensors")).requires_grad_(False)


@torch.no_grad()
def text_scale(text: TextEncoders, ids: torch.Tensor) -> float:
    """The root of the mean square of the class words' states in these prompts (B, 2, 77)."""
    context, _ = text(ids)
    return context[torch.arange(len(ids)), class_places(ids)].square().mean().sqrt().item()


def draw_portraits(
    rng: np.random.Generator, ids: torch.Tensor, count: int
) -> tuple[tuple[np.ndarray, np.ndarray], torch.Tensor, tuple[np.ndarray, np.ndarray]]:
    """The portraits that a step draws, their prompts (count, 2, 77), and others of the same people, to be shown.

    ids: (people, views, wordings, 2, 77). Portraits are indices of the first two axes: (count,) each of those drawn,
    (count, 1) and (count, R) of those shown, R from 1 to REFERENCES.
    """
    people, views, wordings = ids.shape[:3]
    chosen = rng.integers(people, size=count)
    order = rng.permuted(np.tile(np.arange(views), (count, 1)), axis=1)
    drawn = chosen, order[:, 0]
    prompts = ids[(*drawn, rng.integers(wordings, size=count))]
    return drawn, prompts, (chosen[:, None], order[:, 1 : 2 + rng.integers(REFERENCES)])


def draw(rng: np.random.Generator, data: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """A step's latents and heads (B, ...), prompts (B, 2, 77), and embeddings of other pictures (SHOWN, R, 512)."""
    drawn, ids, (people, views) = draw_portraits(rng, data["ids"], SHOWN + PLAIN + EMPTY)
    return data["latents"][drawn], data["heads"][drawn], ids, data["faces"][people[:SHOWN], views[:SHOWN]]


def main() -> None:
    """Train, and write photomaker.safetensors beside the checkpoint: a PhotoMaker's state, float16."""
    options = arguments(__doc__.splitlines()[0], STEPS).parse_args()
    data, model = load_file(options.output / "portraits.safetensors"), load_frozen(options.output)
    weights, empty = model.unet.state_dict(), token_ids([""])
    torch.manual_seed(options.seed)
    photomaker = PhotoMaker(weights, text_scale(model.text, data["ids"][:200, 0, 0].contiguous()))
    training = Training("photomaker", photomaker, options, RATE)

    def conditioning(ids, faces):
        with torch.autocast("cpu", enabled=False):
            shown = photomaker(model.text, ids[:SHOWN], faces)
            others = model.text(torch.cat([ids[SHOWN : SHOWN + PLAIN], empty.expand(EMPTY, -1, -1)]))
        return (torch.cat(parts) for parts in zip(shown, others, strict=True))

    def loss(step):
        rng = np.random.default_rng([options.seed, step])
        x, heads, ids, faces = draw(rng, data)
        context, pooled = conditioning(ids, faces.float())
        noisy, timesteps, noise, weight = noised(rng, x.float(), heads)
        texts = {"context": context, "y": pooled}
        predicted = functional_call(model.unet, photomaker.lora_weights(weights), (noisy, timesteps), texts)
        return {"eps": square_error(weight.sqrt() * (predicted.float() - noise))}

    training.run(loss)
    tensors = {key: value.half() for key, value in photomaker.state_dict().items()}
    save_file(tensors, options.output / "photomaker.safetensors")


if __name__ == "__main__":
    main()
