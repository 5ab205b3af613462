"""Face swappers: told by what a file takes and gives, whatever it is called, and the face that each draws."""

import shutil

import folder_paths
import numpy as np
import pytest
import torch
from customenhancer.faces.analysis import detect_faces, load_face_analysis
from customenhancer.faces.families import about_files
from customenhancer.faces.insightface_files import face_swappers
from customenhancer.faces.pasting import Pasting
from customenhancer.faces.swap import Retouch
from customenhancer.faces.swappers import SWAPPER_FAMILIES, Hyperswap, Inswapper, load_face_swapper
from customenhancer.host.input_checks import check_value
from customenhancer.nodes.face_swap import FaceSwapNode
from helpers.faces import BOX, swap
from skimage import data
from standins.face_onnx import Graph
from standins.faces import as_image, random_picture

SCENE = as_image(random_picture(3, 512, 512))
PERSON = as_image(data.astronaut())


@pytest.fixture(scope="module")
def analysis(all_models):
    return load_face_analysis("buffalo_l", "CPU")


@pytest.fixture
def folder(models, tmp_path, monkeypatch):
    """A folder for a test's own swappers."""
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "insightface", ([str(tmp_path)], set()))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "family", "side"),
    [("inswapper_128.onnx", Inswapper, 128), ("inswapper_128_fp16.onnx", Inswapper, 128),
     ("hyperswap_1a_256.onnx", Hyperswap, 256)],
)  # fmt: skip
def test_a_file_is_told_by_its_signature_under_any_name(models, folder, file, family, side):
    shutil.copy(models / "insightface" / file, folder / "renamed.onnx")
    swapper = load_face_swapper("renamed.onnx", "CPU")
    assert type(swapper) is family and swapper.side == side


@pytest.mark.parametrize("file", ["inswapper_128.onnx", "inswapper_128_fp16.onnx", "hyperswap_1a_256.onnx"])
@pytest.mark.parametrize("retouch", [BOX, Retouch(Pasting("face"))], ids=["box", "face"])
def test_each_family_draws_the_person(analysis, all_models, file, retouch):
    (target,), (source,) = detect_faces(analysis, SCENE), detect_faces(analysis, PERSON)
    swapped, mask = swap(SCENE, [target], [source], load_face_swapper(file, "CPU"), retouch)
    (result,) = detect_faces(analysis, swapped)
    before, after = (float(face.normed_embedding @ source.normed_embedding) for face in (target, result))
    # The stand-in recogniser sees the whole square, of which a face's outline or hyperswap's mask leaves parts.
    assert before < 0.3 and after > (0.85 if retouch is BOX and "inswapper" in file else before + 0.1)
    assert torch.equal(swapped[mask == 0], SCENE[mask == 0])


def test_half_precision_draws_what_the_whole_one_does(analysis, all_models):
    (target,), (source,) = detect_faces(analysis, SCENE), detect_faces(analysis, PERSON)
    whole, half = (
        swap(SCENE, [target], [source], load_face_swapper(name, "CPU"))[0]
        for name in ("inswapper_128.onnx", "inswapper_128_fp16.onnx")
    )
    assert (whole - half).abs().max() < 0.02 and not torch.equal(whole, half)


def test_the_mask_that_hyperswap_draws_limits_what_is_pasted(analysis, all_models):
    (target,), (source,) = detect_faces(analysis, SCENE), detect_faces(analysis, PERSON)
    swapper = load_face_swapper("hyperswap_1a_256.onnx", "CPU")
    _, mask = swap(SCENE, [target], [source], swapper)
    drawn = swapper.draw

    def without_mask(crop, identity):
        return drawn(crop, identity)[0], None

    swapper.draw = without_mask
    _, unlimited = swap(SCENE, [target], [source], swapper)
    assert (mask <= unlimited + 1e-6).all() and mask.sum() < 0.9 * unlimited.sum() and mask.max() > 0.99


