"""PhotoMaker V2's forward flow: faces beside pictures, two tokens each; and the official start of the identity."""

from types import SimpleNamespace

import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_custom_sampler import RandomNoise, SamplerCustomAdvanced
from customenhancer.faces.analysis import embed_faces, load_face_analysis
from customenhancer.faces.person import PersonFace, read_person
from customenhancer.identity.photomaker import load_photomaker
from customenhancer.nodes.flows import TripleFlowGuiderNode
from customenhancer.nodes.photomaker import PhotoMakerForwardFlowNode
from helpers.faces import insightface_folder
from helpers.photomaker_flow import MAN, TEXT, without_need
from helpers.photomaker_references import fuse_reference, identity_reference_v2
from skimage import data
from standins.faces import ASTRONAUT_FACE, FixturePicture, make_face_models, upright_face
from standins.photomaker import encoder_tensors, lora_tensors, make_photomaker, perceiver_tensors
from standins.photomaker_host import sd15_clip, sd15_model, sdxl_model
from transformers import CLIPImageProcessor

MAN_TOKEN, IMG = 786, 24157  # in CLIP's vocabulary
NOBODY = torch.full((1, 224, 224, 3), 0.5)


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """Face analyses by the name of their pack; every picture with something in it shows a face."""
    pictures = [
        FixturePicture(data.astronaut(), (ASTRONAUT_FACE,)),
        FixturePicture(None, (upright_face(0.5, 0.4, 0.4),)),
    ]
    folder = make_face_models(tmp_path_factory.mktemp("models"), pictures)
    with insightface_folder(folder):
        return {pack: load_face_analysis(pack, "CPU") for pack in ("buffalo_l", "antelopev2")}


@pytest.fixture(scope="module")
def parts():
    encoder = {**encoder_tensors(seed=11), **perceiver_tensors(seed=13)}
    return [{key: tensor.float() for key, tensor in part.items()} for part in (encoder, lora_tensors(seed=12))]


@pytest.fixture(scope="module")
def photomaker(parts, tmp_path_factory):
    path = tmp_path_factory.mktemp("flow") / "any_name.bin"
    torch.save({"id_encoder": parts[0], "lora_weights": parts[1]}, path)
    return load_photomaker(str(path))


@pytest.fixture(scope="module")
def model():
    return sdxl_model(seed=21)


@pytest.fixture(scope="module")
def people():
    """Two soft random pictures, 224 x 224, with the 256 levels of a file."""
    noise = torch.rand(2, 3, 7, 7, generator=torch.Generator().manual_seed(41))
    pictures = torch.nn.functional.interpolate(noise, size=224, mode="bicubic").clamp(0, 1)
    return (pictures * 255).round().movedim(1, -1) / 255


@pytest.fixture
def run(model, clip, photomaker, people, packs):
    """The node on the stand-ins; any input may be given another value. Returns model, positive, customization_free."""

    def run(**inputs):
        defaults = {
            **{"model": model, "clip": clip, "photomaker": photomaker, "reference_images": people, "text": TEXT},
            "face_analysis": packs["buffalo_l"],
        }
        return PhotoMakerForwardFlowNode.execute(**{**defaults, **inputs}).result

    return run


@torch.no_grad()
def test_each_picture_fills_two_places_from_the_class_word_on(run, parts, clip, people, packs):
    _, positive, free = run()
    arrays = [(picture * 255).round().byte().numpy() for picture in people]
    pixels = CLIPImageProcessor()(arrays, return_tensors="pt").pixel_values
    faces = torch.stack([torch.from_numpy(packs["buffalo_l"].get(array[..., ::-1])[0].embedding) for array in arrays])
    identity = identity_reference_v2(parts[0], pixels, faces)
    repeated = TEXT.replace("man img", "man man man man")
    cond, extras = clip.encode_from_tokens_scheduled(clip.tokenize(repeated))[0]
    cond[0, MAN : MAN + 4] = fuse_reference(parts[0], cond[0, MAN : MAN + 4], identity)
    torch.testing.assert_close(positive[0][0], cond, rtol=0, atol=1e-4)
    assert torch.equal(positive[0][1]["pooled_output"], extras["pooled_output"])
    stock = clip.encode_from_tokens_scheduled(clip.tokenize(TEXT.replace(" img", "")))
    torch.testing.assert_close(free, stock, rtol=0, atol=0)


