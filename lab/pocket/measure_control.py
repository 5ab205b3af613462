"""Measure a control module of the pocket world on held-out pictures: does what is drawn keep to the hint?

python lab pocket.measure_control --kind pose [--pictures 48]     needs unet, taesd, control_KIND and buffalo_l
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file

from pocket.control import Control, controlled
from pocket.encode_latents import load_vae
from pocket.encode_portraits import load_analysis
from pocket.examples import example, example_caption
from pocket.hints import as_hint, edges_picture, keypoints_picture
from pocket.kept import HINTS
from pocket.measure_faces import largest
from pocket.measuring import arguments, prepare
from pocket.preview import contact_sheet
from pocket.sampling import sample
from pocket.train_photomaker import load_frozen
from pocket.unet import TextToImage
from pocket.world.render import Picture, render

SEED, BATCH = 11, 16
SHOTS = ("close-up", "half figure")
SHOWN = 8  # pictures in a row of the sheet
NEAR = np.ones((3, 3), np.uint8)  # an edge counts as found where one is at most a pixel away


class Steered(torch.nn.Module):
    """The model with a control module and a hint for each prompt, as `sample` calls it."""

    def __init__(self, model: TextToImage, control: Control, hint: torch.Tensor):
        super().__init__()
        self.model, self.control, self.hint = model, control, hint
        self.weights = model.unet.state_dict()

    def forward(self, x: torch.Tensor, timesteps: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """As of TextToImage; the empty prompts, which come last, see the same hints."""
        inputs = x, timesteps, *self.model.text(ids)
        return controlled(self.model.unet, self.control(self.weights, self.hint.repeat(2, 1, 1, 1), *inputs), *inputs)


def load_control(folder: Path, kind: str, model: TextToImage) -> Control:
    """The trained module of a kind in `folder`, in float32."""
    control = Control(model.unet.state_dict())
    control.load_state_dict(load_file(folder / f"control_{kind}.safetensors"))  # into float32
    return control.eval()


def edge_agreement(asked: np.ndarray, drawn: np.ndarray) -> float:
    """F1 of two edge pictures (H, W) bool, a pixel off allowed."""
    near_asked, near_drawn = (cv2.dilate(edges.astype(np.uint8), NEAR) > 0 for edges in (asked, drawn))
    recall = (asked & near_drawn).sum() / max(asked.sum(), 1)
    precision = (drawn & near_asked).sum() / max(drawn.sum(), 1)
    return 2 * recall * precision / max(recall + precision, 1e-9)


def points_off(analysis, asked: Picture, drawn: np.ndarray) -> float:
    """How far from the asked ones the drawn key points are, in widths of the asked face; NaN where no face is found."""
    face = largest(analysis, drawn)
    if face is None:
        return np.nan
    return np.linalg.norm(face.kps - asked.keypoints, axis=1).mean() / (asked.box[2] - asked.box[0])


def summary(kind: str, found: list[float]) -> str:
    """What was found, in words."""
    if kind == "edges":
        return f"edges agree by {np.mean(found):.3f} (F1)"
    missed = np.isnan(found).mean()
    return f"key points off by {np.nanmedian(found):.2f} of a face's width (median); no face in {missed:.0%}"


@torch.no_grad()
def main() -> None:
    """Print how well the hint is kept to, with the module and without, from the same noise, and draw a sheet."""
    parser = arguments(__doc__.splitlines()[0], "control_KIND.png")
    parser.add_argument("--kind", choices=HINTS, required=True)
    parser.add_argument("--pictures", type=int, default=48)
    options = parser.parse_args()
    prepare(options)
    model, vae, analysis = load_frozen(options.weights), load_vae(options.weights), load_analysis(options.weights)
    control = load_control(options.weights, options.kind, model)
    found, rows = {"with the module": [], "without": []}, []
    for start in range(0, options.pictures, BATCH):
        numbers = range(start, min(start + BATCH, options.pictures))
        examples = [example(number, SEED, "heldout", SHOTS[number % len(SHOTS)]) for number in numbers]
        prompts, asked = [example_caption(*parts) for parts in examples], [render(*parts) for parts in examples]
        edges = edges_picture(np.stack([picture.pixels for picture in asked]))
        pose = np.stack([keypoints_picture(picture.keypoints) for picture in asked])
        hint = as_hint(edges if options.kind == "edges" else pose)
        rows.append(list((255 * hint).byte().movedim(1, -1).numpy()[:SHOWN]))
        for name, network in zip(found, (Steered(model, control, hint), model), strict=True):
            drawn = sample(network, vae, prompts, seed=SEED + start).numpy()
            rows.append(list(drawn[:SHOWN]))
            if options.kind == "edges":
                found[name] += map(edge_agreement, edges, edges_picture(drawn))
            else:
                found[name] += [points_off(analysis, *each) for each in zip(asked, drawn, strict=True)]
        print(f"{numbers.stop} of {options.pictures} pictures", flush=True)
    for name, values in found.items():
        print(f"{name}: {summary(options.kind, values)}")
    sheet = options.output.with_name(options.output.name.replace("KIND", options.kind))
    contact_sheet(rows).save(sheet)
    print(sheet)


if __name__ == "__main__":
    main()