def test_hyperswap_sees_and_gives_minus_one_to_one_in_rgb(all_models):
    """On a plain crop the stand-in keeps a fifth of the target and the mean for the rest: the colour itself."""
    swapper = load_face_swapper("hyperswap_1a_256.onnx", "CPU")
    crop = np.broadcast_to(np.uint8([10, 120, 250]), (256, 256, 3))  # BGR
    drawn, mask = swapper.draw(np.ascontiguousarray(crop), np.zeros(512, np.float32))
    np.testing.assert_allclose(drawn, np.broadcast_to(np.float32([250, 120, 10]) / 255, drawn.shape), atol=1e-4)
    assert drawn.shape == (256, 256, 3) and mask.shape == (256, 256) and 0 <= mask.min() < mask.max() <= 1


def save_family(path, inputs, outputs):
    graph = Graph()
    for name, shape in outputs.items():
        graph.op("ConstantOfShape", graph.integers(*shape), output=name)
    graph.save(path, inputs, outputs)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({"input": [1, 3, 512, 512]}, {"output": [1, 3, 512, 512]}),
        ({"target": [1, 3, 256, 128], "source": [1, 512]}, {"output": [1, 3, 256, 128]}),
        ({"target": [1, 3, 128, 128], "source": [1, 256]}, {"output": [1, 3, 128, 128]}),
        ({"target": [1, 3, 128, 128], "source": [1, 3, 112, 112]}, {"output": [1, 3, 128, 128]}),
        ({"target": [1, 3, 256, 256], "source": [1, 512]}, {"output": [1, 3, 256, 256]}),
        ({"target": [1, 3, 256, 256], "source": [1, 512]}, {"output": [1, 3, 256, 256], "mask": [1, 3, 256, 256]}),
    ],
    ids=["a restorer", "oblong", "another recogniser's", "BlendSwap's kind", "SimSwap's kind", "another mask"],
)
def test_a_family_that_is_not_served_is_refused_with_those_that_are(folder, inputs, outputs):
    save_family(folder / "other.onnx", inputs, outputs)
    with pytest.raises(ValueError, match=r"^model_name: .*other.onnx is an ONNX file, but not a face swapper") as error:
        load_face_swapper("other.onnx", "CPU")
    said = str(error.value)
    assert f"{next(iter(inputs))} (1, 3, " in said
    assert "inswapper (non-commercial research only); hyperswap (FaceFusion's ResearchRAIL-MS)" in said


def test_a_swapper_without_its_map_is_refused(folder):
    save_family(
        folder / "mapless.onnx",
        {"target": [1, 3, 128, 128], "source": [1, 512]},
        {"output": [1, 3, 128, 128]},
    )
    with pytest.raises(ValueError, match=r"^model_name: .*mapless.onnx cannot be loaded: .*map is \(512, 512\)"):
        load_face_swapper("mapless.onnx", "CPU")


def test_each_file_that_is_there_is_told_with_its_licence(models, folder):
    for name in ("inswapper_128.onnx", "hyperswap_1a_256.onnx"):
        shutil.copy(models / "insightface" / name, folder / name)
    shutil.copy(models / "facerestore_models" / "codeformer.onnx", folder / "restorer.onnx")
    (folder / "damaged.onnx").write_bytes(b"<html>")
    assert about_files(face_swappers(), SWAPPER_FAMILIES, "face swapper", "inswapper_128.onnx") == [
        "inswapper_128.onnx: inswapper, licence: non-commercial research only",
        "damaged.onnx: cannot be read",
        "hyperswap_1a_256.onnx: hyperswap, licence: FaceFusion's ResearchRAIL-MS",
        "restorer.onnx: not a face swapper that can be used here",
    ]


def test_a_restorer_wired_where_a_swapper_belongs_is_refused(all_models):
    from customenhancer.faces.restorers import load_face_restorer

    restorer = load_face_restorer("gfpgan_1.4.onnx", provider="CPU")
    sockets = {one.id: one for one in FaceSwapNode.define_schema().inputs}
    with pytest.raises(ValueError, match=r"^face_swapper: .*Connect Load Face Swapper\.$"):
        check_value(sockets["face_swapper"], restorer)
    with pytest.raises(ValueError, match=r"^face_restorer: .*Connect Load Face Restorer\.$"):
        check_value(sockets["face_restorer"], load_face_swapper("inswapper_128.onnx", "CPU"))