def test_the_face_reaches_the_conditioning_by_the_recogniser_as_well(run, people, packs, monkeypatch):
    _, positive, _ = run()
    _, embeddings = embed_faces(packs["buffalo_l"], people)
    swapped = iter(embeddings.flip(0))
    monkeypatch.setattr("customenhancer.identity.photomaker.embedding_of", lambda _: next(swapped))
    _, other, _ = run()
    changed = (positive[0][0] - other[0][0]).abs().amax(-1)[0].nonzero().flatten()
    assert changed.tolist() == [MAN, MAN + 1, MAN + 2, MAN + 3]


def test_pictures_without_a_face_are_dropped_with_one_warning(run, people, caplog):
    expected = run()[1]
    caplog.clear()
    _, positive, _ = run(reference_images=torch.cat([NOBODY, people[:1], NOBODY, people[1:]]))
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "reference_images: no face found in pictures 0, 2, which are left out."
    ]
    torch.testing.assert_close(without_need(positive), without_need(expected), rtol=0, atol=0)


def test_all_560_lora_pairs_have_their_place(run):
    assert len(run()[0].patches) == 560


@pytest.mark.parametrize(
    "text",
    [
        "(a man img, smiling:1.2)",
        "((man img))",
        "man  img",
        "a man\nimg",
        "portrait of a man img",
        "a man img,",
        "a man IMG, in a library",
        r"a man img \(smiling\)",
        "a man man img",
        "café, a man img, ☀",
        "hat " * 73 + "man img",
        "hat " * 90 + "man img, smiling",
    ],
)
def test_the_person_is_placed_at_the_class_word_of_prompts_that_people_write(run, clip, people, text):
    """One picture: the place of the class word, where the host reads it, and the next hold the person."""
    one, other = (run(text=text, reference_images=people[n : n + 1])[1][0][0] for n in (0, 1))
    changed = (one - other).abs().amax(-1)[0].nonzero().flatten().tolist()
    ids = [token for chunk in clip.tokenize(text)["g"] for token, _ in chunk]
    place = ids.index(IMG) - 1
    assert ids[place] == MAN_TOKEN and changed == [place, place + 1]


def test_a_picture_that_has_no_room_for_its_two_places_is_refused(run, people):
    with pytest.raises(ValueError, match=r"^reference_images: they need 2 places .* there are 1\."):
        run(text="hat " * 74 + "man img", reference_images=people[:1])


@pytest.mark.parametrize("start_merge_step", [0, 3, 7])
def test_start_step_is_the_official_start_merge_step_plus_one(run, start_merge_step):
    """Official: a step uses the text-only prompt where its number, from 0, is start_merge_step or less."""
    model, positive, free = run()
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "ddim_uniform", 8)
    noise, empty = RandomNoise.execute(3).result[0], {"samples": torch.zeros(1, 4, 8, 8)}
    flows = []
    for conditioning in (free, positive):
        flow = comfy.samplers.CFGGuider(model)
        flow.set_conds(conditioning, free)
        flow.set_cfg(5.0)
        flows.append(flow)
    euler = comfy.samplers.sampler_object("euler")

    def sample(guider, sigmas, noise, latent):
        return SamplerCustomAdvanced.execute(noise, guider, euler, sigmas, latent).result[0]["samples"]

    joined = TripleFlowGuiderNode.execute(*flows, start_step=start_merge_step + 1).result[0]
    ours = sample(joined, sigmas, noise, empty)

    steps = []

    class Official(comfy.samplers.CFGGuider):
        def predict_noise(self, *args, **kwargs):
            merged = len(steps) > start_merge_step
            steps.append(merged)
            self.conds["positive"] = self.conds["identity" if merged else "text_only"]
            return super().predict_noise(*args, **kwargs)

    official = Official(model)
    official.inner_set_conds({"positive": free, "negative": free, "text_only": free, "identity": positive})
    official.set_cfg(5.0)
    assert torch.equal(ours, sample(official, sigmas, noise, empty))
    assert steps == [False] * (start_merge_step + 1) + [True] * (len(sigmas) - 2 - start_merge_step)


