"""People keep their numbers over the frames of a video, in whatever order they are found."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from customenhancer.faces.choosing import Wanted, each_wanted
from customenhancer.faces.references import References
from customenhancer.faces.swap import Retouch, swap_batch
from customenhancer.faces.tracking import Tracks
from insightface.app.common import Face


def face(person, x, y=100.0, size=40.0, noise=0.0, seed=0):
    """Somebody's Face at (x, y). noise: how unlike themselves they are in this frame."""
    embedding = np.random.default_rng(person).normal(size=512)
    embedding = embedding + noise * np.random.default_rng(1000 + seed).normal(size=512)
    box = np.float32([x - size / 2, y - size / 2, x + size / 2, y + size / 2])
    return Face(bbox=box, kps=np.zeros((5, 2), np.float32), embedding=embedding.astype(np.float32), who=person)


def who(faces):
    return [None if each is None else each.who for each in faces]


def test_two_who_cross_keep_their_numbers():
    tracks = Tracks("left-right")
    for frame in range(60):
        faces = [face(1, 50 + 6 * frame, seed=frame, noise=0.8), face(2, 404 - 6 * frame, seed=99 + frame, noise=0.8)]
        order = np.random.default_rng(frame).permutation(2)
        assert who(tracks.follow([faces[index] for index in order])) == [1, 2]


def test_one_who_leaves_keeps_a_place_and_gets_it_back():
    tracks = Tracks("left-right")
    assert who(tracks.follow([face(1, 100), face(2, 300)])) == [1, 2]
    assert who(tracks.follow([face(2, 310)])) == [None, 2]
    assert who(tracks.follow([])) == [None, None]
    assert who(tracks.follow([face(2, 330), face(1, 340)])) == [1, 2]


def test_one_who_is_new_comes_after_those_who_were_there():
    tracks = Tracks("left-right")
    tracks.follow([face(2, 200)])
    assert who(tracks.follow([face(3, 50), face(2, 210), face(1, 20)])) == [2, 1, 3]


def test_a_stranger_in_somebodys_place_is_somebody_else():
    tracks = Tracks("left-right")
    tracks.follow([face(1, 100)])
    assert who(tracks.follow([face(2, 100)])) == [None, 2]


def test_two_alike_are_told_by_where_they_are():
    tracks = Tracks("left-right")
    for frame in range(20):
        twins = [face(1, 100 + frame, noise=0.6, seed=2 * frame), face(1, 260 - frame, noise=0.6, seed=2 * frame + 1)]
        twins[0]["who"], twins[1]["who"] = "left", "right"
        assert who(tracks.follow(twins[:: 1 if frame % 2 else -1])) == ["left", "right"]


class TestInPictures:
    FRAMES = torch.zeros(3, 64, 64, 3) + torch.linspace(0, 1, 64)[:, None]

    def analysis(self):
        """A FACEANALYSIS for FRAMES: two who change sides, then one alone."""
        frames = [[face(1, 10), face(2, 50)], [face(2, 12), face(1, 52)], [face(2, 30)]]

        class Analysis:
            def get(self, bgr):
                return frames.pop(0)

        return Analysis()

    def chosen(self, no_face, **choices):
        wanted = Wanted("target_faces", "0", choices.pop("indices", [0]), **choices)
        return [who(faces) for _, _, faces in each_wanted(self.analysis(), self.FRAMES, wanted, no_face, "", "")]

    def test_it_is_off_unless_it_is_wanted(self):
        assert self.chosen("error") == [[1], [2], [2]]
        assert self.chosen("pass_through", follow=True) == [[1], [1], [None]]
        assert self.chosen("pass_through", follow=True, indices=None) == [[1, 2], [1, 2], [None, 2]]
        assert self.chosen("error", follow=True, indices=[1]) == [[2], [2], [2]]

    def test_one_who_is_not_there_needs_no_reference(self, monkeypatch, caplog):
        """Three people come by, two at a time, and two references go to the first two of them."""
        frames = [[face(1, 10), face(2, 50)], [face(1, 12), face(3, 52)], [face(2, 30), face(1, 12)]]
        swaps = []
        monkeypatch.setattr(
            "customenhancer.faces.swap.swap_faces",
            lambda picture, faces, sources, *_: swaps.append((who(faces), list(sources))) or (picture, 0),
        )
        analysis = SimpleNamespace(get=lambda bgr: frames.pop(0))
        wanted = Wanted("target_faces", "all", None, follow=True)
        references = References(["a", "b"], "0,1")
        swap_batch(self.FRAMES, references, analysis, None, wanted, Retouch(), no_face="pass_through")
        assert swaps == [([1, 2], ["a", "b"]), ([1], ["a"]), ([1, 2], ["a", "b"])]
        assert [message for message in caplog.messages if "fewer" in message] == [
            "reference_faces: '0,1', which are fewer than the faces in picture 1 of image. The other faces were left "
            "unchanged."
        ]

    def test_one_who_has_left_is_refused(self):
        with pytest.raises(ValueError, match=r"^target_faces: one of them is not in picture 2 of image.*pass_through"):
            self.chosen("error", follow=True)
