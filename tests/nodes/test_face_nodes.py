"""The face nodes: what the host sees of them, and batches, choices and policies of Face Swap."""

import inspect

import comfy.model_management
import comfy.utils
import folder_paths
import numpy as np
import pytest
import torch
from customenhancer.faces.analysis import detect_faces, sort_faces
from customenhancer.nodes import face_loaders, faces, saved_faces
from customenhancer.nodes import face_swap as face_swap_node
from customenhancer.nodes.face_loaders import FaceAnalysisLoaderNode, FaceRestorerLoaderNode, FaceSwapperLoaderNode
from customenhancer.nodes.face_swap import FaceSwapNode
from helpers.faces import face_swap, insightface_folder
from skimage import data
from standins.face_extras import write_restorer
from standins.faces import ASTRONAUT_FACE, FixturePicture, as_image, make_face_models, random_picture, upright_face

GROUP = random_picture(1, 512, 512)
PICTURES = [
    FixturePicture(data.astronaut(), (ASTRONAUT_FACE,)),
    FixturePicture(GROUP, (upright_face(0.2, 0.5, 0.16), upright_face(0.5, 0.25, 0.2), upright_face(0.8, 0.6, 0.12))),
    FixturePicture(None, (upright_face(0.5, 0.34, 0.32),)),
]

NODES = [node for family in (face_loaders, face_swap_node, faces, saved_faces) for node in family.NODES]
# Sockets without a value of their own.
SOCKETS = {"IMAGE", "MASK", "CE_FACE", "CE_FACE_RESTORER", "FACEANALYSIS"}


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    return make_face_models(tmp_path_factory.mktemp("models"), PICTURES)


@pytest.fixture(autouse=True)
def folder(stand_ins, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "insightface", ([str(stand_ins)], set()))
    return stand_ins


@pytest.fixture(scope="module")
def loaded(stand_ins):
    with insightface_folder(stand_ins):
        analysis, swapper = (
            FaceAnalysisLoaderNode.execute("buffalo_l", "CPU"),
            FaceSwapperLoaderNode.execute("inswapper_128.onnx"),
        )
    return {"face_analysis": analysis.result[0], "face_swapper": swapper.result[0]}


def batch(*pixels: np.ndarray) -> torch.Tensor:
    return torch.stack([as_image(picture) for picture in pixels])


def plain() -> np.ndarray:
    return np.full((512, 512, 3), 200, np.uint8)


def faces_of(loaded, picture) -> list:
    return sort_faces(detect_faces(loaded["face_analysis"], picture), "left-right")


def likeness(one, other) -> float:
    return float(one.normed_embedding @ other.normed_embedding)


def test_ids_and_sockets_are_those_of_saved_workflows():
    assert {node.GET_SCHEMA().node_id: [output.io_type for output in node.GET_SCHEMA().outputs] for node in NODES} == {
        "CE_FaceAnalysisLoader": ["FACEANALYSIS"],
        "CE_FaceSwapperLoader": ["CE_FACE_SWAPPER"],
        "CE_FaceRestorerLoader": ["CE_FACE_RESTORER"],
        "CE_FaceSwap": ["IMAGE", "MASK"],
        "CE_FaceKeypoints": ["IMAGE"],
        "CE_FaceMask": ["MASK"],
        "CE_SaveFace": ["CE_FACE"],
        "CE_LoadFace": ["CE_FACE"],
    }
    sockets = {one.id: one.io_type for one in FaceSwapNode.GET_SCHEMA().inputs}
    assert sockets["image"] == sockets["reference"] == "IMAGE"
    assert sockets["face_analysis"] == "FACEANALYSIS" and sockets["face_swapper"] == "CE_FACE_SWAPPER"


@pytest.mark.parametrize("node", NODES)
def test_everything_is_explained_and_defaults_agree(node):
    schema = node.GET_SCHEMA()
    assert schema.description and schema.display_name and schema.category == "CustomEnhancer/face"
    assert all(socket.tooltip for socket in (*schema.inputs, *schema.outputs))
    parameters = inspect.signature(node.execute).parameters
    assert list(parameters) == [one.id for one in schema.inputs]
    for one in schema.inputs:
        default = getattr(one, "default", None)
        assert one.optional == (default is not None) or one.get_io_type() in SOCKETS
        needed = default is None and not one.optional
        assert parameters[one.id].default == (inspect.Parameter.empty if needed else default)


