"""Train the pocket world's InstantID on close-ups: adapter and IdentityNet together, on the frozen model.

nice python lab pocket.train_instantid [--minutes 20]     after train_unet.py and encode_portraits.py --pack antelopev2
"""

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from pocket.encode_portraits import PORTRAITS
from pocket.hints import as_hint, keypoints_picture
from pocket.instantid import InstantID
from pocket.text import token_ids
from pocket.train_photomaker import draw_portraits, load_frozen
from pocket.train_unet import noised
from pocket.training import Training, arguments

STEPS, RATE = 1_000, 2e-3
# A step's examples with the person, and with nobody under the empty prompt, as the negative one is sampled.
SHOWN, NOBODY = 27, 5


def draw(rng: np.random.Generator, data: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """A step's latents, heads, key points and prompts (B, ...), and the mean embedding of other pictures (B, 512)."""
    drawn, ids, shown = draw_portraits(rng, data["ids"], SHOWN + NOBODY)
    faces = data["faces"][shown].float().mean(dim=1)
    return data["latents"][drawn], data["heads"][drawn], data["keypoints"][drawn], ids, faces


def hint_pictures(points: torch.Tensor) -> torch.Tensor:
    """Key-point pictures of points (B, 5, 2): (B, 3, 128, 128), 0 to 1."""
    return as_hint(np.stack([keypoints_picture(each) for each in points.numpy()]))


def main() -> None:
    """Train, and write instantid.safetensors beside the checkpoint: an InstantID's state, float16."""
    options = arguments(__doc__.splitlines()[0], STEPS).parse_args()
    data, model = load_file(options.output / PORTRAITS["antelopev2"]), load_frozen(options.output)
    empty = token_ids([""])
    torch.manual_seed(options.seed)
    instantid = InstantID(model.unet.state_dict())
    instantid.identity_net.fit_to(hint_pictures(data["keypoints"][: SHOWN + NOBODY, 0]))
    training = Training("instantid", instantid, options, RATE)

    def loss(step):
        rng = np.random.default_rng([options.seed, step])
        x, heads, points, ids, faces = draw(rng, data)
        ids[SHOWN:], faces[SHOWN:] = empty, 0
        with torch.autocast("cpu", enabled=False):
            context, pooled = model.text(ids)
        hint = hint_pictures(points)
        noisy, timesteps, noise, weight = noised(rng, x.float(), heads)
        predicted = instantid(model.unet, faces, hint, noisy, timesteps, context, pooled)
        return {"eps": (weight * (predicted.float() - noise).square()).mean()}

    training.run(loss)
    tensors = {key: value.half() for key, value in instantid.state_dict().items()}
    save_file(tensors, options.output / "instantid.safetensors")


if __name__ == "__main__":
    main()
