"""Face analysis with the real insightface package on stand-in models: finding faces, ordering them, loading packs."""

import shutil
import socket
import sys
import types

import cv2
import folder_paths
import insightface.utils.storage
import numpy as np
import pytest
import torch
from customenhancer.faces.analysis import (
    FACE_ORDERS,
    check_recogniser,
    detect_faces,
    embed_faces,
    load_face_analysis,
    sort_faces,
    to_bgr,
)
from customenhancer.faces.insightface_files import face_packs, face_swappers
from helpers.faces import insightface_folder
from insightface.app.common import Face
from skimage import data
from standins.faces import ASTRONAUT_FACE, FixturePicture, as_image, make_face_models, random_picture, upright_face

CROWD = (upright_face(0.2, 0.6, 0.12), upright_face(0.5, 0.25, 0.2), upright_face(0.8, 0.45, 0.16))
ELSEWHERE = upright_face(0.5, 0.4, 0.3)
PICTURES = [
    FixturePicture(data.astronaut(), (ASTRONAUT_FACE,)),
    FixturePicture(random_picture(1, 480, 640), CROWD),
    FixturePicture(None, (ELSEWHERE,)),
]


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    return make_face_models(tmp_path_factory.mktemp("models"), PICTURES)


@pytest.fixture(scope="module")
def analysis(stand_ins):
    with insightface_folder(stand_ins):
        return load_face_analysis("buffalo_l", "CPU")


def cosine(one, other) -> float:
    return float(one.normed_embedding @ other.normed_embedding)


@pytest.mark.parametrize(
    ("pixels", "fixture"),
    [
        (data.astronaut(), (ASTRONAUT_FACE,)),
        (cv2.resize(data.astronaut(), (1000, 1000)), (ASTRONAUT_FACE,)),
        (cv2.resize(data.astronaut(), (301, 301)), (ASTRONAUT_FACE,)),
        (random_picture(1, 480, 640), CROWD),
        (random_picture(5, 480, 640), (ELSEWHERE,)),
        (random_picture(6, 417, 333), (ELSEWHERE,)),
    ],
    ids=["as recorded", "larger", "smaller", "three faces", "any other, wide", "any other, tall"],
)
def test_detector_finds_the_faces_of_the_fixture(analysis, pixels, fixture):
    found = sort_faces(detect_faces(analysis, as_image(pixels)), "left-right")
    side = max(pixels.shape[:2])
    assert len(found) == len(fixture)
    for face, expected in zip(found, fixture, strict=True):
        np.testing.assert_allclose(face.bbox, np.multiply(expected.box, side), atol=1.5)
        np.testing.assert_allclose(face.kps, np.multiply(expected.points, side), atol=1.5)


@pytest.mark.parametrize("grey", [0, 0.5, 1])
@pytest.mark.parametrize("shape", [(512, 512, 3), (300, 500, 3), (500, 300, 3)])
def test_plain_picture_has_no_face(analysis, grey, shape):
    assert detect_faces(analysis, torch.full(shape, float(grey))) == []


def test_unknown_picture_has_no_face_without_a_catch_all(tmp_path, monkeypatch):
    folder = make_face_models(tmp_path, PICTURES[:2])
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "insightface", ([str(folder)], set()))
    analysis = load_face_analysis("buffalo_l", "CPU")
    assert detect_faces(analysis, as_image(random_picture(5, 480, 640))) == []
    assert len(detect_faces(analysis, as_image(random_picture(1, 480, 640)))) == 3


def test_embedding_tells_people_apart(analysis):
    astronaut, smaller = (
        detect_faces(analysis, as_image(cv2.resize(data.astronaut(), (size, size))))[0] for size in (512, 400)
    )
    others = detect_faces(analysis, as_image(random_picture(1, 480, 640)))
    assert cosine(astronaut, smaller) > 0.98
    assert all(cosine(astronaut, other) < 0.7 for other in others)
    assert cosine(others[0], others[1]) < 0.7


def test_packs_embed_differently(folder):
    picture = as_image(data.astronaut())
    one, other = (detect_faces(load_face_analysis(pack, "CPU"), picture)[0] for pack in ("buffalo_l", "antelopev2"))
    np.testing.assert_allclose(one.bbox, other.bbox)
    assert abs(cosine(one, other)) < 0.3


