"""Faces by MTCNN and FaceNet, and by a second judge: found where they are, compared as the packages compare them."""

import folder_paths
import numpy as np
import pytest
import torch
from customenhancer.faces.analysis import to_bgr
from facenet_pytorch import MTCNN, InceptionResnetV1
from helpers.faces import ASTRONAUT_FACE
from PIL import Image
from skimage import data
from torch import nn

from paper import arcface
from paper.face_similarity import face_similarity
from paper.mtcnn import Detector
from paper.records import Record
from paper.weights import ANTELOPE, FACENET, MissingError, Weights
from pocket import kept, models_folder
from pocket.examples import example
from pocket.world.render import render

ASTRONAUT = Image.fromarray(data.astronaut())


@pytest.fixture(scope="module")
def detector():
    return Detector()


def overlap(one, other):
    """Intersection over union of two boxes."""
    width, height = (min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1))
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


class TestDetector:
    def test_a_photographs_face_is_found_where_it_is(self, detector):
        face = detector.find(ASTRONAUT)
        assert overlap(face.box, 512 * np.array(ASTRONAUT_FACE.box)) > 0.8 and face.probability > 0.99
        assert np.abs(face.points - 512 * np.array(ASTRONAUT_FACE.points)).max() < 6

    def test_drawn_faces_are_found_where_they_are(self, detector, measured):
        drawn = [render(*example(n, seed=3, split="heldout", shot="half figure"), 256) for n in range(12)]
        faces = [detector.find(Image.fromarray(picture.pixels)) for picture in drawn]
        overlaps = [overlap(f.box, p.box) for f, p in zip(faces, drawn, strict=True) if f is not None]
        measured("drawn half figures in which MTCNN finds a face, share", len(overlaps) / len(drawn))
        assert len(overlaps) >= 6 and np.median(overlaps) > 0.5

    def test_of_several_faces_it_is_the_largest(self, detector):
        two = Image.new("RGB", (768, 512))
        two.paste(ASTRONAUT.resize((256, 256)), (0, 0))
        two.paste(ASTRONAUT, (256, 0))
        alone = detector.find(ASTRONAUT)
        assert overlap(detector.find(two).box, alone.box + np.array([256, 0, 256, 0])) > 0.8

    def test_a_plain_picture_has_none(self, detector):
        assert detector.find(Image.new("RGB", (96, 64), (200, 150, 120))) is None

    def test_the_crop_is_the_packages_own(self, detector):
        torch.testing.assert_close(detector.crop(ASTRONAUT, detector.find(ASTRONAUT)), MTCNN()(ASTRONAUT))


