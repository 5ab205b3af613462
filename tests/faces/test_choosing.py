"""Which faces are meant, and that each picture is analysed once, whatever is asked of it."""

from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from customenhancer.faces.analysis import detect_faces, load_face_analysis
from customenhancer.faces.choosing import Wanted, each_wanted, wanted_faces
from customenhancer.faces.masks import Shape, face_masks
from customenhancer.faces.references import read_references
from customenhancer.faces.restorers import load_face_restorer
from customenhancer.faces.swap import Retouch, swap_batch
from customenhancer.faces.swappers import load_face_swapper
from helpers.faces import GROUP
from insightface.app.common import Face
from skimage import data
from standins.faces import as_image, random_picture

PERSON = as_image(data.astronaut())[None]
CROWD = as_image(GROUP)[None]


@pytest.fixture(scope="module")
def analysis(all_models):
    return load_face_analysis("buffalo_l", "CPU")


def person(seed, left=0.0, gender=None):
    """A Face of somebody with an embedding of their own, at this left edge."""
    embedding = np.random.default_rng(seed).normal(size=512).astype(np.float32)
    return Face(bbox=np.float32([left, 0, left + 10, 10]), embedding=embedding, gender=gender)


def ask(faces, **choices):
    wanted = Wanted("target_faces", "0", choices.pop("indices", [0]), **choices)
    return wanted.chosen(wanted.counted(faces))


class TestPerson:
    def test_the_nearest_face_is_the_one_whatever_the_numbers_say(self):
        faces = [person(seed, left=10 * seed) for seed in range(4)]
        someone = torch.from_numpy(faces[2].embedding + 0.5 * faces[1].embedding)
        assert ask(faces, person=someone, indices=[3, 0]) == [faces[2]]

    def test_a_stranger_is_nobody(self):
        faces = [person(seed) for seed in range(3)]
        assert ask(faces, person=torch.from_numpy(person(9).embedding)) == []
        assert len(ask(faces, person=torch.from_numpy(person(9).embedding), likeness=-1.0)) == 1

    def test_in_pictures(self, analysis):
        wanted = wanted_faces(analysis, "target_faces", "0", "left-right", CROWD[:, 100:, :, :], 0.3, "any")
        assert wanted.person.shape == (512,)
        crowd = detect_faces(analysis, CROWD[0])
        largest = max(crowd, key=lambda face: np.prod(face.bbox[2:] - face.bbox[:2]))
        exact = Wanted("target_faces", "0", [0], person=torch.from_numpy(largest.embedding))
        (found,) = exact.counted(detect_faces(analysis, CROWD[0]))
        np.testing.assert_array_equal(found.bbox, largest.bbox)

    def test_one_who_is_not_there_is_refused_or_left_out(self, analysis, caplog):
        wanted = wanted_faces(analysis, "target_faces", "0", "left-right", PERSON, 0.99, "any")
        with pytest.raises(ValueError, match=r"^person: nobody in picture 0 of image is like them.*person_likeness"):
            list(each_wanted(analysis, CROWD, wanted, "error", "", ""))
        ((_, _, chosen),) = each_wanted(analysis, CROWD, wanted, "pass_through", "", "Done.")
        assert chosen == [] and caplog.messages[-1] == "person: Picture 0 of image did not show them. Done."