def test_picture_reaches_insightface_as_bgr_bytes_and_stays_untouched(analysis):
    bgr = np.ascontiguousarray(data.astronaut()[..., ::-1])
    picture = as_image(data.astronaut())
    before = picture.clone()
    with_alpha = torch.cat([picture, torch.zeros(512, 512, 1)], dim=-1)
    (expected,) = analysis.get(bgr)
    for given in (picture, with_alpha):
        (face,) = detect_faces(analysis, given)
        np.testing.assert_array_equal(face.embedding, expected.embedding)
    assert torch.equal(picture, before)


def test_picture_is_rounded_to_bytes_and_clamped():
    levels = torch.tensor([-0.3, 0.4, 0.6, 41.6, 42.4, 254.6, 300]).reshape(1, -1, 1).expand(1, -1, 3)
    assert to_bgr(levels / 255)[0, :, 0].tolist() == [0, 0, 1, 42, 42, 255, 255]


def test_faces_are_sorted_by_each_order():
    boxes = np.array([[40, 5, 60, 60], [10, 30, 20, 40], [70, 20, 75, 90], [5, 50, 95, 99]], dtype=np.float32)
    faces = [Face(bbox=box) for box in boxes]
    keys = {
        "left-right": boxes[:, 0],
        "right-left": -boxes[:, 0],
        "top-bottom": boxes[:, 1],
        "bottom-top": -boxes[:, 1],
        "large-small": -np.prod(boxes[:, 2:] - boxes[:, :2], axis=1),
        "small-large": np.prod(boxes[:, 2:] - boxes[:, :2], axis=1),
    }
    assert set(keys) == set(FACE_ORDERS)
    for order, key in keys.items():
        expected = boxes[np.argsort(key)]
        for start in range(len(faces)):  # from any order of detection
            found = sort_faces(faces[start:] + faces[:start], order)
            np.testing.assert_array_equal([face.bbox for face in found], expected)


def test_stand_ins_are_deterministic_and_small(stand_ins, tmp_path):
    again = make_face_models(tmp_path, PICTURES)
    files = sorted(path.relative_to(stand_ins) for path in stand_ins.rglob("*.onnx"))
    assert [(stand_ins / file).read_bytes() for file in files] == [(again / file).read_bytes() for file in files]
    assert sum((stand_ins / file).stat().st_size for file in files) < 20e6


def test_files_are_found_in_every_registered_folder(folder, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    nested = elsewhere / "models" / "antelopev2"
    nested.mkdir(parents=True)
    (folder / "models" / "antelopev2").rename(nested / "antelopev2")
    (elsewhere / "models" / "empty").mkdir()
    shutil.copy(folder / "inswapper_128.onnx", elsewhere / "other_swapper.onnx")
    paths = [str(tmp_path / "not there"), str(folder), str(elsewhere)]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "insightface", (paths, set()))
    assert face_packs() == {
        "buffalo_l": folder / "models" / "buffalo_l",
        "antelopev2": elsewhere / "models" / "antelopev2" / "antelopev2",
    }
    assert face_swappers() == {
        "inswapper_128.onnx": folder / "inswapper_128.onnx",
        "other_swapper.onnx": elsewhere / "other_swapper.onnx",
    }
    assert len(detect_faces(load_face_analysis("antelopev2", "CPU"), as_image(data.astronaut()))) == 1


def test_loading_is_silent_and_offline(folder, monkeypatch, capsys):
    def refuse(*arguments, **options):
        raise AssertionError("loading must not touch the network")

    monkeypatch.setattr(insightface.utils.storage, "download_file", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    load_face_analysis("buffalo_l", "CPU")
    with pytest.raises(FileNotFoundError):
        load_face_analysis("buffalo_s", "CPU")
    assert capsys.readouterr().out == ""


def test_a_missing_and_an_empty_pack_are_refused(folder):
    shutil.rmtree(folder / "models" / "antelopev2")
    (folder / "models" / "empty").mkdir()
    for pack in ("antelopev2", "empty"):
        with pytest.raises(FileNotFoundError, match="pack: .*Unpack it there") as error:
            load_face_analysis(pack, "CPU")
        assert str(folder / "models" / pack) in str(error.value)
        assert "buffalo_l" in str(error.value)


def test_no_insightface_folder_at_all_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "insightface", ([str(tmp_path / "no")], set()))
    assert face_packs() == {} and face_swappers() == {}
    with pytest.raises(FileNotFoundError, match="none found"):
        load_face_analysis("buffalo_l", "CPU")


