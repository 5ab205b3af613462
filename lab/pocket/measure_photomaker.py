"""Measure the pocket world's PhotoMaker on people that no training shows: do they come through, and do the scenes?

python lab pocket.measure_photomaker [--people 12]     needs unet, photomaker, taesd, scenes and both face packs
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from pocket.encode_latents import load_vae
from pocket.encode_portraits import embedding, load_analysis, portraits
from pocket.examples import example, example_caption
from pocket.measure_faces import JUDGE
from pocket.measuring import arguments, prepare, scene_accuracy
from pocket.photomaker import PhotoMaker
from pocket.preview import contact_sheet
from pocket.sampling import sample
from pocket.train_photomaker import load_frozen
from pocket.train_scenes import load_classifier
from pocket.unet import TextToImage
from pocket.world.identity import Identity
from pocket.world.scene import KINDS

SEED = 9
REFERENCES = 2  # pictures of a person that the model is shown and the judge compares with
SHOWN = 4  # people on the sheet
SHOTS = ("close-up", "half figure")


class Personalised(torch.nn.Module):
    """The model with a person's LoRA and embeddings (R, 512), as `sample` calls it: the empty prompts come last."""

    def __init__(self, model: TextToImage, photomaker: PhotoMaker, faces: torch.Tensor):
        super().__init__()
        self.model, self.photomaker, self.faces = model, photomaker, faces
        self.weights = photomaker.lora_weights(model.unet.state_dict())

    def forward(self, x: torch.Tensor, timesteps: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """As of TextToImage."""
        prompts, empty = ids.chunk(2)
        shown = self.photomaker(self.model.text, prompts, self.faces.expand(len(prompts), -1, -1))
        context, pooled = (torch.cat(parts) for parts in zip(shown, self.model.text(empty), strict=True))
        texts = {"context": context, "y": pooled}
        return torch.func.functional_call(self.model.unet, self.weights, (x, timesteps), texts)


def load_photomaker(folder: Path, model: TextToImage) -> PhotoMaker:
    """The trained PhotoMaker in `folder`, in float32."""
    photomaker = PhotoMaker(model.unet.state_dict())
    photomaker.load_state_dict(load_file(folder / "photomaker.safetensors"))  # into float32
    return photomaker.eval()


def prompts(identity: Identity, number: int, shot: str) -> tuple[list[str], list[int]]:
    """One held-out caption of each kind of scene for a person of this word, and the kinds' numbers in KINDS."""
    texts, kinds, place = [], [], 1000 * number
    while len(kinds) < len(KINDS):
        scene, pose, other = example(place, SEED, "heldout", shot)
        kind, place = list(KINDS).index(scene.kind), place + 1
        if other.word == identity.word and kind not in kinds:
            texts.append(example_caption(scene, pose, other))
            kinds.append(kind)
    return texts, kinds


def unit(embeddings: list[np.ndarray]) -> np.ndarray:
    """Embeddings (N, 512) at length 1."""
    stacked = np.stack(embeddings)
    return stacked / np.linalg.norm(stacked, axis=1, keepdims=True)


def held_out_people(count: int, judge) -> tuple[list, list[list[np.ndarray]], np.ndarray]:
    """People with their `portraits`, the pixels of each one's, and what the judge makes of all but the first, (P, 512).

    The first picture of each is shown to no model.
    """
    people = [portraits(number, SEED, "heldout", REFERENCES + 1) for number in range(count)]
    shown = [[picture.pixels for picture, _ in views] for _, views in people]
    embeddings = [unit([embedding(judge, pixels) for pixels in views[1:]]).mean(axis=0) for views in shown]
    return people, shown, np.stack(embeddings)


def likeness(judge, pictures: list[np.ndarray], people: np.ndarray) -> np.ndarray:
    """(N, P): how alike the face in each picture is to each of people (P, 512); 0 where no face is found."""
    found = [embedding(judge, pixels) for pixels in pictures]
    return np.stack([np.zeros(len(people)) if face is None else unit([face])[0] @ people.T for face in found])


def summary(alike: np.ndarray, owners: np.ndarray) -> str:
    """What `likeness` found, in words. owners: (N,), who each picture shall show."""
    own = alike[np.arange(len(owners)), owners]
    strangers = (alike.sum(axis=1) - own) / (alike.shape[1] - 1)
    first = (alike.argmax(axis=1) == owners).mean()
    missed = (alike == 0).all(axis=1).mean()
    return (
        f"like the person {own.mean():.2f}, like the others {strangers.mean():.2f}; the person is the nearest of "
        f"{alike.shape[1]} in {first:.0%}; no face found in {missed:.0%}"
    )


@torch.no_grad()
def main() -> None:
    """Print likeness and scene accuracy, personalised and not, from the same noise, and draw a contact sheet."""
    parser = arguments(__doc__.splitlines()[0], "photomaker.png")
    parser.add_argument("--people", type=int, default=12)
    options = parser.parse_args()
    prepare(options)
    model, vae = load_frozen(options.weights), load_vae(options.weights)
    photomaker, classifier = load_photomaker(options.weights, model), load_classifier(options.weights)
    reader, judge = load_analysis(options.weights), load_analysis(options.weights, JUDGE)
    people, shown, names = held_out_people(options.people, judge)
    owners = np.arange(len(people))
    print(f"another picture of the person: {summary(likeness(judge, [v[0] for v in shown], names), owners)}")
    alike, right, rows = {}, {}, []
    for number, (identity, _) in enumerate(people):
        faces = torch.from_numpy(np.stack([embedding(reader, pixels) for pixels in shown[number][1:]]))
        for shot in SHOTS:
            texts, kinds = prompts(identity, number, shot)
            for name, network in (("personalised", Personalised(model, photomaker, faces)), ("base", model)):
                pictures = sample(network, vae, texts, seed=SEED + number).numpy()
                right.setdefault((name, shot), []).append(scene_accuracy(classifier, pictures, kinds))
                alike.setdefault((name, shot), []).append(likeness(judge, list(pictures), names))
                rows.append([shown[number][1], *pictures])
        print(f"{number + 1} of {len(people)} people", flush=True)
        contact_sheet(rows[: 4 * SHOWN]).save(options.output)
    for (name, shot), found in alike.items():
        print(f"{name}, {shot}: {summary(np.concatenate(found), owners.repeat(len(KINDS)))}")
        print(f"{name}, {shot}: scene recognised in {np.mean(right[name, shot]):.1%}")
    print(options.output)


if __name__ == "__main__":
    main()
