"""A person read once: saved, loaded, and taken by Face Swap, PhotoMaker V2 and InstantID as their pictures are."""

import math

import folder_paths
import pytest
import torch
from customenhancer.nodes.face_loaders import FaceSwapperLoaderNode
from customenhancer.nodes.face_swap import FaceSwapNode
from customenhancer.nodes.faces import FaceMaskNode
from customenhancer.nodes.saved_faces import LoadFaceNode, SaveFaceNode
from helpers.faces import insightface_folder
from helpers.instantid_flow import ASTRONAUT, CROWD, NOBODY, PICTURES
from standins.faces import make_face_models


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """The host's input and output folder."""
    for name in ("input", "output"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
    return tmp_path


def save(packs, images=ASTRONAUT, both=True, **options):
    """Save as the node does; the face, and the name that the load node knows its file by."""
    other = {"other_face_analysis": packs["antelopev2"]} if both else {}
    output = SaveFaceNode.execute(images, packs["buffalo_l"], **other, **options)
    (file,) = output.ui["faces"]
    return output.result[0], f"{file['subfolder']}/{file['filename']} [output]", output.ui["text"][0]


def test_what_is_loaded_is_what_was_saved(packs):
    face, name, said = save(packs, torch.cat([ASTRONAUT, NOBODY]))
    assert name == "faces/ComfyUI_00001_.face.safetensors [output]"
    assert said == "ComfyUI_00001_.face.safetensors: 1 of 2 pictures"
    assert LoadFaceNode.validate_inputs(name) is True
    (loaded,) = LoadFaceNode.execute(name).result
    assert set(loaded.embeddings) == {"w600k_r50", "glintr100"} and loaded.pictures == 1
    assert all(torch.equal(loaded.embeddings[key], face.embeddings[key]) for key in face.embeddings)
    assert LoadFaceNode.define_schema().inputs[0].options == [name]


def test_a_file_that_changes_is_loaded_anew(packs, folders):
    _, name, _ = save(packs)
    before = LoadFaceNode.fingerprint_inputs(name)
    _, other, _ = save(packs, CROWD)
    assert LoadFaceNode.fingerprint_inputs(name) == before != LoadFaceNode.fingerprint_inputs(other)
    assert math.isnan(LoadFaceNode.fingerprint_inputs())


def test_a_missing_file_and_a_bad_name_are_refused(packs):
    assert "face_name: no.face.safetensors is not there" in LoadFaceNode.validate_inputs("no.face.safetensors")
    with pytest.raises(ValueError, match="^filename_prefix: ../x leads out of the output folder"):
        save(packs, filename_prefix="../x")
    with pytest.raises(ValueError, match="^reference_images: no face found in any"):
        save(packs, NOBODY)


def test_face_swap_takes_it_as_it_does_the_picture(packs, tmp_path):
    with insightface_folder(make_face_models(tmp_path, PICTURES)):
        (swapper,) = FaceSwapperLoaderNode.execute("inswapper_128.onnx").result
    face, _, _ = save(packs)
    by_face = FaceSwapNode.execute(CROWD, packs["buffalo_l"], swapper, face=face).result
    by_picture = FaceSwapNode.execute(CROWD, packs["buffalo_l"], swapper, ASTRONAUT).result
    assert all(torch.equal(one, other) for one, other in zip(by_face, by_picture, strict=True))
    with pytest.raises(ValueError, match="^reference: is not connected, and neither is face"):
        FaceSwapNode.execute(CROWD, packs["buffalo_l"], swapper)


def test_face_swap_refuses_one_that_was_read_with_another_recogniser(packs, tmp_path):
    with insightface_folder(make_face_models(tmp_path, PICTURES)):
        (swapper,) = FaceSwapperLoaderNode.execute("inswapper_128.onnx").result
    antelope = SaveFaceNode.execute(ASTRONAUT, packs["antelopev2"]).result[0]
    with pytest.raises(ValueError, match="^face: it was read with glintr100, but the face swapper .*buffalo_l"):
        FaceSwapNode.execute(CROWD, packs["buffalo_l"], swapper, face=antelope)


def test_instantid_takes_it_as_it_does_the_picture(packs, run_instantid):
    face, _, _ = save(packs)
    by_face, by_picture = (run_instantid(face=given, keypoints_image=CROWD) for given in (face, None))
    for one, other in zip(by_face[1:3], by_picture[1:3], strict=True):
        assert torch.equal(one[0][0], other[0][0]) and set(one[0][1]) == set(other[0][1])
    assert torch.equal(by_face[3], by_picture[3])
    without = run_instantid(face=face, reference_images=None, keypoints_image=CROWD, face_analysis=packs["buffalo_l"])
    assert torch.equal(without[3], by_picture[3])


def test_instantid_needs_to_know_who_and_where(packs, run_instantid):
    face, _, _ = save(packs)
    with pytest.raises(ValueError, match="^reference_images: is not connected, and neither is face"):
        run_instantid(reference_images=None)
    with pytest.raises(ValueError, match="^keypoints_image: is not connected, and a face does not tell"):
        run_instantid(reference_images=None, face=face)
    buffalo, _, _ = save(packs, both=False)
    with pytest.raises(ValueError, match="^face: it was read with w600k_r50, but InstantID .*glintr100"):
        run_instantid(reference_images=None, face=buffalo, keypoints_image=CROWD)


def test_a_face_mask_for_each_picture(packs):
    (masks,) = FaceMaskNode.execute(torch.cat([ASTRONAUT, CROWD]), packs["buffalo_l"]).result
    assert masks.shape == (2, 512, 512) and masks.dtype == torch.float32
    assert all(0.005 < mask.mean() < 0.5 and mask.max() == 1 for mask in masks)
    (wide,) = FaceMaskNode.execute(CROWD, packs["buffalo_l"], faces="all", part="everything but").result
    (heads,) = FaceMaskNode.execute(CROWD, packs["buffalo_l"], faces="all").result
    assert torch.equal(wide, 1 - heads) and heads.sum() > masks[1].sum()
    with pytest.raises(ValueError, match="^faces: 'some' is not a list of face indices"):
        FaceMaskNode.execute(CROWD, packs["buffalo_l"], faces="some")
    with pytest.raises(ValueError, match="^faces: index 5 is out of range: picture 0 of image has 2"):
        FaceMaskNode.execute(CROWD, packs["buffalo_l"], faces="5")
