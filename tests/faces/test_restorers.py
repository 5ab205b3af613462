"""Face restorers: told by signature, applied to swapped faces alone, before they are pasted."""

import shutil

import folder_paths
import numpy as np
import pytest
import torch
from customenhancer.faces.alignment import FFHQ, ffhq_matrix
from customenhancer.faces.analysis import detect_faces, load_face_analysis, sort_faces
from customenhancer.faces.families import family_of
from customenhancer.faces.insightface_files import face_restorers
from customenhancer.faces.pasting import Pasting
from customenhancer.faces.restorers import RESTORER_FAMILIES, load_face_restorer
from customenhancer.faces.swap import Retouch
from customenhancer.faces.swappers import load_face_swapper
from helpers.faces import GROUP, swap
from skimage import data
from skimage.transform import SimilarityTransform
from standins.face_extras import BLUR, SHARPER, write_restorer
from standins.faces import as_image

SCENE, PERSON = as_image(GROUP), as_image(data.astronaut())


@pytest.fixture(scope="module")
def analysis(all_models):
    return load_face_analysis("buffalo_l", "CPU")


@pytest.fixture(scope="module")
def swapper(all_models):
    return load_face_swapper("inswapper_128.onnx", "CPU")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for a test's own restorers."""
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "facerestore_models", ([str(tmp_path)], set()))
    return tmp_path


def first_face(analysis, picture):
    return sort_faces(detect_faces(analysis, picture), "left-right")[0]


@pytest.mark.parametrize(("file", "title"), [("gfpgan_1.4.onnx", "GFPGAN"), ("codeformer.onnx", "CodeFormer")])
def test_a_file_is_told_by_its_signature_under_any_name(models, folder, file, title):
    shutil.copy(models / "facerestore_models" / file, folder / "renamed.onnx")
    assert list(face_restorers()) == ["renamed.onnx"]
    assert family_of(folder / "renamed.onnx", RESTORER_FAMILIES, "face restorer").title.startswith(title)
    load_face_restorer("renamed.onnx", provider="CPU")


def test_what_the_network_sees_and_gives(all_models):
    """RGB in -1..1 both ways: the stand-in adds twice what a blur takes away."""
    restorer = load_face_restorer("gfpgan_1.4.onnx", provider="CPU")
    crop = np.random.default_rng(1).uniform(0.4, 0.6, (512, 512, 3)).astype(np.float32)
    inside = slice(BLUR, -BLUR)
    blurred = torch.nn.functional.avg_pool2d(torch.from_numpy(crop).permute(2, 0, 1), BLUR, 1, BLUR // 2)
    expected = crop + SHARPER * (crop - blurred.permute(1, 2, 0).numpy())
    np.testing.assert_allclose(restorer.restore(crop)[inside, inside], expected[inside, inside], atol=1e-5)


def test_codeformer_gets_its_weight(all_models):
    crop = np.random.default_rng(1).uniform(0.4, 0.6, (512, 512, 3)).astype(np.float32)
    changes = [
        np.abs(load_face_restorer("codeformer.onnx", weight, "CPU").restore(crop) - crop).mean()
        for weight in (0, 0.5, 1)
    ]
    assert changes[1] == pytest.approx(changes[0] / 2, rel=1e-3) and changes[2] < 1e-5 < changes[0]


def test_the_crop_is_ffhqs():
    """The similarity of least squares, as scikit-image finds it."""
    points = np.float32([[210, 190], [300, 205], [250, 255], [205, 300], [280, 312]])
    reference = SimilarityTransform.from_estimate(points, FFHQ * 512)
    np.testing.assert_allclose(ffhq_matrix(points, 512), reference.params[:2], atol=1e-4)
    np.testing.assert_allclose(ffhq_matrix(FFHQ * 512, 512), [[1, 0, 0], [0, 1, 0]], atol=1e-9)


def test_only_the_swapped_face_is_restored_and_only_within_its_mask(analysis, swapper, all_models):
    restorer = load_face_restorer("gfpgan_1.4.onnx", provider="CPU")
    target, source = first_face(analysis, SCENE), first_face(analysis, PERSON)
    for pasting in (Pasting("box"), Pasting("face")):
        plain, mask = swap(SCENE, [target], [source], swapper, Retouch(pasting))
        restored, same_mask = swap(SCENE, [target], [source], swapper, Retouch(pasting, restorer))
        assert torch.equal(mask, same_mask)
        assert torch.equal(restored[mask == 0], SCENE[mask == 0])
        assert not torch.equal(restored[mask > 0.9], plain[mask > 0.9])


def test_how_much_of_it_is_taken(analysis, swapper, all_models):
    restorer = load_face_restorer("gfpgan_1.4.onnx", provider="CPU")
    target, source = first_face(analysis, SCENE), first_face(analysis, PERSON)
    none, half, whole = (
        swap(SCENE, [target], [source], swapper, Retouch(Pasting("face"), restorer, share))[0] for share in (0, 0.5, 1)
    )
    plain, mask = swap(SCENE, [target], [source], swapper, Retouch(Pasting("face")))
    assert torch.equal(none, plain)
    inside = (mask > 0.99)[..., None] & (whole > 0.01) & (whole < 0.99)  # where nothing is clipped
    torch.testing.assert_close(half[inside], ((plain + whole) / 2)[inside], atol=1e-4, rtol=0)


@pytest.mark.parametrize("side", [256, 1024])
def test_a_restorer_of_another_size_is_refused(folder, side):
    write_restorer(folder / "other.onnx", side=side)
    with pytest.raises(ValueError, match=r"^model_name: .*other.onnx .*not a face restorer") as error:
        load_face_restorer("other.onnx")
    assert f"input (1, 3, {side}, {side})" in str(error.value)
    assert "GFPGAN, RestoreFormer++ or GPEN (Apache-2.0; GPEN non-commercial)" in str(error.value)
    assert "CodeFormer (S-Lab 1.0, non-commercial)" in str(error.value)


def test_a_swapper_chosen_as_a_restorer_is_refused(models, folder):
    shutil.copy(models / "insightface" / "inswapper_128.onnx", folder / "swapper.onnx")
    with pytest.raises(ValueError, match=r"^model_name: .*swapper.onnx .*not a face restorer that can be used here"):
        load_face_restorer("swapper.onnx")


def test_a_missing_one_is_refused_with_what_to_do(folder):
    with pytest.raises(FileNotFoundError, match=r"^model_name: gfpgan_1.4.onnx is not in .*facerestore_models"):
        load_face_restorer("gfpgan_1.4.onnx")


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_damaged_one_is_refused(models, folder, share):
    whole = (models / "facerestore_models" / "codeformer.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"^model_name: .*cut.onnx cannot be loaded: .*again"):
        load_face_restorer("cut.onnx")