class TestGender:
    def test_others_are_not_counted(self):
        faces = [person(0, 0, 1), person(1, 10, 0), person(2, 20, 1), person(3, 30, 0)]
        assert ask(faces, gender="women", indices=[0, 1]) == [faces[1], faces[3]]
        assert ask(faces, gender="men", indices=None) == [faces[0], faces[2]]
        assert ask(faces, gender="any", indices=[1]) == [faces[1]]

    def test_a_person_among_them(self):
        faces = [person(0, 0, 1), person(1, 10, 0)]
        someone = torch.from_numpy(faces[0].embedding)
        assert (
            ask(faces, gender="men", person=someone) == [faces[0]] and ask(faces, gender="women", person=someone) == []
        )

    def test_a_picture_without_any_is_refused_by_name(self):
        analysis = SimpleNamespace(get=lambda bgr: [person(0, 0, 1), person(1, 10, 1)])
        picture = as_image(random_picture(1, 64, 64))[None]
        wanted = Wanted("faces", "0", [0], gender="women")
        with pytest.raises(ValueError, match=r"^gender: none of the 2 face\(s\) in picture 0 of image is among women"):
            list(each_wanted(analysis, picture, wanted, "error", "", ""))
        wanted = Wanted("faces", "2", [2], gender="men")
        with pytest.raises(ValueError, match="picture 0 of image, of men only, has 2 face"):
            list(each_wanted(analysis, picture, wanted, "error", "", ""))

    def test_an_analysis_that_does_not_tell_is_refused(self):
        with pytest.raises(ValueError, match=r"^gender: is men, but this face_analysis does not tell.*genderage"):
            ask([person(0)], gender="men")

    def test_as_insightface_finds_it(self, analysis):
        blue, red = (as_image(random_picture(3, 512, 512)) * torch.tensor(tint) for tint in ((0.3, 1, 1), (1, 1, 0.3)))
        (man,), (woman,) = (detect_faces(analysis, picture) for picture in (blue, red))
        assert (man.gender, woman.gender) == (1, 0)
        assert ask([man], gender="women", indices=None) == []


class Counting:
    """A face analysis, or a model, whose calls are counted."""

    def __init__(self, inner):
        self.inner, self.calls = inner, 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def get(self, *args, **kwargs):
        self.calls += 1
        return self.inner.get(*args, **kwargs)


class CountingSession(Counting):
    def run(self, *args):
        self.calls += 1
        return self.inner.run(*args)


def test_calls_of_each_model_for_each_picture(analysis, all_models, measured):
    """One analysis for each picture, one call of swapper and restorer for each face."""
    analysis, swapper = Counting(analysis), load_face_swapper("inswapper_128.onnx", "CPU")
    restorer = load_face_restorer("gfpgan_1.4.onnx", provider="CPU")
    swapper.session, restorer.session = CountingSession(swapper.session), CountingSession(restorer.session)
    references = read_references(analysis, PERSON)
    assert analysis.calls == 1
    pictures = CROWD.expand(4, -1, -1, -1)
    wanted = Wanted("target_faces", "all", None)
    swap_batch(pictures, references, analysis, swapper, wanted, Retouch(restorer=restorer))
    counts = analysis.calls - 1, swapper.session.calls, restorer.session.calls
    assert counts == (4, 12, 12)
    for model, calls in zip(("analysis", "swapper", "restorer"), counts, strict=True):
        measured(f"calls of {model} for 4 pictures with 3 faces each", calls)
    face_masks(pictures, analysis, wanted, Shape(), "error")
    assert analysis.calls == 9


def test_faces_without_points_are_refused_by_name():
    """As another pack's analysis may find them."""
    analysis = SimpleNamespace(get=lambda bgr: [person(0)])
    wanted = Wanted("faces", "0", [0])
    with pytest.raises(ValueError, match="^face_analysis: gives faces without kps"):
        face_masks(as_image(random_picture(1, 64, 64))[None], analysis, wanted, Shape(), "error")


def test_with_the_mean_of_a_reference_each_picture_is_analysed_once(analysis):
    analysis = Counting(analysis)
    read_references(analysis, CROWD.expand(3, -1, -1, -1), "0,1,2", pictures="mean")
    assert analysis.calls == 3


def test_a_4k_picture_is_analysed_at_the_detectors_size_and_pasted_at_its_own(analysis, all_models, monkeypatch):
    seen = []

    def run(session, names, feed):
        seen.extend(value.shape for value in feed.values() if value.ndim == 4)
        return original(session, names, feed)

    references, swapper = read_references(analysis, PERSON), load_face_swapper("inswapper_128.onnx", "CPU")
    original = onnxruntime.InferenceSession.run
    monkeypatch.setattr(onnxruntime.InferenceSession, "run", run)
    scene = as_image(random_picture(3, 2160, 3840))[None]
    wanted = Wanted("target_faces", "0", [0])
    swapped, mask = swap_batch(scene, references, analysis, swapper, wanted, Retouch())
    assert len(seen) >= 4 and max(max(shape) for shape in seen) == 640
    assert swapped.shape == scene.shape and mask.shape == scene.shape[:3] and mask.max() > 0.99
    assert torch.equal(swapped[mask == 0], scene[mask == 0])
