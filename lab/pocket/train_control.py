"""Train a control module of the pocket world: it leads the frozen text-to-image model along key points or edges.

nice python lab pocket.train_control --kind pose [--minutes 20]     after train_unet.py and encode_hints.py
"""

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from pocket.control import Control, controlled
from pocket.hints import as_hint, keypoints_picture
from pocket.kept import HINTS
from pocket.text import token_ids
from pocket.train_photomaker import load_frozen
from pocket.train_unet import noised
from pocket.training import Training, arguments

STEPS, BATCH, RATE = 1_200, 32, 2e-3
EMPTY = 0.2  # share of the examples with the empty prompt, so that the hint alone means something


def hint_pictures(hints: dict[str, torch.Tensor], kind: str, chosen: np.ndarray) -> torch.Tensor:
    """The hints of a kind for these numbers (B,): (B, 3, 128, 128), 0 to 1. hints: see encode_hints.py."""
    if kind == "edges":
        return as_hint(np.unpackbits(hints["edges"][chosen].numpy(), axis=-1).astype(bool))
    return as_hint(np.stack([keypoints_picture(points) for points in hints["keypoints"][chosen].numpy()]))


def main() -> None:
    """Train, and write control_KIND.safetensors beside the checkpoint: a Control's state, float16."""
    parser = arguments(__doc__.splitlines()[0], STEPS)
    parser.add_argument("--kind", choices=HINTS, required=True)
    options = parser.parse_args()
    name = f"control_{options.kind}"
    data, hints = (load_file(options.output / f"{file}.safetensors") for file in ("latents", "hints"))
    model, empty = load_frozen(options.output), token_ids([""])
    weights = model.unet.state_dict()
    torch.manual_seed(options.seed)
    control = Control(weights)
    control.fit_to(hint_pictures(hints, options.kind, np.arange(BATCH)))
    training = Training(name, control, options, RATE)

    def loss(step):
        rng = np.random.default_rng([options.seed, step])
        chosen = rng.integers(len(hints["edges"]), size=BATCH)
        prompts = data["ids"][chosen, rng.integers(data["ids"].shape[1], size=BATCH)].clone()
        prompts[rng.uniform(size=BATCH) < EMPTY] = empty
        with torch.autocast("cpu", enabled=False):
            context, pooled = model.text(prompts)
        x, hint = data["latents"][chosen].float(), hint_pictures(hints, options.kind, chosen)
        noisy, timesteps, noise, weight = noised(rng, x, hints["heads"][chosen])
        inputs = noisy, timesteps, context, pooled
        predicted = controlled(model.unet, control(weights, hint, *inputs), *inputs)
        return {"eps": (weight * (predicted.float() - noise).square()).mean()}

    training.run(loss)
    tensors = {key: value.half() for key, value in control.state_dict().items()}
    save_file(tensors, options.output / f"{name}.safetensors")


if __name__ == "__main__":
    main()
