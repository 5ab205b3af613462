"""Measure the pocket world's face models on people and scenes that no training shows, through InsightFace itself.

nice python lab pocket.measure_faces [--output DIR] [--pictures 300]
"""

import argparse
import contextlib
import io
import warnings
from pathlib import Path

import insightface
import numpy as np
import torch

from pocket.encode_latents import load_vae
from pocket.kept import OUTPUT
from pocket.train_detector import Labelled, labelled
from pocket.train_recogniser import PACKS, views
from pocket.train_swapper import Pair, pair
from pocket.train_vae import as_tensor
from pocket.vae import VAE

SEED = 7
LEAST = 20  # pixels: the width of the faces that count
DETAILED = 32  # pixels: the width of the faces that shall survive the VAE
OVERLAP = 0.5  # from which a box counts as the face's
JUDGE = "antelopev2"  # whose recogniser the swapper was not trained with


def load(output: Path) -> tuple[dict, object]:
    """Both packs, ready to use, by name, and the swapper: InsightFace's own objects, on the CPU."""
    folder, providers = output / "insightface", ["CPUExecutionProvider"]
    with contextlib.redirect_stdout(io.StringIO()):  # InsightFace prints what it loads
        packs = {
            pack: insightface.app.FaceAnalysis(str(folder / "models" / pack), providers=providers) for pack in PACKS
        }
        swapper = insightface.model_zoo.get_model(str(folder / "inswapper_128.onnx"), providers=providers)
    for analysis in packs.values():
        analysis.prepare(ctx_id=0)
    return packs, swapper


def bgr(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) RGB as InsightFace wants it, or back."""
    return np.ascontiguousarray(pixels[..., ::-1])


def overlap(box: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes (4,)."""
    inner = np.clip(np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]), 0, None).prod()
    return float(inner / ((box[2:] - box[:2]).prod() + (other[2:] - other[:2]).prod() - inner))


def detection(analysis, pictures: list[Labelled]) -> dict[str, float]:
    """Recall at faces of LEAST pixels, false boxes on all pictures and points' mean error in shares of a face's width.

    false_in_empty: how many boxes there are on pictures with nobody; false_beside: on the others, beside the face.
    """
    recalled, off, false_in_empty, false_beside, empty = [], [], 0, 0, 0
    for pixels, box, points in pictures:
        boxes, marks = analysis.det_model.detect(bgr(pixels))
        if box is None:
            false_in_empty, empty = false_in_empty + len(boxes), empty + 1
            continue
        right = [number for number, found in enumerate(boxes) if overlap(found[:4], box) >= OVERLAP]
        false_beside += len(boxes) - len(right[:1])
        if box[2] - box[0] >= LEAST:
            recalled.append(bool(right))
            if right:
                off.append(np.linalg.norm(marks[right[0]] - points, axis=1).mean() / (box[2] - box[0]))
    return {
        "faces": len(recalled),
        "recall": float(np.mean(recalled)),
        "points_off": float(np.mean(off)) if off else np.nan,
        "empty": empty,
        "false_in_empty": false_in_empty,
        "false_beside": false_beside,
    }


def largest(analysis, pixels: np.ndarray):
    """The largest face that InsightFace finds in a picture, or None."""
    faces = analysis.get(bgr(pixels))
    return max(faces, key=lambda face: (face.bbox[2:4] - face.bbox[:2]).prod(), default=None)


def likeness(analysis, people: list[list[np.ndarray]]) -> dict[str, float]:
    """Of all pairs of pictures of one person and of two, the share where the person's are more alike; mean cosines.

    people: pictures of each. Faces that are not found, or are narrower than LEAST, are left out.
    """
    embeddings, owners = [], []
    for owner, pictures in enumerate(people):
        for pixels in pictures:
            face = largest(analysis, pixels)
            if face is not None and face.bbox[2] - face.bbox[0] >= LEAST:
                embeddings.append(face.normed_embedding)
                owners.append(owner)
    alike = np.array(embeddings) @ np.array(embeddings).T
    owners = np.array(owners)
    upper = np.triu(np.ones_like(alike, dtype=bool), 1)
    pairs = owners[:, None] == owners
    same, other = alike[pairs & upper], alike[~pairs & upper]
    order = np.searchsorted(np.sort(other), same).mean() / len(other)
    return {"pictures": len(owners), "order": float(order), "same": float(same.mean()), "other": float(other.mean())}