def test_combos_list_what_is_on_disk(tmp_path, monkeypatch):
    def options(node):
        return node.define_schema().inputs[0].options

    assert options(FaceAnalysisLoaderNode) == ["buffalo_l", "antelopev2"]
    assert options(FaceSwapperLoaderNode) == ["inswapper_128.onnx"]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "insightface", ([str(tmp_path)], set()))
    assert options(FaceAnalysisLoaderNode) == options(FaceSwapperLoaderNode) == []


def test_missing_files_are_refused_before_the_run():
    assert FaceAnalysisLoaderNode.validate_inputs("buffalo_l") is True
    assert FaceSwapperLoaderNode.validate_inputs("inswapper_128.onnx") is True
    assert all(node.validate_inputs() is True for node in (FaceAnalysisLoaderNode, FaceSwapperLoaderNode))  # linked
    assert "Download buffalo_l.zip from https" in FaceAnalysisLoaderNode.validate_inputs("buffalo_m")
    assert "Download inswapper_128.onnx from https" in FaceSwapperLoaderNode.validate_inputs("../other.onnx")


def test_batch_is_swapped_picture_by_picture(loaded):
    pictures = batch(random_picture(3, 512, 512), random_picture(4, 512, 512))
    before = pictures.clone()
    reference = batch(data.astronaut())
    image, mask = face_swap(pictures, reference, **loaded).result
    assert image.shape == pictures.shape and mask.shape == pictures.shape[:3]
    assert torch.equal(pictures, before)
    (person,) = faces_of(loaded, reference[0])
    for number in range(2):
        alone = face_swap(pictures[number : number + 1], reference, **loaded).result
        assert torch.equal(image[number], alone[0][0]) and torch.equal(mask[number], alone[1][0])
        assert likeness(faces_of(loaded, image[number])[0], person) > 0.85


@pytest.mark.parametrize(
    ("order", "index", "place"),
    [("left-right", "0", 0), ("right-left", "0", 2), ("top-bottom", "0", 1), ("bottom-top", "0", 2),
     ("large-small", "0", 1), ("small-large", "0", 2), ("left-right", "1", 1)],
)  # fmt: skip
def test_target_order_and_index_choose_the_face(loaded, order, index, place):
    reference = batch(data.astronaut())
    image, _ = face_swap(batch(GROUP), reference, **loaded, target_faces=index, target_order=order).result
    (person,) = faces_of(loaded, reference[0])
    similar = [likeness(face, person) > 0.85 for face in faces_of(loaded, image[0])]
    assert similar == [position == place for position in range(3)]


def test_reference_order_and_index_choose_the_person(loaded):
    people = faces_of(loaded, batch(GROUP)[0])
    scene = batch(random_picture(3, 512, 512))
    for order, index, place in (("left-right", "2", 2), ("large-small", "0", 1), ("right-left", "0", 2)):
        image, _ = face_swap(scene, batch(GROUP), **loaded, reference_faces=index, reference_order=order).result
        (result,) = faces_of(loaded, image[0])
        assert max(range(3), key=lambda number: likeness(result, people[number])) == place


def test_all_faces_get_one_person_or_each_its_own(loaded):
    reference = batch(data.astronaut())
    (person,) = faces_of(loaded, reference[0])
    image, _ = face_swap(batch(GROUP), reference, **loaded, target_faces="0,2").result
    similar = [likeness(face, person) > 0.85 for face in faces_of(loaded, image[0])]
    assert similar == [True, False, True]

    before = faces_of(loaded, batch(GROUP)[0])
    image, _ = face_swap(batch(GROUP), batch(GROUP), **loaded, target_faces="0,1", reference_faces="1,0").result
    after = faces_of(loaded, image[0])
    assert likeness(after[0], before[1]) > 0.85 and likeness(after[1], before[0]) > 0.85
    np.testing.assert_array_equal(after[2].embedding, before[2].embedding)


def test_reference_is_the_first_picture_with_a_face(loaded):
    scene = batch(random_picture(3, 512, 512))
    expected = face_swap(scene, batch(data.astronaut()), **loaded).result
    found = face_swap(scene, batch(plain(), data.astronaut(), GROUP), **loaded).result
    assert torch.equal(found[0], expected[0])


