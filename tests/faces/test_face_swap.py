"""Face swap with the real insightface package on stand-in models: what changes, what stays, whose face it becomes."""

import shutil
import sys

import cv2
import numpy as np
import onnx
import pytest
import torch
from customenhancer.faces.analysis import detect_faces, load_face_analysis, sort_faces, to_bgr
from customenhancer.faces.choosing import parse_indices, pick_faces
from customenhancer.faces.swappers import load_face_swapper
from helpers.faces import GROUP, PICTURES, insightface_folder, swap
from insightface.app.common import Face
from insightface.model_zoo import get_model
from skimage import data
from standins.faces import as_image, make_face_models, random_picture, upright_face


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    return make_face_models(tmp_path_factory.mktemp("models"), PICTURES)


@pytest.fixture(scope="module")
def loaded(stand_ins):
    with insightface_folder(stand_ins):
        return load_face_analysis("buffalo_l", "CPU"), load_face_swapper("inswapper_128.onnx", "CPU")


@pytest.fixture
def analysis(loaded):
    return loaded[0]


@pytest.fixture
def swapper(loaded):
    return loaded[1]


def faces_of(analysis, picture) -> list:
    return sort_faces(detect_faces(analysis, picture), "left-right")


def cosine(one, other) -> float:
    return float(one.normed_embedding @ other.normed_embedding)


def exact_picture(seed: int, height: int, width: int) -> torch.Tensor:
    """A picture whose values are no multiples of 1/255, so that a detour through bytes would show everywhere."""
    noise = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(seed)) * 0.003
    return (as_image(random_picture(seed, height, width)) + noise).clamp(0, 1)


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_swapped_face_is_the_references(analysis, swapper, seed):
    scene, person = as_image(random_picture(seed, 512, 512)), as_image(data.astronaut())
    (target,), (source,) = faces_of(analysis, scene), faces_of(analysis, person)
    swapped, _ = swap(scene, [target], [source], swapper)
    (result,) = faces_of(analysis, swapped)
    assert cosine(target, source) < 0.6
    assert cosine(result, source) > 0.85


@pytest.mark.parametrize(("height", "width"), [(512, 512), (300, 451), (640, 333)])
def test_pixels_outside_the_mask_keep_every_bit_and_those_inside_change(analysis, swapper, height, width):
    scene = exact_picture(3, height, width)
    swapped, mask = swap(scene, faces_of(analysis, scene), faces_of(analysis, as_image(data.astronaut())), swapper)
    assert mask.shape == (height, width) and mask.dtype == torch.float32
    assert mask.min() == 0 and 0.999 < mask.max() <= 1
    assert torch.equal(swapped[mask == 0], scene[mask == 0])
    changed = (swapped != scene).any(dim=-1)
    assert changed[mask > 0.5].float().mean() > 0.99
    assert (swapped - scene).abs()[mask > 0.9].mean() > 0.03


def test_mask_is_the_aligned_face(analysis, swapper):
    """Full at the five points, nothing beyond the aligned crop of InsightFace's own alignment."""
    from insightface.utils.face_align import estimate_norm

    scene = exact_picture(3, 512, 512)
    (target,) = faces_of(analysis, scene)
    _, mask = swap(scene, [target], faces_of(analysis, as_image(data.astronaut())), swapper)
    for x, y in target.kps.round().astype(int):
        assert mask[y, x] > 0.99
    matrix = estimate_norm(target.kps, 128)
    rows, columns = np.nonzero(mask.numpy())
    crop = matrix @ np.stack([columns, rows, np.ones_like(rows)])
    assert crop.min() > -1 and crop.max() < 128


def test_same_as_insightfaces_own_pasting_up_to_its_rounding(analysis, swapper):
    scene = as_image(random_picture(3, 400, 600))
    (target,), (source,) = faces_of(analysis, scene), faces_of(analysis, as_image(data.astronaut()))
    expected = get_model(str(swapper.path)).get(to_bgr(scene), target, source, paste_back=True)[..., ::-1]
    swapped, _ = swap(scene, [target], [source], swapper)
    assert np.abs(swapped.numpy() * 255 - expected).max() < 2


