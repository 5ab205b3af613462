"""What is seen in a batch of pictures: faces, whose they are, which scene, which clothes, how far from each other.

Pictures are (B, H, W, 3), 0 .. 1. Boxes are (4,) pixels, left, top, right and bottom, or None where there is no face.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from customenhancer.faces.analysis import find_face
from torch import Tensor

from pocket.train_scenes import SceneClassifier
from pocket.world.colours import CLOTHES
from pocket.world.pose import Pose

HEAD = 0.3  # hair is within so many widths and heights of a face's box around it
# Where the clothes are, in a face's widths from its middle, and in its heights below the chin.
CHEST = 0.45, (0.45, 1.0)


@dataclass(frozen=True)
class Seen:
    """boxes: of each picture's largest face. directions: (B, 512), its embedding at length 1, 0 where there is none."""

    pictures: Tensor
    boxes: list[np.ndarray | None]
    directions: Tensor


def look(judge, pictures: Tensor) -> Seen:
    """Find the faces. judge: a FACEANALYSIS."""
    faces = [find_face(judge, picture) for picture in pictures]
    nowhere = np.zeros(512, np.float32)
    directions = np.stack([nowhere if face is None else face.normed_embedding for face in faces])
    return Seen(pictures, [None if face is None else face.bbox for face in faces], torch.from_numpy(directions))


def kind_probabilities(classifier: SceneClassifier, pictures: Tensor) -> Tensor:
    """The classifier's probabilities of KINDS, (B, 8)."""
    return classifier(pictures.movedim(-1, 1)).softmax(dim=1)


def wears(seen: Seen, poses: Sequence[Pose]) -> Tensor:
    """1 where the colour below the face is nearest to the one that the prompt names, else 0: (B,)."""
    names, colours = list(CLOTHES), torch.tensor(list(CLOTHES.values())) / 255
    found = []
    for picture, box, pose in zip(seen.pictures, seen.boxes, poses, strict=True):
        chest = None if box is None else _chest(picture, box)
        nearest = None if chest is None else int((colours - chest).square().sum(dim=1).argmin())
        found.append(nearest is not None and names[nearest] == pose.garment_colour)
    return torch.tensor(found).float()


def _chest(picture: Tensor, box: np.ndarray) -> Tensor | None:
    """The median colour, (3,), of where the clothes should be; None where that is not in the picture."""
    left, top, right, bottom = box
    middle, width, height = (left + right) / 2, right - left, bottom - top
    share, (first, last) = CHEST
    rows = slice(round(bottom + first * height), round(bottom + last * height))
    columns = slice(max(round(middle - share * width), 0), max(round(middle + share * width), 0))
    chest = picture[rows, columns].reshape(-1, 3)
    return chest.median(dim=0).values if len(chest) else None


def head_masks(seen: Seen) -> Tensor:
    """1 on each picture's head, a box around the face's, and 0 elsewhere: (B, H, W)."""
    masks = torch.zeros(seen.pictures.shape[:3])
    for mask, box in zip(masks, seen.boxes, strict=True):
        if box is not None:
            left, top, right, bottom = box
            aside, above = HEAD * (right - left), HEAD * (bottom - top)
            rows = slice(max(int(top - above), 0), round(bottom + above))
            mask[rows, max(int(left - aside), 0) : max(round(right + aside), 0)] = 1
    return masks


def background_distance(pictures: Tensor, scene: Seen) -> Tensor:
    """Root mean square of the difference to the scene, outside of the scene's heads: (B,)."""
    outside = 1 - head_masks(scene)
    squares = (pictures - scene.pictures).square().mean(dim=-1)
    return ((squares * outside).sum(dim=(1, 2)) / outside.sum(dim=(1, 2)).clamp(min=1)).sqrt()


def diversity(classifier: SceneClassifier, seen: Seen) -> float:
    """The mean perceptual distance between two of the pictures, heads greyed out: the paper's Scene Diversity.

    In place of LPIPS: 1 - the cosine of the features in the scene classifier's layers, averaged over places and layers.
    """
    heads = head_masks(seen)[..., None]
    x = F.avg_pool2d((seen.pictures * (1 - heads) + 0.5 * heads).movedim(-1, 1), 2) - 0.5
    distances = []
    for layer in classifier.layers:
        x = layer(x)
        features = F.normalize(x, dim=1).flatten(2)
        products = torch.einsum("acp,bcp->abp", features, features)
        distances.append((1 - products).mean(dim=2))
    return _between(torch.stack(distances).mean(dim=0))


def _between(distances: Tensor) -> float:
    """The mean of a symmetric (B, B) above its diagonal; 0 for a single picture."""
    pairs = torch.triu_indices(*distances.shape, offset=1)
    return distances[pairs[0], pairs[1]].mean().item() if pairs.numel() else 0.0


@dataclass(frozen=True)
class Judges:
    """face_analysis: FACEANALYSIS. classifier: of scenes."""

    face_analysis: object
    classifier: SceneClassifier

    def look(self, pictures: Tensor) -> Seen:
        """See the function."""
        return look(self.face_analysis, pictures)
