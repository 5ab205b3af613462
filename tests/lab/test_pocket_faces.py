"""The pocket world's face models: InsightFace's own classes run their files, and their training examples are right."""

from types import SimpleNamespace

import cv2
import insightface
import insightface.model_zoo.inswapper
import numpy as np
import onnxruntime
import pytest
import torch
from helpers.lab import training_options, training_that_stops_at
from insightface.app.common import Face
from insightface.utils import face_align

from pocket import face_crops, face_models, measure_faces, onnx_file, train_detector, train_recogniser, train_swapper
from pocket.examples import numbered
from pocket.pool import Pool

CPU = ["CPUExecutionProvider"]


def rng(seed=0):
    return np.random.default_rng(seed)


def half_kernels(network):
    """The network as the file keeps it: kernels in float16. Its norms and last layers are no longer at their start."""
    with torch.no_grad():
        for name, values in [*network.named_parameters(), *network.named_buffers()]:
            if name.endswith(("running_mean", "second.weight", "bias")):
                values.add_(0.1 * torch.randn_like(values))
            if name.startswith("who") and name.endswith("weight"):
                values.mul_(4.0)  # so that it shows who is drawn
            if values.ndim > 1:
                values.copy_(values.half())
    return network.eval()


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    made = {
        "recogniser": face_models.Recogniser((8, 8, 12, 16)),
        "detector": face_models.Detector((8, 12, 16), 8),
        "swapper": face_models.Swapper((8, 12, 16), blocks=1, style=16),
    }
    return {name: half_kernels(network) for name, network in made.items()}