@torch.no_grad()
def round_trip(analysis, vae: VAE, people: list[list[np.ndarray]]) -> dict[str, float]:
    """How alike faces of DETAILED pixels and more are to themselves after the VAE: mean and least cosine.

    people: pictures of each. A face that is not found after it counts as -1.
    """
    cosines = []
    for pixels in (pixels for pictures in people for pixels in pictures):
        face = largest(analysis, pixels)
        if face is None or face.bbox[2] - face.bbox[0] < DETAILED:
            continue
        decoded, _ = vae(as_tensor(pixels[None]))
        after = largest(analysis, (255 * decoded[0].clamp(0, 1)).round().byte().movedim(0, -1).numpy())
        cosines.append(-1.0 if after is None else face.normed_embedding @ after.normed_embedding)
    return {"faces": len(cosines), "mean": float(np.mean(cosines)), "least": float(np.min(cosines))}


def swaps(finder, judge, swapper, pairs: list[Pair]) -> dict[str, float]:
    """The share of swapped faces that are closer to their reference than to the face they replace, and mean cosines.

    finder: the pack that finds faces and whose embeddings the swapper knows; judge: the pack that compares. Pairs of
    which a face is not found, or the target's is narrower than LEAST, are left out; a swap that leaves no face to be
    found counts as far from its reference as can be.
    """
    cosines = []
    for one in pairs:
        target, source = largest(finder, one.target), largest(finder, one.reference)
        if target is None or source is None or target.bbox[2] - target.bbox[0] < LEAST:
            continue
        swapped = bgr(swapper.get(bgr(one.target), target, source, paste_back=True))
        result, reference, original = (largest(judge, pixels) for pixels in (swapped, one.reference, one.target))
        if reference is None or original is None:
            continue
        directions = [face.normed_embedding for face in (reference, original)]
        cosines.append((-1.0, 1.0) if result is None else [result.normed_embedding @ each for each in directions])
    to_reference, to_original = np.array(cosines).T
    return {
        "swaps": len(cosines),
        "closer": float((to_reference > to_original).mean()),
        "reference": float(to_reference.mean()),
        "original": float(to_original.mean()),
    }


def main() -> None:
    """Print each number with what it was measured on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the folder that the models were written to")
    parser.add_argument("--pictures", type=int, default=300, help="to find faces in; half as many pairs are swapped")
    options = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)  # InsightFace's alignment uses what scikit-image deprecates
    (packs, swapper), vae = load(options.output), load_vae(options.output)
    found = detection(packs["buffalo_l"], [labelled(number, SEED, "heldout") for number in range(options.pictures)])
    print(
        f"detector: {found['recall']:.2%} of {found['faces']} faces of {LEAST} pixels and more; points off by "
        f"{found['points_off']:.1%} of a face's width; {found['false_in_empty']} boxes in {found['empty']} pictures "
        f"with nobody, {found['false_beside']} beside a face in the others",
        flush=True,
    )
    people = [[pixels for pixels, _ in views(number, SEED, "heldout")] for number in range(options.pictures // 10)]
    for pack, analysis in packs.items():
        found = likeness(analysis, people)
        print(
            f"{pack}: {found['order']:.2%} of pairs in order over {found['pictures']} pictures of {len(people)} "
            f"people; same {found['same']:.2f}, others {found['other']:.2f}",
            flush=True,
        )
        kept = round_trip(analysis, vae, people)
        print(
            f"{pack}: {kept['faces']} faces of {DETAILED} pixels and more after the VAE: cosine with before "
            f"{kept['mean']:.2f}, at least {kept['least']:.2f}",
            flush=True,
        )
    pairs = [pair(number, SEED, "heldout") for number in range(options.pictures // 2)]
    found = swaps(packs["buffalo_l"], packs[JUDGE], swapper, pairs)
    print(
        f"swapper: {found['closer']:.2%} of {found['swaps']} swaps closer to the reference, says {JUDGE}; cosine "
        f"with the reference {found['reference']:.2f}, with the original {found['original']:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
