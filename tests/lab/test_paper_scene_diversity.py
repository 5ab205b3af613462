"""Scene Diversity: LPIPS is the lpips package's, faces are left out, and what is left is compared."""

import lpips
import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from skimage import data

from paper import scene_diversity as diversity
from paper.mtcnn import Detector
from paper.records import Record
from paper.weights import ALEXNET, Weights


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory):
    """A random backbone, saved as torchvision's is published; the file's digest is not its."""
    torch.manual_seed(0)
    network = torchvision.models.alexnet(weights=None)
    network.features.load_state_dict({key: 0.5 * value for key, value in network.features.state_dict().items()})
    file = tmp_path_factory.mktemp("weights") / ALEXNET.name
    torch.save(network.state_dict(), file)
    return file


@pytest.fixture(scope="module")
def network(alexnet):
    return diversity.load_lpips(alexnet, "cpu")


@pytest.fixture(scope="module")
def detector():
    return Detector()


@pytest.fixture(scope="module")
def reference(alexnet):
    """The lpips package's own network, with the same backbone and its own linear layers."""
    network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    tensors = torch.load(alexnet, weights_only=True)
    for part in (network.net.slice1, network.net.slice2, network.net.slice3, network.net.slice4, network.net.slice5):
        part.load_state_dict({key: tensors[f"features.{key}"] for key in part.state_dict()})
    return network.eval()


def random_pictures(count, side=64, seed=0):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def nowhere(count, side=64):
    return torch.zeros(count, 1, side, side)


@torch.inference_mode()
def test_a_pairs_distance_is_the_lpips_packages(network, reference):
    pictures = random_pictures(2)
    expected = reference(*(2 * pictures[:, None] - 1)).item()
    assert expected > 0.01
    assert diversity.mean_distance(network, pictures, nowhere(2), "cpu") == pytest.approx(expected, rel=1e-5)


@torch.inference_mode()
def test_the_mean_is_over_all_pairs_however_many_are_compared_at_a_time(network, reference, monkeypatch):
    pictures = random_pictures(4)
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    expected = np.mean([reference(2 * pictures[[i]] - 1, 2 * pictures[[j]] - 1).item() for i, j in pairs])
    monkeypatch.setattr(diversity, "PAIRS", 4)
    assert diversity.mean_distance(network, pictures, nowhere(4), "cpu") == pytest.approx(expected, rel=1e-5)


@torch.inference_mode()
def test_what_differs_in_the_faces_alone_and_where_they_are_makes_no_distance(network):
    pictures = random_pictures(1).repeat(2, 1, 1, 1)
    masks = nowhere(2)
    masks[0, :, 8:24, 8:24] = masks[1, :, 30:50, 40:60] = 1
    others = pictures * (1 - masks) + random_pictures(2, seed=1) * masks
    assert diversity.mean_distance(network, others, masks, "cpu") == pytest.approx(0, abs=1e-6)
    assert diversity.mean_distance(network, others, nowhere(2), "cpu") > 0.001


@torch.inference_mode()
def test_a_single_picture_has_no_diversity(network):
    assert diversity.mean_distance(network, random_pictures(1), nowhere(1), "cpu") == 0


def test_a_mask_is_the_box_with_a_margin_within_the_picture():
    mask = diversity.face_mask([10.0, 20.0, 20.0, 40.0], (40, 60))
    rows, columns = torch.nonzero(mask, as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (14, 45, 7, 22)
    assert diversity.face_mask([-5.0, -5.0, 5.0, 5.0], (40, 60)).sum() == 8 * 8
    assert not diversity.face_mask(None, (40, 60)).any()


def test_a_photographs_face_is_hidden_wherever_the_square_is_cut(detector, tmp_path):
    """A photograph with grey beside it: eyes and mouth are hidden, most of the rest is not."""
    photograph = Image.fromarray(data.astronaut())
    wide = Image.new("RGB", (700, 512), (128, 128, 128))
    wide.paste(photograph, (94, 0))  # the middle square is the photograph
    for name, picture in (("square", photograph), ("wide", wide)):
        picture.save(tmp_path / f"{name}.png")
    pixels, mask = diversity.without_face(tmp_path / "square.png", detector)
    face = detector.find(photograph)
    for x, y in face.points / 2:
        assert mask[0, round(y), round(x)] == 1
    assert 0.05 < mask.mean() < 0.25
    cut, cut_mask = diversity.without_face(tmp_path / "wide.png", detector)
    torch.testing.assert_close(cut, pixels, atol=1e-3, rtol=0)
    assert (cut_mask - mask).abs().mean() < 0.02


def test_the_metric_measures_a_persons_pictures_together(alexnet, detector, network, tmp_path, monkeypatch):
    monkeypatch.setattr(Weights, "find", lambda *_: alexnet)
    metric = diversity.scene_diversity(Weights(), detector, "cpu")
    records = []
    for number, shade in enumerate((20, 120, 220)):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (64, 64), (shade, 255 - shade, 0)).save(path)
        records.append(Record("m", "i", number, 0, path))
    pictures = torch.stack([diversity.without_face(one.picture, detector)[0] for one in records])
    with torch.inference_mode():
        expected = diversity.mean_distance(network, pictures, nowhere(3, diversity.SIDE), "cpu")
    assert metric.of_identity and metric.measure(records) == pytest.approx([expected])
    same = [records[0], Record("m", "i", 3, 0, records[0].picture)]
    assert metric.measure(same) == pytest.approx([0], abs=1e-6)