@pytest.mark.parametrize(("height", "width"), [(512, 512), (300, 451), (640, 333)])
def test_the_box_is_to_the_last_bit_what_it_was_before_there_was_another(analysis, swapper, height, width):
    """Drawn by InsightFace's own class, pasted in the whole picture: how saved workflows were computed."""
    scene = exact_picture(3, height, width)
    (target,), (source,) = faces_of(analysis, scene), faces_of(analysis, as_image(data.astronaut()))
    drawn, matrix = get_model(str(swapper.path)).get(to_bgr(scene), target, source, paste_back=False)
    to_picture = cv2.invertAffineTransform(matrix)
    face = cv2.warpAffine(drawn[..., ::-1].astype(np.float32) / 255, to_picture, (width, height))
    coverage = cv2.warpAffine(np.ones((128, 128), np.float32), to_picture, (width, height))
    rows, columns = np.nonzero(coverage > 20 / 255)
    size = int(np.sqrt((rows.max() - rows.min()) * (columns.max() - columns.min())))
    eroded = cv2.erode((coverage > 20 / 255).astype(np.float32), np.ones((max(size // 10, 10),) * 2, np.uint8))
    mask = cv2.GaussianBlur(eroded, (2 * max(size // 20, 5) + 1,) * 2, 0).clip(0, 1)
    swapped, found = swap(scene, [target], [source], swapper)
    np.testing.assert_array_equal(swapped.numpy(), mask[..., None] * face + (1 - mask[..., None]) * scene.numpy())
    np.testing.assert_array_equal(found.numpy(), 1 - (1 - mask))


def test_another_person_gives_another_face_in_the_same_place(analysis, swapper):
    scene, group = exact_picture(3, 512, 512), as_image(GROUP)
    targets = faces_of(analysis, scene)
    results = [swap(scene, targets, [source], swapper) for source in faces_of(analysis, group)[:2]]
    (one, one_mask), (other, other_mask) = results
    assert torch.equal(one_mask, other_mask)
    assert (one - other).abs()[one_mask > 0.9].mean() > 0.03
    assert torch.equal(one[one_mask == 0], other[one_mask == 0])


def test_several_faces_each_get_their_own_source(analysis, swapper):
    group = as_image(GROUP)
    targets = faces_of(analysis, group)
    astronaut, stranger = (
        faces_of(analysis, picture)[0]
        for picture in (as_image(data.astronaut()), as_image(random_picture(9, 512, 512)))
    )
    swapped, mask = swap(group, [targets[0], targets[2]], [astronaut, stranger], swapper)
    left, middle, right = faces_of(analysis, swapped)
    assert cosine(left, astronaut) > 0.85 and cosine(right, stranger) > 0.85
    np.testing.assert_array_equal(middle.embedding, targets[1].embedding)
    singles = [swap(group, [target], [astronaut], swapper)[1] for target in (targets[0], targets[2])]
    torch.testing.assert_close(1 - mask, (1 - singles[0]) * (1 - singles[1]))


def test_nothing_given_is_changed(analysis, swapper):
    scene, person = exact_picture(3, 256, 256), as_image(data.astronaut())
    targets, sources = faces_of(analysis, scene), faces_of(analysis, person)
    before = scene.clone(), [dict(face) for face in (*targets, *sources)]
    first, _ = swap(scene, targets, sources, swapper)
    assert torch.equal(scene, before[0])
    for face, saved in zip((*targets, *sources), before[1], strict=True):
        for name, value in saved.items():
            np.testing.assert_array_equal(face[name], value)
    assert torch.equal(swap(scene, targets, sources, swapper)[0], first)


def test_alpha_and_precision_stay(analysis, swapper):
    alpha = torch.linspace(0, 1, 256 * 256).reshape(256, 256, 1)
    scene = torch.cat([exact_picture(3, 256, 256), alpha], dim=-1)
    swapped, _ = swap(scene, faces_of(analysis, scene), faces_of(analysis, as_image(data.astronaut())), swapper)
    assert torch.equal(swapped[..., 3], scene[..., 3])
    half = scene[..., :3].half()
    assert swap(half, faces_of(analysis, half), faces_of(analysis, half), swapper)[0].dtype == torch.float16


@pytest.mark.parametrize(("x", "y", "width"), [(0, 60, 80), (255, 255, 120), (128, 128, 3), (-300, 128, 40)])
def test_faces_at_the_edge_tiny_or_out_of_the_picture(analysis, swapper, x, y, width):
    face = upright_face(x / 256, y / 256, width / 256)
    target = Face(bbox=np.array(face.box) * 256, kps=np.array(face.points, np.float32) * 256)
    scene = exact_picture(3, 256, 256)
    swapped, mask = swap(scene, [target], faces_of(analysis, as_image(data.astronaut())), swapper)
    assert torch.isfinite(swapped).all() and swapped.min() >= 0 and swapped.max() <= 1
    assert torch.equal(swapped[mask == 0], scene[mask == 0])
    assert (mask.max() > 0) == (width >= 80)


def test_a_missing_swapper_is_refused_with_its_path_named(folder):
    with pytest.raises(FileNotFoundError, match="model_name: .*inswapper_128.onnx") as error:
        load_face_swapper("absent.onnx", "CPU")
    assert f"absent.onnx is not in {folder}. Download inswapper_128.onnx" in str(error.value)


@pytest.mark.parametrize("spoil", [lambda old: old[: len(old) // 2], lambda old: b"", lambda old: b"<html>404</html>"])
def test_a_damaged_swapper_is_refused(folder, spoil):
    path = folder / "inswapper_128.onnx"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match="model_name: .* cannot be loaded: .*again") as error:
        load_face_swapper("inswapper_128.onnx", "CPU")
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("other", ["w600k_r50.onnx", "det_10g.onnx"])
def test_a_file_that_is_no_swapper_is_refused(folder, other):
    shutil.copy(folder / "models" / "buffalo_l" / other, folder / "other.onnx")
    with pytest.raises(ValueError, match="model_name: .*other.onnx .*not a face swapper"):
        load_face_swapper("other.onnx", "CPU")


def test_a_swapper_without_its_map_is_refused(folder):
    path = folder / "inswapper_128.onnx"
    model = onnx.load(path)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(3, np.float32), "something_else"))
    onnx.save(model, path)
    with pytest.raises(ValueError, match="model_name: .*map"):
        load_face_swapper("inswapper_128.onnx", "CPU")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_how_to_install_it(folder, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"{package}.*install.*requirements.txt"):
        load_face_swapper("inswapper_128.onnx", "CPU")


def test_loading_is_silent(folder, capsys):
    load_face_swapper("inswapper_128.onnx", "CPU")
    assert capsys.readouterr().out == ""


def test_indices_are_read_in_the_order_they_are_written_in():
    assert parse_indices("target_faces", "0") == [0]
    assert parse_indices("target_faces", " 2, 0 ,11") == [2, 0, 11]


@pytest.mark.parametrize("text", ["", "a", "-1", "0,,1", "0.5", "0 1", ","])
def test_text_that_is_no_list_of_indices_is_refused(text):
    with pytest.raises(ValueError, match="target_faces: .*separated by commas"):
        parse_indices("target_faces", text)


def test_faces_are_picked_by_index_and_an_index_out_of_range_is_refused():
    assert pick_faces("target_faces", "picture 0 of image", ["a", "b", "c"], [2, 0]) == ["c", "a"]
    with pytest.raises(ValueError, match="target_faces: index 3 is out of range: picture 0 of image has 3 .*0 to 2"):
        pick_faces("target_faces", "picture 0 of image", ["a", "b", "c"], [0, 3])


def test_the_stand_in_detector_still_finds_the_faces_of_swapped_pictures(analysis, swapper):
    """The stand-in detector must know a picture again after a swap, or the tests above would test the wrong faces."""
    for pixels in (data.astronaut(), GROUP, cv2.resize(GROUP, (320, 240))):
        picture = as_image(pixels)
        targets = faces_of(analysis, picture)
        swapped, _ = swap(picture, targets, targets[:1] * len(targets), swapper)
        found = faces_of(analysis, swapped)
        np.testing.assert_allclose([face.bbox for face in found], [face.bbox for face in targets], atol=1e-3)