@pytest.mark.parametrize(("absent", "what"), [("det_10g.onnx", "detector"), ("w600k_r50.onnx", "recogniser")])
def test_an_incomplete_pack_is_refused(folder, absent, what):
    pack = folder / "models" / "buffalo_l"
    (pack / absent).unlink()
    with pytest.raises(ValueError, match=f"pack: .*no {what}") as error:
        load_face_analysis("buffalo_l", "CPU")
    assert str(pack) in str(error.value) and "unpack" in str(error.value)


@pytest.mark.parametrize("spoil", [lambda old: old[: len(old) // 2], lambda old: b"", lambda old: b"<html>404</html>"])
def test_a_damaged_pack_is_refused(folder, spoil):
    path = folder / "models" / "buffalo_l" / "w600k_r50.onnx"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match="pack: .* cannot be loaded") as error:
        load_face_analysis("buffalo_l", "CPU")
    assert str(path) in str(error.value) and "unpack" in str(error.value)


@pytest.mark.parametrize("package", ["insightface.app", "insightface", "onnxruntime"])
def test_a_missing_package_is_named_with_how_to_install_it(folder, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"{package}.*install.*requirements.txt"):
        load_face_analysis("buffalo_l", "CPU")


def test_each_reference_picture_gives_the_raw_embedding_of_its_chosen_face(analysis, caplog):
    crowd, astronaut = (as_image(picture.pixels) for picture in PICTURES[:2][::-1])
    astronaut = torch.nn.functional.pad(astronaut, (0, 0, 0, 128))[:480]
    pictures = torch.stack([crowd, torch.full_like(crowd, 0.5), astronaut])
    numbers, embeddings = embed_faces(analysis, pictures, order="left-right", index=0)
    assert numbers == [0, 2] and embeddings.shape == (2, 512) and embeddings.dtype == torch.float32
    faces = sort_faces(detect_faces(analysis, crowd), "left-right")
    assert torch.equal(embeddings[0], torch.from_numpy(faces[0].embedding))
    assert abs(embeddings[0].norm() - 1) > 0.01  # raw, not normalised
    assert [record.getMessage() for record in caplog.records] == [
        "reference_images: no face found in picture 1, which is left out."
    ]
    largest = embed_faces(analysis, pictures[:1])[1]
    assert torch.equal(largest[0], torch.from_numpy(sort_faces(faces, "large-small")[0].embedding))
    assert embed_faces(analysis, pictures, index=1)[0] == [0]


def test_no_face_in_any_reference_picture_is_refused(analysis):
    plain = torch.full((2, 64, 64, 3), 0.5)
    with pytest.raises(ValueError, match=r"^reference_images: no face found in any of its 2 picture"):
        embed_faces(analysis, plain)
    with pytest.raises(ValueError, match=r"^reference_images: no face number 7, counted from 0, found"):
        embed_faces(analysis, as_image(PICTURES[1].pixels)[None], index=7)


def test_the_recogniser_of_another_pack_is_refused(folder, analysis):
    check_recogniser(analysis, "buffalo_l", "the face swapper")
    with pytest.raises(ValueError, match="^face_analysis: .*w600k_r50.onnx.*InstantID.*glintr100.*antelopev2"):
        check_recogniser(analysis, "antelopev2", "InstantID")
    antelope = load_face_analysis("antelopev2", "CPU")
    check_recogniser(antelope, "antelopev2", "InstantID")
    with pytest.raises(ValueError, match="^face_analysis: .*glintr100.onnx.*buffalo_l"):
        check_recogniser(antelope, "buffalo_l", "the face swapper")
    with pytest.raises(ValueError, match="^face_analysis: has no recogniser.*buffalo_l"):
        check_recogniser(types.SimpleNamespace(models={"detection": analysis.det_model}), "buffalo_l", "it")
    # Another node pack's own kind of analysis, which does not say what it loaded.
    check_recogniser(types.SimpleNamespace(models={"recognition": object()}), "buffalo_l", "it")
