"""Which face of a reference picture PhotoMaker's forward flow takes for the person."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from customenhancer.faces.analysis import FACE_ORDERS
from customenhancer.faces.pictures import around
from customenhancer.identity.photomaker import load_photomaker
from helpers.photomaker_flow import run_photomaker, without_need
from standins.photomaker import encoder_tensors, lora_tensors, perceiver_tensors
from standins.photomaker_host import sdxl_model

BOXES = (10, 20, 60, 80), (100, 40, 180, 140), (200, 30, 230, 60)  # of three people in a picture of 240 x 160


class Faces:
    """A FACEANALYSIS that finds the same three people in every picture of this size, and nobody in others."""

    models = {"recognition": SimpleNamespace()}

    def get(self, bgr):
        if bgr.shape[:2] != (160, 240):
            return []
        embeddings = np.eye(3, 512, dtype=np.float32)
        points = np.zeros((5, 2), np.float32)
        return [
            SimpleNamespace(bbox=np.float32(box), kps=points, embedding=embedding, det_score=0.9)
            for box, embedding in zip(BOXES, embeddings, strict=True)
        ]


@pytest.fixture(scope="module")
def model():
    return sdxl_model(seed=21)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """PhotoMaker V1 and V2, by their version."""
    folder = tmp_path_factory.mktemp("photomaker")
    encoder, lora = encoder_tensors(seed=11), lora_tensors(seed=12)
    found = {}
    for version, tensors in ((1, encoder), (2, {**encoder, **perceiver_tensors(seed=13)})):
        path = folder / f"v{version}.bin"
        torch.save({"id_encoder": tensors, "lora_weights": lora}, path)
        found[version] = load_photomaker(str(path))
    return found


@pytest.fixture(scope="module")
def group():
    """One soft random picture of three people, (1, 160, 240, 3)."""
    noise = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(3))
    return torch.nn.functional.interpolate(noise, size=(160, 240), mode="bicubic").clamp(0, 1).movedim(1, -1)


def positive(*arguments, **options):
    return run_photomaker(*arguments, **options)[1][0][0]


def test_the_square_lies_around_the_box_and_in_the_picture():
    rows, columns = torch.meshgrid(torch.arange(100), torch.arange(80), indexing="ij")
    picture = torch.stack([rows, columns], dim=-1)
    for box, first, side in (
        ((30, 40, 40, 50), (35, 25), 20),  # twice the box, around its middle
        ((0, 0, 10, 20), (0, 0), 40),  # moved into the picture
        ((70, 90, 80, 100), (80, 60), 20),
        ((0, 0, 80, 100), (10, 0), 80),  # no larger than the picture's shorter side
        ((30, 40, 30, 40), (40, 30), 1),  # never empty
    ):
        part = around(picture, box)
        assert part.shape[:2] == (side, side) and part[0, 0].tolist() == list(first), box


def test_v1_reads_a_square_around_the_chosen_face(model, clip, files, group):
    for order in FACE_ORDERS:
        box = sorted(BOXES, key=lambda box: FACE_ORDERS[order](SimpleNamespace(bbox=box)))[1]
        chosen = positive(model, clip, files[1], group, face_analysis=Faces(), reference_order=order, reference_face=1)
        cut = positive(model, clip, files[1], around(group[0], box)[None])
        torch.testing.assert_close(chosen, cut, rtol=0, atol=0)


def test_v1_with_the_largest_face_reads_the_centre_as_it_does_without_an_analysis(model, clip, files, group):
    analysed, plain = (positive(model, clip, files[1], group, **more) for more in ({"face_analysis": Faces()}, {}))
    torch.testing.assert_close(analysed, plain, rtol=0, atol=0)


def test_v2_takes_the_embedding_of_the_chosen_face_too(model, clip, files, group, monkeypatch):
    seen = []
    encoder = files[2].patcher.model
    monkeypatch.setattr(
        encoder, "forward", lambda pixels, faces, forward=encoder.forward: seen.append(faces) or forward(pixels, faces)
    )
    positives = [
        positive(model, clip, files[2], group, face_analysis=Faces(), reference_order="left-right", reference_face=n)
        for n in range(3)
    ]
    assert [embedding[0].argmax().item() for embedding in seen] == [0, 1, 2]
    assert not torch.equal(positives[0], positives[1]) and not torch.equal(positives[1], positives[2])


def test_pictures_that_lack_the_chosen_face_are_left_out_with_one_warning(model, clip, files, group, caplog):
    options = {"face_analysis": Faces(), "reference_order": "left-right"}
    analysis, shown = Faces(), iter([0, 3])
    analysis.get = lambda bgr, get=analysis.get: get(bgr)[: next(shown)]
    both = run_photomaker(model, clip, files[1], torch.cat([group, group]), **{**options, "face_analysis": analysis})
    assert "reference_images: no face found in picture 0, which is left out." in caplog.text
    one = run_photomaker(model, clip, files[1], group, **options)
    torch.testing.assert_close(without_need(both[1]), without_need(one[1]), rtol=0, atol=0)


def test_a_choice_without_an_analysis_is_refused(model, clip, files, group):
    with pytest.raises(ValueError, match=r"^face_analysis: none is connected, and reference_order and reference_face"):
        run_photomaker(model, clip, files[1], group, reference_face=1)


def test_a_face_that_no_picture_shows_is_refused(model, clip, files, group):
    with pytest.raises(ValueError, match=r"^reference_images: no face number 7, counted from 0, found in any of its 1"):
        run_photomaker(model, clip, files[1], group, face_analysis=Faces(), reference_face=7)
