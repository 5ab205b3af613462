"""Faces kept apart over the frames of a video: each person keeps a number, in whatever order they are found."""

from dataclasses import dataclass, field

import numpy as np

from .analysis import check_part, sort_faces
from .outline import face_side

SAME_PERSON = 0.25  # cosine from which on two faces may be one person's
MOVE = 0.5  # what a move by a face's own size counts against likeness
FAR = 3.0  # sizes that nobody moves from one frame to the next, unless the likeness is certain
CERTAIN = 0.5
NOBODY = -1e3  # less than any likeness and move can come to


@dataclass
class Tracks:
    """The people seen so far. order: one of FACE_ORDERS, in which those of a frame who are new are counted."""

    order: str
    last: list = field(default_factory=list)  # the last Face of each

    def follow(self, faces: list) -> list:
        """The faces of the next frame, by person: None where someone is not in it. People who are new are added."""
        for face in faces:
            check_part(face, "embedding", axes=1)
        placed = [None] * len(self.last)
        new = list(faces)
        if self.last and faces:
            from scipy.optimize import linear_sum_assignment

            scores = np.array([[_belongs(before, face) for face in faces] for before in self.last])
            for person, number in zip(*linear_sum_assignment(scores, maximize=True), strict=True):
                if scores[person, number] > NOBODY:
                    placed[person] = faces[number]
            new = [face for face in faces if not any(face is each for each in placed)]
        placed += sort_faces(new, self.order)
        self.last = [
            face if face is not None else before
            for face, before in zip(placed, self.last + placed[len(self.last) :], strict=True)
        ]
        return placed


def _belongs(before, face) -> float:
    """How well a face continues a person's last one; NOBODY if it cannot be theirs."""
    likeness = float(
        np.dot(before.embedding, face.embedding)
        / (np.linalg.norm(before.embedding) * np.linalg.norm(face.embedding) + 1e-12)
    )
    centres = [(np.asarray(each.bbox[:2], float) + np.asarray(each.bbox[2:4], float)) / 2 for each in (before, face)]
    moved = float(np.linalg.norm(centres[0] - centres[1])) / face_side(before)
    if likeness < SAME_PERSON or (moved > FAR and likeness < CERTAIN):
        return NOBODY
    return likeness - MOVE * min(moved, FAR)
