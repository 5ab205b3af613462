"""The InstantID forward flow on the stand-ins: pictures with people that the face models know."""

import torch
from skimage import data
from standins.faces import ASTRONAUT_FACE, FixturePicture, as_image, random_picture, upright_face

GROUP = random_picture(1, 512, 512)
PICTURES = [
    FixturePicture(data.astronaut(), (ASTRONAUT_FACE,)),
    FixturePicture(GROUP, (upright_face(0.2, 0.5, 0.16), upright_face(0.6, 0.3, 0.2))),
]
ASTRONAUT, CROWD = as_image(data.astronaut())[None], as_image(GROUP)[None]
NOBODY = torch.full((1, 512, 512, 3), 0.5)