class OtherAnalysis:
    """Another pack's analysis, whose embeddings are 256 wide."""

    models = {"recognition": object()}

    def __init__(self, analysis):
        self.analysis = analysis

    def get(self, bgr):
        faces = self.analysis.get(bgr)
        for face in faces:
            face.embedding = face.embedding[:256]
        return faces


BAD = {
    "no face analysis": (r"^face_analysis: PhotoMaker V2 reads .*Load Face Analysis .*buffalo_l", lambda _: None),
    "antelopev2": (r"^face_analysis: its recogniser is .*glintr100.*buffalo_l", lambda packs: packs["antelopev2"]),
    "another width": (
        r"^face_analysis: its embeddings are 256 wide, and PhotoMaker V2 reads 512",
        lambda packs: OtherAnalysis(packs["buffalo_l"]),
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_face_analysis_that_does_not_fit_is_refused(run, packs, what):
    message, analysis = BAD[what]
    with pytest.raises(ValueError, match=message):
        run(face_analysis=analysis(packs))


def test_no_face_in_any_picture_is_refused(run):
    with pytest.raises(ValueError, match=r"^reference_images: no face found in any of its 2 picture"):
        run(reference_images=NOBODY.repeat(2, 1, 1, 1))


def test_sd15_is_refused(run):
    with pytest.raises(ValueError, match=r"^model: PhotoMaker works with SDXL alone"):
        run(model=sd15_model())
    with pytest.raises(ValueError, match=r"^clip: not the text encoders of SDXL"):
        run(clip=sd15_clip())


def test_v1_does_not_look_at_the_face_analysis(run, tmp_path):
    photomaker = load_photomaker(str(make_photomaker(tmp_path / "v1.bin")))
    with_analysis = run(
        photomaker=photomaker, face_analysis=SimpleNamespace(get=None, models={}), reference_images=NOBODY
    )
    without = run(photomaker=photomaker, face_analysis=None, reference_images=NOBODY)
    torch.testing.assert_close(without_need(with_analysis[1]), without_need(without[1]), rtol=0, atol=0)


def test_a_face_stands_beside_each_picture_in_place_of_its_own(run, people, packs):
    """Read from the same single picture, it is the same to the last bit, and no analysis is needed."""
    one = people[:1]
    face = read_person({"face_analysis": packs["buffalo_l"]}, one, "large-small", 0, "reference_images")
    by_face = run(reference_images=one, face=face, face_analysis=None)
    torch.testing.assert_close(without_need(by_face[1]), without_need(run(reference_images=one)[1]), rtol=0, atol=0)
    of_two, expected = run(face=face, face_analysis=None)[1], run()[1]
    assert of_two[0][0].shape == expected[0][0].shape and not torch.equal(of_two[0][0], expected[0][0])


def test_a_face_that_does_not_fit_is_refused(run, people, packs):
    antelope = read_person({"face_analysis": packs["antelopev2"]}, people, "large-small", 0, "reference_images")
    with pytest.raises(ValueError, match="^face: it was read with glintr100, but PhotoMaker V2 .*w600k_r50"):
        run(face=antelope)
    with pytest.raises(ValueError, match="^face: its embeddings are 8 wide, and PhotoMaker V2 reads 512"):
        run(face=PersonFace({"w600k_r50": torch.ones(8)}, 1))
