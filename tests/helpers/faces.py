"""Face models in the host's folders, and swaps by them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import folder_paths
import pytest
from customenhancer.faces.pasting import Pasting
from customenhancer.faces.swap import Retouch, swap_faces
from customenhancer.nodes.face_swap import FaceSwapNode
from skimage import data
from standins.faces import ASTRONAUT_FACE, FixturePicture, random_picture, upright_face

BOX = Retouch(Pasting("box"))
GROUP = random_picture(1, 480, 640)
PICTURES = [
    FixturePicture(data.astronaut(), (ASTRONAUT_FACE,)),
    FixturePicture(GROUP, (upright_face(0.2, 0.5, 0.16), upright_face(0.5, 0.25, 0.2), upright_face(0.8, 0.45, 0.12))),
    FixturePicture(None, (upright_face(0.5, 0.34, 0.32),)),
]


@contextmanager
def insightface_folder(folder: Path) -> Iterator[None]:
    """`folder` is the only one that the host knows of for insightface's models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(folder_paths.folder_names_and_paths, "insightface", ([str(folder)], set()))
        yield


def swap(picture, targets, sources, swapper, retouch=BOX):
    """`swap_faces` with Faces as sources, pasted as a box unless it is told otherwise."""
    return swap_faces(picture, targets, [face.normed_embedding for face in sources], swapper, retouch)


def face_swap(image, reference, face_analysis, face_swapper, **choices):
    """What the node Face Swap gives: pictures and masks, of a box unless `choices` tell otherwise."""
    return FaceSwapNode.execute(image, face_analysis, face_swapper, reference, **{"paste": "box", **choices})
