"""Face analyses of other packs that fail, or give something else than InsightFace's faces."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from customenhancer.faces.analysis import embed_faces, find_face
from customenhancer.faces.keypoints import keypoints_of
from customenhancer.faces.similarity import similarity

PICTURE = torch.zeros(64, 64, 3)
BOX = np.array([8.0, 8, 40, 40])


def analysis(get):
    return SimpleNamespace(models={"recognition": object()}, get=get)


@pytest.mark.parametrize(
    "error", [RuntimeError("onnx"), TypeError("bgr"), AssertionError(), cv2.error("resize")], ids=type
)
def test_one_that_fails_is_named(error):
    def get(bgr):
        raise error

    with pytest.raises(ValueError, match=r"^face_analysis: it failed on a picture .* Connect Load Face Analysis"):
        find_face(analysis(get), PICTURE)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError()], ids=type)
def test_memory_errors_are_the_hosts_to_handle(error):
    def get(bgr):
        raise error

    with pytest.raises(type(error)):
        find_face(analysis(get), PICTURE)


@pytest.mark.parametrize("found", [None, 5, [None], [{}], [SimpleNamespace(bbox=None)]], ids=str)
def test_what_is_no_list_of_faces_is_refused(found):
    with pytest.raises(ValueError, match="^face_analysis: (it failed|gives faces without bbox)"):
        find_face(analysis(lambda bgr: found), PICTURE)


def test_each_part_is_asked_for_where_it_is_needed():
    bare = analysis(lambda bgr: [SimpleNamespace(bbox=BOX, kps=None, embedding=None)])
    with pytest.raises(ValueError, match="^face_analysis: gives faces without kps"):
        keypoints_of("image", PICTURE[None], bare, "large-small", 0)
    with pytest.raises(ValueError, match="^face_analysis: gives faces without embedding"):
        embed_faces(bare, PICTURE[None])
    with pytest.raises(ValueError, match="^face_analysis: gives faces without embedding"):
        similarity(bare, PICTURE, torch.ones(512))
