"""FID against closed forms and torchmetrics' own path, and Inception's pools against TensorFlow's, written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.linalg import sqrtm
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from intervals import interval
from paper import inception
from paper.cache import Cache
from paper.fid import Distance, fid_metric, score
from paper.measure import measure
from paper.metric import LOWER
from paper.records import Record
from paper.weights import INCEPTION, MissingError, Weights


def standardised(count, dimensions, seed):
    """Numbers whose mean is 0 and whose sample covariance is the unit matrix, exactly."""
    values = np.random.default_rng(seed).normal(size=(count, dimensions))
    values -= values.mean(0)
    return values @ np.linalg.inv(np.linalg.cholesky(np.cov(values.T))).T


def gaussian(count, mean, root, seed):
    """Features whose sample mean is `mean` and whose sample covariance is root @ root.T."""
    return standardised(count, len(mean), seed) @ np.asarray(root).T + mean


class TestDistance:
    def test_between_gaussians_with_diagonal_covariances_it_is_the_closed_form(self):
        mean, other = np.array([1.0, -2.0, 0.5]), np.array([0.0, 1.0, 0.5])
        spread, other_spread = np.array([1.0, 2.0, 0.1]), np.array([3.0, 0.5, 0.2])
        expected = ((mean - other) ** 2).sum() + ((spread - other_spread) ** 2).sum()
        real = gaussian(50, mean, np.diag(spread), 0)
        found = Distance(real).to(gaussian(40, other, np.diag(other_spread), 1))
        assert found == pytest.approx(expected, rel=1e-6)

    def test_between_any_gaussians_it_is_the_one_with_the_matrix_root(self):
        rng = np.random.default_rng(2)
        roots = rng.normal(size=(2, 4, 4))
        one, other = (root @ root.T for root in roots)
        expected = 9 + np.trace(one + other - 2 * sqrtm(one @ other).real)
        distance = Distance(gaussian(30, [0.0] * 4, roots[0], 3))
        assert distance.to(gaussian(30, [1.5] * 4, roots[1], 4)) == pytest.approx(expected, rel=1e-6)

    def test_a_set_is_at_no_distance_from_itself(self):
        features = gaussian(30, [1.0, 2.0], np.eye(2), 0)
        distance = Distance(features)
        assert distance.to(features + 3) == pytest.approx(18)
        assert distance.to(features) == pytest.approx(0, abs=1e-9)  # what came before is forgotten


class TestScore:
    def test_the_total_is_of_all_pictures_and_pseudo_values_follow_from_leaving_people_out(self):
        distance = Distance(gaussian(50, [0.0, 0.0], np.eye(2), 0))
        drawn = {name: gaussian(5, [float(number), 0.0], np.eye(2), 1 + number) for number, name in enumerate("abc")}
        found = score(distance, drawn)
        assert found.total == pytest.approx(distance.to(np.concatenate(list(drawn.values()))))
        without_b = distance.to(np.concatenate([drawn["a"], drawn["c"]]))
        assert found.of_identity["b"] == pytest.approx(3 * found.total - 2 * without_b)

    def test_one_person_has_the_whole(self):
        found = score(Distance(gaussian(50, [0.0, 0.0], np.eye(2), 0)), {"a": gaussian(5, [1.0, 0.0], np.eye(2), 1)})
        assert found.of_identity == {"a": found.total} and found.total == pytest.approx(1)

    def test_their_spread_is_that_of_the_fid_over_new_people(self, measured):
        """The standard error from one sample of people is about the standard deviation over many samples."""
        distance = Distance(gaussian(400, [0.0, 0.0], np.eye(2), 0))

        def people(rng):
            return {str(n): rng.normal(size=(4, 2)) + rng.normal(size=2) + [3, 0] for n in range(40)}

        rng = np.random.default_rng(1)
        totals = [distance.to(np.concatenate(list(people(rng).values()))) for _ in range(60)]
        widths = []
        for _ in range(3):
            found = interval(list(score(distance, people(rng)).of_identity.values()))
            widths.append((found["high"] - found["low"]) / (2 * 1.96))
        ratio = np.mean(widths) / np.std(totals, ddof=1)
        measured("FID's standard error by pseudo-values, over the one of repeated samples", ratio)
        assert 0.7 < ratio < 1.4


class Means(nn.Module):
    """In the place of Inception: the mean of each channel of a picture of 0 .. 1, enlarged."""

    num_features = 3

    def forward(self, pictures):
        return 100 * pictures.mean(dim=(2, 3))


@pytest.fixture
def pictures(tmp_path):
    """Records of two people with three pictures each, and four photographs, of flat colours."""
    rng = np.random.default_rng(0)

    def picture(name):
        path = tmp_path / f"{name}.png"
        Image.new("RGB", (16, 8), tuple(map(int, rng.integers(0, 256, 3)))).save(path)
        return path

    records = [Record("m", identity, n, 0, picture(f"{identity}{n}")) for identity in "ab" for n in range(3)]
    return records, [picture(f"real{n}") for n in range(4)]


class TestMetric:
    def test_it_is_what_torchmetrics_finds_on_the_same_pictures(self, pictures, tmp_path):
        records, photographs = pictures
        metric = fid_metric(Weights(), photographs, Cache(tmp_path / "kept.sqlite"), "cpu", features=Means())
        rows = measure(records, [metric], Cache(tmp_path / "kept.sqlite"), quiet=True)
        whole = FrechetInceptionDistance(feature=Means(), normalize=True).set_dtype(torch.float64)
        for paths, real in ((photographs, True), ([record.picture for record in records], False)):
            for path in paths:
                pixels = np.asarray(Image.open(path), np.float32) / 255
                whole.update(torch.from_numpy(pixels).movedim(-1, 0)[None], real=real)
        assert rows[-1]["identity"] is None and metric.better == LOWER
        assert rows[-1]["values"]["fid"] == pytest.approx(whole.compute().item(), rel=1e-5)
        assert {row["identity"] for row in rows if row["prompt"] is None} == {"a", "b", None}

    def test_without_photographs_it_is_refused_with_their_source(self, tmp_path):
        with pytest.raises(MissingError, match="FID: .*--human-art.*https://idea-research.github.io/HumanArt/"):
            fid_metric(Weights(), [], Cache(tmp_path / "kept.sqlite"), "cpu", features=Means())

    def test_without_inceptions_weights_it_is_refused(self, pictures, tmp_path):
        with pytest.raises(MissingError, match=f"FID: {INCEPTION.name} .*Source: {INCEPTION.source}"):
            fid_metric(Weights(tmp_path), pictures[1], Cache(tmp_path / "kept.sqlite"), "cpu")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = inception.Inception()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network


class TestInception:
    @pytest.mark.parametrize("name", ["Mixed_5b", "Mixed_5d", "Mixed_6b", "Mixed_6e", "Mixed_7b"])
    def test_averages_count_no_padding(self, network, name):
        block = network.network.get_submodule(name)
        x = torch.randn(1, block.branch1x1.conv.in_channels, 5, 6)
        ones = torch.ones(1, 1, 3, 3)
        sums = F.conv2d(x.movedim(0, 1), ones, padding=1).movedim(0, 1)
        counts = F.conv2d(torch.ones(1, 1, 5, 6), ones, padding=1)
        conv = block.branch_pool
        pooled = F.relu(conv.bn(F.conv2d(sums / counts, conv.conv.weight)))
        torch.testing.assert_close(block(x)[:, -pooled.shape[1] :], pooled, rtol=1e-4, atol=1e-5)

    def test_the_last_block_takes_the_maximum(self, network):
        block = network.network.Mixed_7c
        x = torch.randn(1, 2048, 4, 4)
        padded = F.pad(x, (1, 1, 1, 1), value=-torch.inf)
        pooled = torch.stack([padded[..., i : i + 4, j : j + 4] for i in range(3) for j in range(3)]).amax(dim=0)
        conv = block.branch_pool
        expected = F.relu(conv.bn(F.conv2d(pooled, conv.conv.weight)))
        torch.testing.assert_close(block(x)[:, -expected.shape[1] :], expected, rtol=1e-4, atol=1e-5)

    def test_a_picture_becomes_2048_features_whatever_its_size(self, network):
        flat = torch.full((1, 3, 40, 40), 0.5)
        features = network(flat)
        assert features.shape == (1, inception.FEATURES)
        torch.testing.assert_close(network(torch.full((1, 3, 333, 70), 0.5)), features)

    def test_it_reads_the_published_layout(self, network, tmp_path):
        """The file has TensorFlow's 1008 classes and no auxiliary head."""
        tensors = {key: value for key, value in network.state_dict().items() if key.startswith("network.")}
        tensors = {key.removeprefix("network."): value for key, value in tensors.items()}
        tensors |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
        torch.save(tensors, tmp_path / "weights.pth")
        flat = torch.full((1, 3, 40, 40), 0.25)
        torch.testing.assert_close(inception.Inception(tmp_path / "weights.pth")(flat), network(flat))