@pytest.fixture(scope="module")
def output(networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pocket")
    for pack in train_recogniser.PACKS:
        train_recogniser.export(networks["recogniser"], folder, pack)
    train_detector.export(networks["detector"], folder)
    train_swapper.export(networks["swapper"], folder)
    return folder


@pytest.fixture(scope="module")
def loaded(output):
    return measure_faces.load(output)


def picture(number=1):
    return train_detector.labelled(number)


def test_insightface_recognises_both_packs_and_the_swapper(loaded):
    packs, swapper = loaded
    for analysis in packs.values():
        assert type(analysis.models["recognition"]).__name__ == "ArcFaceONNX"
        assert (analysis.models["recognition"].input_mean, analysis.models["recognition"].input_std) == (127.5, 127.5)
        assert analysis.models["recognition"].input_size == (112, 112)
        detector = analysis.models["detection"]
        assert (detector.fmc, detector._num_anchors, detector.use_kps, detector.batched) == (3, 2, True, False)
        assert detector.static_input_size is None
    assert isinstance(swapper, insightface.model_zoo.inswapper.INSwapper)
    assert swapper.emap.shape == (512, 512) and swapper.input_size == (128, 128)


def test_the_recognisers_file_gives_what_the_network_gives_for_insightfaces_crop(loaded, networks):
    packs, _ = loaded
    pixels, _, points = picture()
    face = Face(kps=points)
    packs["buffalo_l"].models["recognition"].get(measure_faces.bgr(pixels), face)
    ours = networks["recogniser"](face_crops.signed(face_crops.as_input([face_crops.crop(pixels, points, 112)])))
    assert np.linalg.norm(face.embedding) == pytest.approx(512**0.5, rel=1e-3)
    assert np.allclose(face.embedding, ours[0].detach(), atol=0.02)


@pytest.mark.parametrize("side", [128, 320])
def test_the_detectors_file_gives_what_the_network_gives(output, networks, side):
    inputs = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    session = onnxruntime.InferenceSession(output / "insightface/models/buffalo_l/det_10g.onnx", providers=CPU)
    found = session.run(None, {"input.1": inputs.numpy()})
    expected = face_models.SCRFD(networks["detector"]).eval()(inputs)
    for kind, width in enumerate((1, 4, 10)):
        for level, stride in enumerate(face_models.STRIDES):
            one, other = found[3 * kind + level], expected[3 * kind + level].detach().numpy()
            assert one.shape == other.shape == (2 * (side // stride) ** 2, width)
            assert np.allclose(one, other, atol=1e-3)


def test_the_swappers_file_gives_what_the_network_gives_and_its_source_goes_through_emap(loaded, networks):
    _, swapper = loaded
    pixels, _, points = picture()
    embedding = torch.randn(1, 512, generator=torch.Generator().manual_seed(2))
    target, source = Face(kps=points), Face(embedding=embedding[0].numpy())
    drawn, matrix = swapper.get(measure_faces.bgr(pixels), target, source, paste_back=False)
    assert np.allclose(matrix, face_crops.alignment(points, 128), atol=1e-3)
    network = networks["swapper"]
    crop = face_crops.as_input([face_crops.crop(pixels, points, 128)])
    ours = network(crop, network.source(embedding))[0].permute(1, 2, 0).detach().numpy()
    assert np.abs(drawn[..., ::-1] / 255 - ours.clip(0, 1)).max() < 3 / 255
    stranger = network(crop, torch.nn.functional.normalize(embedding))[0].permute(1, 2, 0).detach().numpy()
    assert np.abs(stranger - ours).max() > 10 / 255


def test_a_layer_without_an_onnx_form_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="its layer 0 is a Tanh"):
        onnx_file.write_onnx(torch.nn.Sequential(torch.nn.Tanh()), tmp_path / "x.onnx", {"x": [1]}, {"y": [1]})


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("size", [112, 128])
def test_faces_are_cut_as_insightface_cuts_them(size):
    for number in (1, 2, 3, 5):
        pixels, _, points = picture(number)
        assert np.allclose(face_crops.alignment(points, size), face_align.estimate_norm(points, size), atol=1e-4)
        theirs = face_align.norm_crop(pixels, points, size)
        assert np.abs(face_crops.crop(pixels, points, size).astype(int) - theirs).max() <= 2


def test_a_pool_started_at_a_later_step_gives_the_same_pictures():
    pool = Pool(numbered(int), 10, 2)
    for _ in range(3):
        pool.draw(4, rng())
    later = Pool(numbered(int, start=6), 10, 2)
    assert pool.draw(4, rng(1)) == later.draw(4, rng(1))
    chosen = later.draw(10, rng(2))
    assert sorted(chosen) == list(range(8, 18))


def test_the_views_of_a_person_show_that_person_in_other_scenes_and_none_is_of_the_other_split():
    shown = train_recogniser.views(3, count=3)
    assert len(shown) == 3 and all(points.shape == (5, 2) for _, points in shown)
    assert not np.array_equal(shown[0][0], shown[1][0])
    again = train_recogniser.views(3, count=2)
    assert all(np.array_equal(one, other) for one, other in zip(shown[1], again[1], strict=True))
    held = train_recogniser.views(3, split="heldout", count=1)
    assert not np.array_equal(held[0][0], shown[0][0])
    assert train_recogniser.seen(shown[0], rng()).shape == (112, 112, 3)


def test_a_pair_differs_in_head_and_skin_only_and_the_reference_is_another_picture():
    from pocket.world.identity import SPLITS, sample_identity
    from pocket.world.render import render

    for number in range(4):
        pair = train_swapper.pair(number)
        scene, pose, identity = train_swapper.example(number)
        other = sample_identity(rng([0, SPLITS.index("train"), number, 1]), "train")
        allowed = sum(
            getattr(render(scene, pose, one), f"{part}_mask") for one in (identity, other) for part in ("head", "skin")
        )
        changed = (pair.target != pair.aim).any(axis=2)
        assert changed.any() and not (changed & (allowed == 0)).any()
        assert not np.array_equal(pair.reference, pair.aim)


def test_the_recogniser_gets_the_same_face_from_a_swappers_crop_as_from_the_picture():
    pixels, _, points = picture()
    large, small = (face_crops.as_input([face_crops.crop(pixels, points, size)]) for size in (128, 112))
    assert (train_swapper.recognisers_view(large) - face_crops.signed(small)).abs().max() < 0.05


@pytest.mark.parametrize("number", range(6))
def test_what_counts_as_pasted_of_a_crop_is_what_insightface_pastes(loaded, monkeypatch, number):
    """Of white crops it pastes its mask onto a black picture."""
    _, swapper = loaded
    white = np.ones((1, 3, 128, 128), np.float32)
    monkeypatch.setattr(swapper, "session", SimpleNamespace(run=lambda *_: [white]))
    points = train_swapper.pair(number).keypoints
    faces = Face(kps=points), Face(embedding=np.ones(512, np.float32))
    pasted = swapper.get(np.zeros((128, 128, 3), np.uint8), *faces, paste_back=True)
    expected = face_crops.crop(pasted, points, 128)[..., 0] / 255
    assert 0.05 < expected.mean() < 0.9
    assert np.abs(face_crops.pasted_part(points, 128, 128) - expected).max() < 0.03


def test_the_contrastive_loss_is_least_where_every_person_has_a_direction_of_its_own():
    people = torch.arange(6).repeat_interleave(2)
    apart = torch.eye(6, 512).repeat_interleave(2, dim=0)
    right = train_recogniser.contrastive(apart, people)
    assert right < 1e-2
    assert train_recogniser.contrastive(apart.roll(1, dims=0), people) > right + 5
    assert train_recogniser.contrastive(torch.ones(12, 512), people) == pytest.approx(np.log(11), abs=1e-4)


def perfect(boxes, points, side):
    """The outputs of a detector that knows: logits, boxes and points in strides, at every anchor."""
    place, stride, size = train_detector.anchors(side)
    middle, extent = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt()
    near = ((place - middle[:, None]).abs().amax(2) / stride <= 1) & ((extent[:, None] / size).log2().abs() <= 0.35)
    signs = torch.tensor([-1.0, -1.0, 1.0, 1.0])
    box = torch.nan_to_num((boxes[:, None] - place.repeat(1, 2)) * signs / stride[:, None])
    marks = torch.nan_to_num((points[:, None] - place.repeat(1, 5)) / stride[:, None])
    counts = [2 * (side // step) ** 2 for step in face_models.STRIDES]
    logits = torch.where(near, 12.0, -12.0)[..., None]
    kinds = [each.split(counts, dim=1) for each in (logits, box, marks)]
    return tuple(level.flatten(0, 1) for kind in kinds for level in kind)


def test_a_perfect_detector_has_no_loss_and_each_kind_of_error_has_a_term():
    pictures = [picture(number) for number in (0, 1, 2, 3)]
    inputs, boxes, points = train_detector.batch(pictures, 640, rng())
    assert inputs.shape == (4, 3, 640, 640) and boxes[0].isnan().all() and not boxes[1:].isnan().any()
    right = perfect(boxes, points, 640)
    none = train_detector.losses(right, boxes, points, 640)
    assert all(0 <= float(value) < 1e-3 for value in none.values())
    for kind, name in enumerate(("score", "box", "points")):
        wrong = [each + (0.5 if 3 * kind <= place < 3 * kind + 3 else 0) for place, each in enumerate(right)]
        if name == "score":
            wrong[:3] = [-each for each in right[:3]]
        assert train_detector.losses(tuple(wrong), boxes, points, 640)[name] > none[name] + 0.01


def test_every_face_has_an_anchor_at_the_size_at_which_insightface_shows_it():
    pictures = [one for number in range(1, 60) if (one := picture(number))[1] is not None]
    _, boxes, _ = train_detector.batch(pictures, 640, rng())
    place, stride, size = train_detector.anchors(640)
    middle, extent = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt()
    away = (place - middle[:, None]).abs().amax(dim=2) / stride
    finds = (away <= 1) & ((extent[:, None] / size).log2().abs() <= train_detector.FITS)
    assert finds.any(dim=1).all()


def test_insightface_decodes_the_detectors_outputs_as_the_losses_do():
    """Their decoder, from anchors of their own, finds the box and the points that ours were made from."""
    _, boxes, points = train_detector.batch([picture()], 640, rng())
    outputs = perfect(boxes, points, 640)

    class Known:
        def run(self, names, inputs):
            return [*(each.sigmoid().numpy() for each in outputs[:3]), *(each.numpy() for each in outputs[3:])]

        def get_inputs(self):
            return [SimpleNamespace(name="input.1", shape=[1, 3, "?", "?"])]

        def get_outputs(self):
            return [SimpleNamespace(name=str(place), shape=[None, 1]) for place in range(9)]

    detector = insightface.model_zoo.SCRFD(session=Known())
    found, marks = detector.detect(np.zeros((640, 640, 3), np.uint8), input_size=(640, 640))
    assert len(found) == 1 and np.allclose(found[0, :4], boxes[0], atol=0.1)
    assert np.allclose(marks[0].ravel(), points[0], atol=0.1)


def test_a_mirrored_picture_keeps_its_points_on_the_face():
    pixels, box, points = picture()
    marked = np.zeros_like(pixels)
    for column, row in points.astype(int):
        cv2.circle(marked, (int(column), int(row)), 2, (255, 255, 255), -1)
    other, other_box, other_points = train_detector.mirrored((marked, box, points))
    assert other_points[0, 0] < other_points[1, 0] and other_points[3, 0] < other_points[4, 0]
    assert (other[other_points[:, 1].astype(int), other_points[:, 0].astype(int)] == 255).all()
    assert (other_points > other_box[:2]).all() and (other_points < other_box[2:]).all()


def test_the_swappers_loss_is_least_for_the_target_and_counts_likeness_and_what_changes():
    generator = torch.Generator().manual_seed(0)
    targets = torch.rand(2, 3, 16, 16, generator=generator)
    aims = targets.clone()
    aims[:, :, :8] = torch.rand(2, 3, 8, 16, generator=generator)
    alike, unlike = torch.ones(2), torch.zeros(2)
    assert sum(train_swapper.losses(aims, targets, aims, alike).values()) == 0
    assert train_swapper.losses(aims, targets, aims, unlike)["likeness"] > 0
    outside, inside = aims.clone(), aims.clone()
    inside[:, :, :8] += 0.1
    outside[:, :, 8:] += 0.1
    one, other = (train_swapper.losses(each, targets, aims, alike)["l1"] for each in (inside, outside))
    assert one > 2 * other > 0


def test_a_swapper_keeps_the_picture_bit_for_bit_where_its_mask_is_0(networks):
    swapper = networks["swapper"]
    target, source = torch.rand(1, 3, 128, 128), torch.nn.functional.normalize(torch.randn(1, 512))
    bias = swapper.mask[2].bias
    before = bias.detach().clone()
    with torch.no_grad():
        bias.fill_(-200.0)
        shut = swapper(target, source)
        bias.copy_(before)
        assert torch.equal(shut, target) and not torch.equal(swapper(target, source), target)


@pytest.mark.parametrize("name", ["recogniser", "detector", "swapper"])
def test_a_resumed_training_gives_the_same_weights_as_an_uninterrupted_one(name, networks, tmp_path, monkeypatch):
    module = {"recogniser": train_recogniser, "detector": train_detector, "swapper": train_swapper}[name]
    monkeypatch.setattr(module, "POOL", 5)
    monkeypatch.setattr(module, {"recogniser": "PEOPLE", "detector": "PICTURES", "swapper": "PAIRS"}[name], 3)
    make = {
        "recogniser": lambda: face_models.Recogniser((8, 8, 12, 16)),
        "detector": lambda: face_models.Detector((8, 12, 16), 8),
        "swapper": lambda: face_models.Swapper((8, 12, 16), blocks=1, style=16),
    }[name]

    def train(folder, *stops):
        for stop in stops:
            torch.manual_seed(0)
            network = make()
            known = (networks["recogniser"],) if name == "swapper" else ()
            more = {"pack": "buffalo_l"}
            with monkeypatch.context() as patch:
                taken = training_that_stops_at(stop)
                patch.setattr(module, "Training", taken)
                module.train(network, *known, training_options(folder, 4, **more))
        return network.state_dict()

    whole, parts = train(tmp_path / "whole", 4), train(tmp_path / "parts", 2, 4)
    assert whole.keys() == parts.keys() and all(torch.equal(whole[key], parts[key]) for key in whole)
    torch.manual_seed(0)
    assert any(not torch.equal(whole[key], value) for key, value in make().state_dict().items())


def test_training_the_swapper_without_a_recogniser_says_how_to_get_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="run train_recogniser.py --pack buffalo_l first"):
        train_swapper.trained_recogniser(tmp_path)


def test_detection_and_likeness_count_right_false_and_lost_faces(monkeypatch):
    pixels, _, points = picture()
    empty = picture(0)

    class Finder:
        def __init__(self, boxes):
            self.boxes = np.array(boxes, np.float32).reshape(-1, 5)
            self.det_model = self

        def detect(self, bgr):
            return self.boxes, np.tile(points, (len(self.boxes), 1, 1))

    big = (pixels, np.float32([20, 20, 60, 60]), points)
    right, beside = [20, 20, 60, 60, 0.9], [70, 70, 110, 110, 0.8]
    found = measure_faces.detection(Finder([right]), [big, empty])
    assert (found["recall"], found["false_in_empty"], found["false_beside"]) == (1.0, 1, 0)
    found = measure_faces.detection(Finder([beside]), [big, empty])
    assert (found["recall"], found["false_in_empty"], found["false_beside"]) == (0.0, 1, 1)
    found = measure_faces.detection(Finder([right, beside]), [big])
    assert (found["recall"], found["false_beside"], found["points_off"]) == (1.0, 1, 0.0)

    def face(direction, width=30):
        return Face(bbox=np.float32([0, 0, width, width]), embedding=np.float32(direction))

    seen = {1: face([1, 0]), 2: face([1, 0.1]), 3: face([0, 1]), 4: face([0.1, 1]), 5: face([1, 0.1], width=10)}
    monkeypatch.setattr(measure_faces, "largest", lambda analysis, number: seen.get(number))
    assert measure_faces.likeness(None, [[1, 2], [3, 4]])["order"] == 1
    assert measure_faces.likeness(None, [[1, 3], [2, 4]])["order"] == 0.25
    assert measure_faces.likeness(None, [[1, 2], [3, 4, 5, 6]])["pictures"] == 4


def test_the_round_trip_counts_large_faces_and_a_lost_one_as_unlike(monkeypatch):
    def face(direction, width=40):
        return Face(bbox=np.float32([0, 0, width, width]), embedding=np.float32(direction))

    before = {10: face([1, 0]), 20: face([1, 0]), 30: face([1, 0], width=31), 40: None}
    after = {11: face([1, 1]), 21: None, 31: face([1, 0]), 41: face([1, 0])}
    monkeypatch.setattr(measure_faces, "largest", lambda analysis, pixels: (before | after)[pixels[0, 0, 0]])
    people = [[np.full((2, 2, 3), number, np.uint8) for number in numbers] for numbers in ((10, 20), (30, 40))]
    found = measure_faces.round_trip(None, lambda pictures: (pictures + 1 / 255, None), people)
    assert (found["faces"], found["least"]) == (2, -1) and found["mean"] == pytest.approx((0.5**0.5 - 1) / 2)