@pytest.fixture(scope="module")
def facenet(tmp_path_factory):
    """A random FaceNet in the published layout, with a classifier, and its folder."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    network = InceptionResnetV1(dropout_prob=0)
    for part in network.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            part.momentum = 1.0
    crop = MTCNN()(ASTRONAUT)
    with torch.no_grad():  # its batch norms see some crops once, or all faces would be as good as one
        network(torch.stack([crop, crop.flip(-1), crop / 2, *torch.rand(3, *crop.shape)]))
    network.eval()
    tensors = network.state_dict() | {"logits.weight": torch.zeros(8631, 512), "logits.bias": torch.zeros(8631)}
    torch.save(tensors, folder / FACENET.name)
    return network, Weights(folder)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """The astronaut, mirrored, darkened, and a plain picture: files by name."""
    folder = tmp_path_factory.mktemp("photographs")
    pictures = {
        "person": ASTRONAUT,
        "mirrored": ASTRONAUT.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "dark": ASTRONAUT.point(lambda value: value // 2),
        "plain": Image.new("RGB", (64, 64), (9, 99, 200)),
    }
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in pictures}


def record(photographs, name, *others):
    return Record("m", "someone", 0, 0, photographs[name], others=tuple(photographs[other] for other in others))


class TestFaceSimilarity:
    def test_it_is_the_mean_cosine_of_facenets_embeddings_of_mtcnns_crops(self, facenet, detector, photographs):
        network, weights = facenet
        names = ("person", "mirrored", "dark")
        with torch.no_grad():
            crops = [MTCNN()(Image.open(photographs[name])) for name in names]
            person, *others = (network(crop[None])[0] for crop in crops)
        expected = sum(torch.cosine_similarity(person, other, dim=0).item() for other in others) / 2
        metric = face_similarity(weights, detector, "cpu")
        assert abs(expected) < 0.9
        assert metric.measure([record(photographs, *names)]) == pytest.approx([expected], abs=1e-5)

    def test_a_person_is_at_1_from_the_same_picture_and_less_from_another(self, facenet, detector, photographs):
        metric = face_similarity(facenet[1], detector, "cpu")
        same, other = metric.measure(
            [record(photographs, "person", "person"), record(photographs, "person", "mirrored")]
        )
        assert same == pytest.approx(1, abs=1e-5) and other < 0.9

    def test_a_picture_without_a_face_has_no_value_and_one_among_the_others_does_not_count(
        self, facenet, detector, photographs
    ):
        metric = face_similarity(facenet[1], detector, "cpu")
        assert metric.measure([record(photographs, "plain", "person")]) == [None]
        with_plain, without = metric.measure(
            [record(photographs, "dark", "person", "plain"), record(photographs, "dark", "person")]
        )
        assert with_plain == pytest.approx(without)

    def test_others_that_show_no_face_at_all_are_an_error_that_names_the_identity(self, facenet, detector, photographs):
        metric = face_similarity(facenet[1], detector, "cpu")
        with pytest.raises(ValueError, match="Face Sim.: identity someone: none of its 1 other pictures"):
            metric.measure([record(photographs, "person", "plain")])

    def test_other_weights_make_another_version(self, facenet, detector, tmp_path):
        torch.save(InceptionResnetV1().state_dict(), tmp_path / FACENET.name)
        versions = {face_similarity(weights, detector, "cpu").version for weights in (facenet[1], Weights(tmp_path))}
        assert len(versions) == 2


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """A folder of weights with the pocket world's antelopev2: a detector and a recogniser."""
    weights = tmp_path_factory.mktemp("pocket")
    (weights / "insightface").symlink_to(kept.WEIGHTS / "insightface")
    folder = tmp_path_factory.mktemp("weights")
    models_folder.write_models_folder(weights, folder)
    return folder


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Three drawn people, two close-ups of each: files."""
    folder = tmp_path_factory.mktemp("people")
    files = []
    for person in range(3):
        scene, pose, identity = example(person, seed=5, split="heldout", shot="close-up")
        other_scene, other_pose, _ = example(10 + person, seed=5, split="heldout", shot="close-up")
        pair = []
        for number, (place, look) in enumerate(((scene, pose), (other_scene, other_pose))):
            path = folder / f"{person}-{number}.png"
            Image.fromarray(render(place, look, identity).pixels).save(path)
            pair.append(path)
        files.append(pair)
    return files


class TestArcFace:
    def test_it_is_the_cosine_of_insightfaces_own_normed_embeddings(self, packs, people):
        metric = arcface.arcface_similarity(Weights(packs), "CPU")
        judge = arcface.load_judge(packs / ANTELOPE.name, "CPU")

        def embedding(path):
            pixels = torch.from_numpy(np.asarray(Image.open(path)).copy()) / 255
            faces = judge.get(to_bgr(pixels))
            return max(faces, key=lambda face: np.prod(face.bbox[2:] - face.bbox[:2])).normed_embedding

        records = [Record("m", "i", n, 0, pair[0], others=tuple(pair[1:])) for n, pair in enumerate(people)]
        expected = [float(embedding(one) @ embedding(other)) for one, other in people]
        assert metric.measure(records) == pytest.approx(expected, abs=1e-5)

    def test_people_are_more_like_themselves_than_like_others(self, packs, people):
        metric = arcface.arcface_similarity(Weights(packs), "CPU")
        strangers = [people[(n + 1) % 3][1] for n in range(3)]
        own = metric.measure([Record("m", "i", n, 0, pair[0], others=(pair[1],)) for n, pair in enumerate(people)])
        others = metric.measure(
            [Record("m", "i", n, 0, pair[0], others=(strangers[n],)) for n, pair in enumerate(people)]
        )
        assert min(own) > max(others)

    def test_the_hosts_own_folders_are_as_before(self, packs):
        before = list(folder_paths.folder_names_and_paths["insightface"][0])
        arcface.load_judge(packs / ANTELOPE.name, "CPU")
        assert list(folder_paths.folder_names_and_paths["insightface"][0]) == before

    def test_without_the_pack_it_is_refused_with_its_source(self, tmp_path):
        with pytest.raises(MissingError, match=f"ArcFace sim.: {ANTELOPE.name} .*Source: {ANTELOPE.source}"):
            arcface.arcface_similarity(Weights(tmp_path))
