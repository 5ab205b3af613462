"""Face Sim.: FaceNet's cosine between the largest faces that MTCNN finds, as in the paper."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from paper.embeddings import likeness
from paper.metric import Metric
from paper.mtcnn import VERSION, Detector
from paper.pictures import digest, digest_of, open_picture
from paper.weights import FACENET, Weights


def load_facenet(file: Path, device: str):
    """FaceNet with the weights of a file, whose classifier, if it has one, is left out."""
    from facenet_pytorch import InceptionResnetV1

    network = InceptionResnetV1()
    tensors = torch.load(file, map_location="cpu", weights_only=True)
    network.load_state_dict({key: tensor for key, tensor in tensors.items() if not key.startswith("logits.")})
    return network.eval().to(device)


def face_similarity(weights: Weights, detector: Detector, device: str) -> Metric:
    """The metric. Raises MissingError."""
    file = weights.find(FACENET)
    network = load_facenet(file, device)

    def direction(path: Path) -> Tensor | None:
        face = detector.largest(path)
        if face is None:
            return None
        return network(detector.crop(open_picture(path), face)[None].to(device))[0].cpu()

    @torch.inference_mode()
    def embed(paths: Sequence[Path]) -> list[Tensor | None]:
        return [direction(path) for path in paths]

    return likeness("face_sim", "Face Sim.", digest_of(VERSION, digest(file)), embed)
