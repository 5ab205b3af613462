"""A person read from several pictures, kept in a file, and taken in place of the pictures."""

from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from customenhancer.faces.analysis import detect_faces, load_face_analysis
from customenhancer.faces.person import PersonFace, mean_embedding, read_person, recogniser_name
from customenhancer.faces.person_files import person_contents, read_person_file
from customenhancer.faces.references import chosen_references
from insightface.app.common import Face
from skimage import data
from standins.faces import as_image, random_picture

PERSON = as_image(data.astronaut())[None]
OTHERS = torch.stack([as_image(random_picture(seed, 512, 512)) for seed in (3, 4)])
BUFFALO, ANTELOPE = "w600k_r50", "glintr100"


@pytest.fixture(scope="module")
def packs(all_models):
    return {name: load_face_analysis(name, "CPU") for name in ("buffalo_l", "antelopev2")}


def seen(person, noise=0.0, seed=0, score=1.0, length=20.0):
    embedding = np.random.default_rng(person).normal(size=512)
    embedding = embedding + noise * np.random.default_rng(100 + seed).normal(size=512)
    return Face(embedding=np.float32(length * embedding / np.linalg.norm(embedding)), det_score=np.float32(score))


def unit(vector):
    return np.asarray(vector) / np.linalg.norm(vector)


class TestMean:
    def test_it_is_the_weighted_mean_of_directions_and_lengths(self):
        faces = [
            seen(1, 0.5, seed, score, length) for seed, score, length in ((0, 0.9, 20), (1, 0.5, 24), (2, 0.7, 10))
        ]
        embedding, count = mean_embedding(dict(enumerate(faces)), "reference")
        scores = np.array([0.9, 0.5, 0.7]) / 2.1
        direction = sum(share * unit(each.embedding) for share, each in zip(scores, faces, strict=True))
        np.testing.assert_allclose(unit(embedding), unit(direction), atol=1e-5)
        assert np.linalg.norm(embedding) == pytest.approx(scores @ [20, 24, 10], rel=1e-5) and count == 3

    def test_it_is_nearer_to_the_person_than_one_picture(self):
        person = unit(seen(1).embedding)
        faces = {seed: seen(1, 1.0, seed) for seed in range(6)}
        embedding, _ = mean_embedding(faces, "reference")
        assert unit(embedding) @ person > max(unit(each.embedding) @ person for each in faces.values()) + 0.1

    def test_somebody_else_is_left_out_with_a_warning(self, caplog):
        faces = {0: seen(1, 0.5, 0), 3: seen(2), 4: seen(1, 0.5, 1), 7: seen(1, 0.5, 2)}
        embedding, count = mean_embedding(faces, "reference_images")
        expected, _ = mean_embedding({number: faces[number] for number in (0, 4, 7)}, "reference_images")
        assert torch.equal(embedding, expected) and count == 3
        assert caplog.messages == ["reference_images: picture 3 left out: the face there is unlike the others."]

    def test_of_two_none_is_left_out(self, caplog):
        assert mean_embedding({0: seen(1), 1: seen(2)}, "reference")[1] == 2 and not caplog.messages

    def test_one_picture_is_its_own_embedding_to_the_last_bit(self):
        one = seen(1)
        np.testing.assert_array_equal(mean_embedding({4: one}, "reference")[0].numpy(), one.embedding)

    def test_faces_of_other_packs_have_no_score(self):
        faces = {number: Face(embedding=seen(1, 0.5, number).embedding) for number in range(2)}
        assert mean_embedding(faces, "reference")[1] == 2


