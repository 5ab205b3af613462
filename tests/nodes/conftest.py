"""Fixtures of the nodes' tests."""

import latent_preview
import pytest
import torch
from customenhancer.faces.analysis import load_face_analysis
from customenhancer.identity.instantid import load_instantid
from customenhancer.identity.photomaker import load_photomaker
from customenhancer.nodes.instantid import InstantIDForwardFlowNode
from helpers.faces import insightface_folder
from helpers.instantid_flow import ASTRONAUT, PICTURES
from standins.faces import make_face_models
from standins.instantid import instantid_tensors
from standins.instantid_host import sdxl_control_net, text
from standins.photomaker import encoder_tensors, lora_tensors
from standins.photomaker_host import sdxl_clip, sdxl_model


@pytest.fixture
def previews(monkeypatch):
    """Every latent that the host would show, in the model's space as its previewers take it."""
    shown = []

    class Previewer(latent_preview.LatentPreviewer):
        def decode_latent_to_preview_image(self, preview_format, x0):
            shown.append(x0.clone())

    monkeypatch.setattr(latent_preview, "get_previewer", lambda device, latent_format: Previewer())
    return shown


@pytest.fixture(scope="module")
def sdxl():
    """A MODEL that InstantID's adapter fits."""
    return sdxl_model(seed=1)


@pytest.fixture(scope="module")
def clip():
    """A CLIP of SDXL's two text encoders."""
    return sdxl_clip(seed=31)


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """Face analyses by the name of their pack."""
    folder = make_face_models(tmp_path_factory.mktemp("models"), PICTURES)
    with insightface_folder(folder):
        return {pack: load_face_analysis(pack, "CPU") for pack in ("antelopev2", "buffalo_l")}


@pytest.fixture(scope="module")
def instantid(tmp_path_factory):
    """What InstantID's loader gives."""
    parts = instantid_tensors(seed=2)
    # Louder than at random, so that the face shows in the picture.
    parts["ip_adapter"] = {key: tensor.float() * 4 for key, tensor in parts["ip_adapter"].items()}
    path = tmp_path_factory.mktemp("instantid") / "ip-adapter.bin"
    torch.save(parts, path)
    return load_instantid(str(path))


@pytest.fixture(scope="module")
def identity_net():
    """InstantID's ControlNet."""
    return sdxl_control_net(seed=3)


@pytest.fixture
def run_instantid(sdxl, instantid, identity_net, packs):
    """InstantID's node on the stand-ins; any input may be given another value.

    Returns model, positive, negative, keypoints.
    """

    def run(**inputs):
        defaults = {
            "model": sdxl,
            "positive": text(1),
            "negative": text(2),
            "instantid": instantid,
            "control_net": identity_net,
            "face_analysis": packs["antelopev2"],
            "reference_images": ASTRONAUT,
        }
        return InstantIDForwardFlowNode.execute(**{**defaults, **inputs}).result

    return run


@pytest.fixture(scope="module")
def photomaker_parts():
    """The two parts of a PhotoMaker file, in float32."""
    encoder, lora = encoder_tensors(seed=11), lora_tensors(seed=12)
    return [{key: tensor.float() for key, tensor in part.items()} for part in (encoder, lora)]


@pytest.fixture(scope="module")
def photomaker(photomaker_parts, tmp_path_factory):
    """What PhotoMaker's loader gives."""
    path = tmp_path_factory.mktemp("flow") / "photomaker-v1.bin"
    torch.save({"id_encoder": photomaker_parts[0], "lora_weights": photomaker_parts[1]}, path)
    return load_photomaker(str(path))


@pytest.fixture(scope="module")
def people():
    """Three soft random pictures, 224 x 224, with the 256 levels of a file."""
    noise = torch.rand(3, 3, 7, 7, generator=torch.Generator().manual_seed(41))
    pictures = torch.nn.functional.interpolate(noise, size=224, mode="bicubic").clamp(0, 1)
    return (pictures * 255).round().movedim(1, -1) / 255
