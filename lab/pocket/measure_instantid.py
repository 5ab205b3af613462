"""Measure the pocket world's InstantID on people that no training shows: do they come through, and where asked?

python lab pocket.measure_instantid [--people 12]     needs unet, instantid, taesd, scenes and both face packs
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from pocket.encode_latents import load_vae
from pocket.encode_portraits import embedding, load_analysis
from pocket.hints import as_hint, keypoints_picture
from pocket.instantid import InstantID
from pocket.measure_control import points_off
from pocket.measure_photomaker import SEED, SHOWN, held_out_people, likeness, prompts, summary
from pocket.measuring import arguments, prepare, scene_accuracy
from pocket.preview import contact_sheet
from pocket.sampling import sample
from pocket.train_photomaker import load_frozen
from pocket.train_scenes import load_classifier
from pocket.unet import TextToImage
from pocket.world.scene import KINDS


class Personalised(torch.nn.Module):
    """The model with a person's mean embedding (512,) and a key-point picture (1, 3, 128, 128), for `sample`."""

    def __init__(self, model: TextToImage, instantid: InstantID, face: torch.Tensor, hint: torch.Tensor):
        super().__init__()
        self.model, self.instantid, self.face, self.hint = model, instantid, face, hint

    def forward(self, x: torch.Tensor, timesteps: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """As of TextToImage; the empty prompts, which come last, see nobody's face and the same key points."""
        faces = torch.stack([self.face, torch.zeros_like(self.face)]).repeat_interleave(len(ids) // 2, dim=0)
        hint = self.hint.expand(len(ids), -1, -1, -1)
        return self.instantid(self.model.unet, faces, hint, x, timesteps, *self.model.text(ids))


def load_instantid(folder: Path, model: TextToImage) -> InstantID:
    """The trained InstantID in `folder`, in float32."""
    instantid = InstantID(model.unet.state_dict())
    instantid.load_state_dict(load_file(folder / "instantid.safetensors"))  # into float32
    return instantid.eval()


@torch.no_grad()
def main() -> None:
    """Print likeness, scene accuracy and how far the key points are off, personalised and not, and draw a sheet.

    The judge of likeness is buffalo_l: the adapter was trained with antelopev2.
    """
    parser = arguments(__doc__.splitlines()[0], "instantid.png")
    parser.add_argument("--people", type=int, default=12)
    options = parser.parse_args()
    prepare(options)
    model, vae, classifier = (load(options.weights) for load in (load_frozen, load_vae, load_classifier))
    instantid = load_instantid(options.weights, model)
    judge, reader = load_analysis(options.weights), load_analysis(options.weights, "antelopev2")
    people, shown, names = held_out_people(options.people, judge)
    alike, right, off, rows = {}, {}, {}, []
    for number, (identity, views) in enumerate(people):
        face = torch.from_numpy(np.mean([embedding(reader, pixels) for pixels in shown[number][1:]], axis=0))
        asked = views[0][0]  # a picture of the person that it is not shown: its key points alone
        hint = as_hint(keypoints_picture(asked.keypoints)[None])
        texts, kinds = prompts(identity, number, "close-up")
        for name, network in (("personalised", Personalised(model, instantid, face, hint)), ("base", model)):
            pictures = sample(network, vae, texts, seed=SEED + number).numpy()
            right.setdefault(name, []).append(scene_accuracy(classifier, pictures, kinds))
            alike.setdefault(name, []).append(likeness(judge, list(pictures), names))
            off.setdefault(name, []).extend(points_off(judge, asked, picture) for picture in pictures)
            rows.append([shown[number][1], *pictures])
        print(f"{number + 1} of {len(people)} people", flush=True)
        contact_sheet(rows[: 2 * SHOWN]).save(options.output)
    owners = np.arange(len(people)).repeat(len(KINDS))
    for name, found in alike.items():
        print(f"{name}: {summary(np.concatenate(found), owners)}")
        print(f"{name}: scene recognised in {np.mean(right[name]):.1%}")
        print(f"{name}: key points off by {np.nanmedian(off[name]):.2f} of a face's width (median)")
    print(options.output)


if __name__ == "__main__":
    main()