def test_reference_without_a_face_is_refused(loaded):
    for policy in ("error", "pass_through"):
        with pytest.raises(ValueError, match="reference: no face"):
            face_swap(batch(GROUP), batch(plain(), plain()), **loaded, no_face=policy)


def test_picture_without_a_face_is_refused_or_passed_through(loaded):
    pictures = batch(random_picture(3, 512, 512), plain())
    with pytest.raises(ValueError, match="image: no face found in picture 1.*pass_through"):
        face_swap(pictures, batch(data.astronaut()), **loaded)
    image, mask = face_swap(pictures, batch(data.astronaut()), **loaded, no_face="pass_through").result
    assert image.shape == pictures.shape
    assert torch.equal(image[1], pictures[1]) and not mask[1].any()
    assert not torch.equal(image[0], pictures[0]) and mask[0].any()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"target_faces": "3"}, "target_faces: index 3 is out of range: picture 0 of image has 3"),
        ({"reference_faces": "1"}, "reference_faces: index 1 is out of range: reference has 1"),
        ({"target_faces": "left"}, "target_faces: 'left' is not a list"),
        ({"reference_faces": ""}, "reference_faces: '' is not a list"),
        ({"target_faces": "0,1,2", "reference_faces": "0,0"}, "reference_faces: 2 indices for 3 in target_faces"),
    ],
)
def test_wrong_choices_of_faces_are_refused(loaded, choice, message):
    with pytest.raises(ValueError, match=message):
        face_swap(batch(GROUP), batch(data.astronaut()), **loaded, **choice)


def test_face_analysis_of_a_pack_that_the_swapper_does_not_fit_is_refused(loaded):
    other = FaceAnalysisLoaderNode.execute("antelopev2", "CPU").result[0]
    with pytest.raises(ValueError, match="face_analysis: .*buffalo_l"):
        face_swap(batch(GROUP), batch(data.astronaut()), other, loaded["face_swapper"])


def test_face_analysis_loaded_by_another_node_pack_serves(loaded, folder):
    """As other packs load it: by name and root, at one detector size."""
    from insightface.app import FaceAnalysis

    other = FaceAnalysis(name="buffalo_l", root=str(folder), providers=["CPUExecutionProvider"])
    other.prepare(ctx_id=0, det_size=(640, 640))
    image, _ = face_swap(batch(GROUP), batch(data.astronaut()), other, loaded["face_swapper"]).result
    expected, _ = face_swap(batch(GROUP), batch(data.astronaut()), **loaded).result
    torch.testing.assert_close(image, expected, atol=0.02, rtol=0)


def test_progress_is_told_and_an_interrupt_stops_the_run(loaded, monkeypatch):
    pictures = batch(*[random_picture(3, 512, 512)] * 3)
    steps = []

    def interrupt_before_the_last(value, total, preview, node_id=None):
        steps.append((value, total))
        comfy.model_management.interrupt_current_processing(value < total)

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", interrupt_before_the_last)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        face_swap(pictures, batch(data.astronaut()), **loaded)
    assert steps == [(1, 3)]
    face_swap(pictures[:1], batch(data.astronaut()), **loaded)
    assert steps == [(1, 3), (1, 1)]


def test_loaders_show_each_file_that_is_there_with_its_licence(loaded, tmp_path, monkeypatch):
    """The chosen one first."""
    output = FaceSwapperLoaderNode.execute("inswapper_128.onnx", "CPU")
    assert output.ui.as_dict()["text"] == ("inswapper_128.onnx: inswapper, licence: non-commercial research only",)
    write_restorer(tmp_path / "gfpgan.onnx")
    write_restorer(tmp_path / "codeformer.onnx", codeformer=True)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "facerestore_models", ([str(tmp_path)], set()))
    output = FaceRestorerLoaderNode.execute("gfpgan.onnx", 0.5, "CPU")
    (text,) = output.ui.as_dict()["text"]
    assert text.splitlines() == [
        "gfpgan.onnx: GFPGAN, RestoreFormer++ or GPEN, licence: Apache-2.0; GPEN non-commercial",
        "codeformer.onnx: CodeFormer, licence: S-Lab 1.0, non-commercial",
    ]
    assert "Download gfpgan_1.4.onnx from https" in FaceRestorerLoaderNode.validate_inputs("absent.onnx")
