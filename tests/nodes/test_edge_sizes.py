"""Pictures of any size that a graph can make: one pixel, one row, far too long, or none in which a face could be."""

from types import SimpleNamespace

import pytest
import torch
from customenhancer.faces.analysis import LEAST_SIDE, MOST_OBLONG, detect_faces
from customenhancer.faces.pictures import centre
from customenhancer.faces.swappers import Inswapper
from customenhancer.nodes.faces import FaceKeypointsNode
from customenhancer.nodes.identity_similarity import IdentitySimilarityNode
from customenhancer.nodes.sweeps import ContactSheetNode
from helpers.faces import face_swap
from helpers.instantid_flow import ASTRONAUT
from helpers.photomaker_flow import run_photomaker

pytestmark = pytest.mark.usefixtures("temporary_folder")

SIZES = [(1, 1), (1, 700), (700, 1), (7, 7), (8, 4096), (4096, 8)]
EACH_SIZE = pytest.mark.parametrize("size", SIZES, ids=str)


def flat(size, channels=3):
    return torch.full((1, *size, channels), 0.5)


@EACH_SIZE
def test_no_face_is_found_in_it(size, packs):
    """The stand-in detector finds one in every picture that it is given."""
    for channels in (3, 4):
        assert detect_faces(packs["buffalo_l"], flat(size, channels)[0]) == []
    with pytest.raises(ValueError, match=r"^image: no face found in picture 0"):
        FaceKeypointsNode.execute(flat(size), packs["buffalo_l"])


@pytest.mark.parametrize("size", [(LEAST_SIDE, LEAST_SIDE), (LEAST_SIDE, LEAST_SIDE * MOST_OBLONG)])
def test_from_the_least_size_on_the_detector_is_asked(size, packs):
    asked = []
    detect_faces(SimpleNamespace(get=lambda bgr: asked.append(bgr.shape) or []), flat(size)[0])
    assert asked == [(*size, 3)]
    detect_faces(packs["buffalo_l"], flat(size)[0])  # and can scale it


@EACH_SIZE
def test_it_passes_through_a_face_swap(size, packs):
    swapper = Inswapper.__new__(Inswapper)  # never asked, so without a file
    given = flat(size)
    swapped, mask = face_swap(given, ASTRONAUT, packs["buffalo_l"], swapper, no_face="pass_through").result
    assert torch.equal(swapped, given) and mask.shape == (1, *size) and not mask.any()


@EACH_SIZE
def test_it_counts_as_no_face_in_the_similarity(size, packs):
    found, captioned = IdentitySimilarityNode.execute(
        flat(size), ASTRONAUT, packs["buffalo_l"], no_face="pass_through"
    ).result
    assert found == 0 and captioned.shape[2] == size[1] and torch.isfinite(captioned).all()


@EACH_SIZE
def test_it_stands_on_a_contact_sheet(size):
    sheet = ContactSheetNode.execute([flat(size), flat((8, 8), 4)], ["one", "two"]).result[0]
    assert torch.isfinite(sheet).all()


@EACH_SIZE
def test_photomaker_reads_its_middle(size, photomaker, sdxl, clip):
    positive = run_photomaker(sdxl, clip, photomaker, flat(size))[1]
    assert torch.isfinite(positive[0][0]).all()


def test_the_middle_of_an_oblong_picture_is_all_that_the_centre_square_needs():
    picture = torch.rand(1, 3, 101, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(centre(picture), picture[:, :, 38:62])
    assert torch.equal(centre(picture.movedim(1, 2)), picture[:, :, 38:62].movedim(1, 2))
    assert torch.equal(centre(picture[:, :, :20]), picture[:, :, :20])
