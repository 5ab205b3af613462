"""Identity Similarity: its cosines against numpy's, which face counts, pictures without a face, and what is shown."""

import types

import comfy.model_management
import comfy.utils
import numpy as np
import pytest
import torch
from customenhancer.faces.analysis import detect_faces, load_face_analysis, sort_faces
from customenhancer.faces.similarity import person_direction
from customenhancer.nodes.identity_similarity import IdentitySimilarityNode
from helpers.faces import insightface_folder
from skimage import data
from standins.faces import ASTRONAUT_FACE, FixturePicture, as_image, make_face_models, random_picture, upright_face

pytestmark = pytest.mark.usefixtures("temporary_folder")

GROUP = random_picture(1, 512, 512)
PICTURES = [
    FixturePicture(data.astronaut(), (ASTRONAUT_FACE,)),
    FixturePicture(GROUP, (upright_face(0.2, 0.5, 0.16), upright_face(0.5, 0.25, 0.2), upright_face(0.8, 0.6, 0.12))),
    FixturePicture(None, (upright_face(0.5, 0.34, 0.32),)),
]
PLAIN = np.full((512, 512, 3), 200, np.uint8)


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    folder = make_face_models(tmp_path_factory.mktemp("models"), PICTURES)
    with insightface_folder(folder):
        return load_face_analysis("buffalo_l", "CPU")


def batch(*pixels: np.ndarray) -> torch.Tensor:
    return torch.stack([as_image(picture) for picture in pixels])


def embeddings(analysis, pixels, order="large-small") -> list[np.ndarray]:
    return [np.float64(face.embedding) for face in sort_faces(detect_faces(analysis, as_image(pixels)), order)]


def cosine(one, other) -> float:
    return one @ other / np.sqrt((one @ one) * (other @ other))


def similarity(*inputs, **options) -> float:
    return IdentitySimilarityNode.execute(*inputs, **options).result[0]


def test_a_picture_of_the_person_itself_comes_to_1(analysis):
    person = batch(data.astronaut())
    assert similarity(person, person, analysis) == pytest.approx(1, abs=1e-6)


def test_the_mean_of_a_batch_is_that_of_its_cosines(analysis):
    pixels = [data.astronaut(), random_picture(3, 512, 512), GROUP]
    (person,) = embeddings(analysis, data.astronaut())
    expected = [cosine(embeddings(analysis, picture)[0], person) for picture in pixels]
    output = IdentitySimilarityNode.execute(batch(*pixels), batch(data.astronaut()), analysis)
    assert output.result[0] == pytest.approx(np.mean(expected), abs=1e-6)
    assert max(expected[1:]) < 0.9  # the stand-in tells them apart
    shown = [line.split(": ")[1] for line in output.ui["text"][0].split("\n")[1:]]
    assert shown == [f"{value:.3f}" for value in expected]


def test_several_references_count_as_the_mean_of_their_normed_embeddings(analysis):
    pixels = [data.astronaut(), PLAIN, random_picture(4, 512, 512)]
    normed = [one / np.linalg.norm(one) for one in (embeddings(analysis, pixels[n])[0] for n in (0, 2))]
    expected = cosine(embeddings(analysis, GROUP)[0], np.mean(normed, axis=0))
    assert similarity(batch(GROUP), batch(*pixels), analysis) == pytest.approx(expected, abs=1e-6)


def test_the_length_of_an_embedding_does_not_matter():
    one, other = torch.randn(2, 512, generator=torch.Generator().manual_seed(0))
    plain, stretched = (person_direction(torch.stack([scale * one, other])) for scale in (1, 100))
    torch.testing.assert_close(plain, stretched)
    torch.testing.assert_close(plain @ plain, torch.tensor(1.0))


@pytest.mark.parametrize(
    ("order", "index", "place"), [("large-small", 0, 1), ("left-right", 2, 2), ("top-bottom", 1, 0)]
)
def test_order_and_index_choose_the_face_of_picture_and_reference(analysis, order, index, place):
    person, other = embeddings(analysis, data.astronaut())[0], embeddings(analysis, GROUP, "left-right")[place]
    astronaut, expected = batch(data.astronaut()), pytest.approx(cosine(other, person), abs=1e-6)
    assert similarity(batch(GROUP), astronaut, analysis, image_order=order, image_face=index) == expected
    assert similarity(astronaut, batch(GROUP), analysis, reference_order=order, reference_face=index) == expected


def test_a_picture_without_a_face_is_refused_or_counts_as_0(analysis):
    pictures, person = batch(data.astronaut(), PLAIN), batch(data.astronaut())
    with pytest.raises(ValueError, match="^image: no face found in picture 1.*pass_through"):
        similarity(pictures, person, analysis)
    output = IdentitySimilarityNode.execute(pictures, person, analysis, no_face="pass_through")
    assert output.result[0] == pytest.approx(0.5, abs=1e-6)
    assert "picture 1: no face, counts as 0" in output.ui["text"][0]
    with pytest.raises(ValueError, match="^image: no face number 1, counted from 0, found in picture 0"):
        similarity(person, person, analysis, image_face=1)


def test_pictures_keep_every_bit_above_a_caption_of_their_own(analysis, temporary_folder):
    pictures = batch(data.astronaut(), random_picture(3, 512, 512), random_picture(3, 512, 512))
    before = pictures.clone()
    output = IdentitySimilarityNode.execute(pictures, batch(data.astronaut()), analysis)
    image = output.result[1]
    strips = image[:, 512:]
    assert torch.equal(image[:, :512], before) and torch.equal(pictures, before)
    assert strips.shape[1] >= 24 and all((strip > 0.9).any() and (strip < 0.1).any() for strip in strips)
    assert not torch.equal(strips[0], strips[1]) and torch.equal(strips[1], strips[2])
    assert [(temporary_folder / shown["filename"]).is_file() for shown in output.ui["images"]] == [True] * 3


def test_no_face_in_any_reference_is_refused(analysis):
    for policy in ("error", "pass_through"):
        with pytest.raises(ValueError, match="^reference: no face found in any of its 2 picture"):
            similarity(batch(GROUP), batch(PLAIN, PLAIN), analysis, no_face=policy)


def test_a_face_analysis_without_a_recogniser_is_refused(analysis):
    blind = types.SimpleNamespace(models={"detection": analysis.det_model}, get=analysis.get)
    with pytest.raises(ValueError, match="^face_analysis: has no recogniser"):
        similarity(batch(GROUP), batch(GROUP), blind)


def test_progress_is_told_and_an_interrupt_stops_the_run(analysis, monkeypatch):
    steps = []

    def interrupt_before_the_last(value, total, preview, node_id=None):
        steps.append((value, total))
        comfy.model_management.interrupt_current_processing(value < total)

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", interrupt_before_the_last)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        similarity(batch(*[data.astronaut()] * 3), batch(data.astronaut()), analysis)
    assert steps == [(1, 1), (1, 3)]  # the reference, then the pictures