class TestReading:
    def test_one_file_serves_both_packs(self, packs):
        face = read_person(packs, PERSON, "large-small", 0, "reference_images")
        assert set(face.embeddings) == {BUFFALO, ANTELOPE} and face.pictures == 1
        for pack, recogniser in (("buffalo_l", BUFFALO), ("antelopev2", ANTELOPE)):
            (found,) = detect_faces(packs[pack], PERSON[0])
            np.testing.assert_array_equal(face.embedding(pack, "this").numpy(), found.embedding)
            assert torch.equal(face.embedding(pack, "this"), face.embeddings[recogniser])

    def test_one_recogniser_twice_is_refused(self, packs):
        twice = {"face_analysis": packs["buffalo_l"], "other_face_analysis": packs["buffalo_l"]}
        with pytest.raises(ValueError, match=r"^other_face_analysis: has the same recogniser, w600k_r50"):
            read_person(twice, PERSON, "large-small", 0, "reference_images")

    def test_a_recogniser_in_half_precision_is_the_same(self):
        half = SimpleNamespace(models={"recognition": SimpleNamespace(model_file="a/w600k_r50_fp16.onnx")})
        assert recogniser_name(half) == BUFFALO

    def test_one_that_does_not_say_what_it_is_is_refused_by_its_input(self, packs):
        unnamed = SimpleNamespace(models={"recognition": object()}, get=packs["antelopev2"].get)
        analyses = {"face_analysis": packs["buffalo_l"], "other_face_analysis": unnamed}
        with pytest.raises(ValueError, match="^other_face_analysis: does not say which file"):
            read_person(analyses, PERSON, "large-small", 0, "reference_images")

    def test_a_face_of_another_recogniser_is_refused(self):
        face = PersonFace({BUFFALO: torch.ones(512)}, 1)
        with pytest.raises(ValueError, match=r"^face: it was read with w600k_r50, but InstantID .*glintr100.*antelope"):
            face.embedding("antelopev2", "InstantID")

    def test_in_place_of_a_reference(self, packs):
        face = read_person({"face_analysis": packs["buffalo_l"]}, PERSON, "large-small", 0, "reference_images")
        (by_face,) = chosen_references(None, face, None, "0", "left-right", "first").identities
        (by_picture,) = chosen_references(packs["buffalo_l"], None, PERSON, "0", "left-right", "first").identities
        np.testing.assert_array_equal(by_face, by_picture)

    def test_neither_is_refused(self, packs):
        with pytest.raises(ValueError, match=r"^reference: is not connected, and neither is face"):
            chosen_references(packs["buffalo_l"], None, None, "0", "left-right", "first")

    def test_all_pictures_of_a_reference(self, packs, caplog):
        pictures = torch.cat([PERSON, OTHERS])
        (mean,) = chosen_references(packs["buffalo_l"], None, pictures, "0", "left-right", "mean").identities
        (first,) = chosen_references(packs["buffalo_l"], None, pictures, "0", "left-right", "first").identities
        assert not np.array_equal(mean, first) and np.linalg.norm(mean) == pytest.approx(1, abs=1e-6)


class TestFiles:
    FACE = PersonFace({BUFFALO: torch.randn(512), ANTELOPE: torch.randn(512)}, 5)

    def write(self, path, tensors=None, metadata=None):
        own = person_contents(self.FACE)
        safetensors.torch.save_file(own[0] if tensors is None else tensors, path, {**own[1], **(metadata or {})})
        return str(path)

    def test_what_is_read_is_what_was_written(self, tmp_path):
        read = read_person_file(self.write(tmp_path / "a.face.safetensors", metadata={"prompt": "{}"}), "face_name")
        assert read.pictures == 5 and set(read.embeddings) == {BUFFALO, ANTELOPE}
        assert all(torch.equal(read.embeddings[name], self.FACE.embeddings[name]) for name in read.embeddings)

    def test_it_holds_no_picture(self, tmp_path):
        assert (tmp_path / self.write(tmp_path / "a.face.safetensors")).stat().st_size < 6000

    @pytest.mark.parametrize(
        ("tensors", "metadata", "fault"),
        [
            ({}, {}, "there is no embedding"),
            ({"embedding.x": torch.ones(2, 512)}, {}, r"x is torch.float32 of shape \(2, 512\)"),
            ({"embedding.x": torch.ones(512, dtype=torch.float16)}, {}, "x is torch.float16"),
            ({"embedding.x": torch.zeros(512)}, {}, "x holds NaN, Inf or nothing but 0"),
            ({"embedding.x": torch.full((512,), float("nan"))}, {}, "x holds NaN"),
            ({"embedding." + "x" * 101: torch.ones(512)}, {}, "name has 101 characters"),
            ({"embedding.x": torch.ones(512)}, {"pictures": "many"}, "pictures is not a number"),
        ],
    )
    def test_a_damaged_file_is_refused(self, tmp_path, tensors, metadata, fault):
        path = self.write(tmp_path / "a.face.safetensors", tensors, metadata)
        with pytest.raises(ValueError, match=rf"^face_name: .* is damaged: .*{fault}.*Save Face"):
            read_person_file(path, "face_name")

    def test_a_file_of_another_version_or_kind_is_refused(self, tmp_path):
        later = self.write(tmp_path / "later.face.safetensors", metadata={"face_format_version": "2"})
        with pytest.raises(ValueError, match=r"^face_name: .*format version '2', .* reads version 1\. Update"):
            read_person_file(later, "face_name")
        safetensors.torch.save_file({"weight": torch.ones(2)}, tmp_path / "other.face.safetensors")
        with pytest.raises(ValueError, match=r"^face_name: .* is not a saved face"):
            read_person_file(str(tmp_path / "other.face.safetensors"), "face_name")
        (tmp_path / "none.face.safetensors").write_bytes(b"<html>404</html>")
        with pytest.raises(ValueError, match=r"^face_name: .* cannot be read"):
            read_person_file(str(tmp_path / "none.face.safetensors"), "face_name")
