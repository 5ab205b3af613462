"""ReNoise's regularisation: its sums against torch.distributions and an FFT, what it does to noise, its rules."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from customenhancer.baselines.noise_regularisation import correlation, patch_kl, regularised
from customenhancer.baselines.renoise import renoise_inversion
from customenhancer.nodes.baselines import ReNoiseInversionNode
from helpers.functions import ascending_schedule, model_picture
from helpers.guiders import CountedGuider, flow_of
from helpers.sampling import picture, schedule
from standins.analytic import chaotic_model, gaussian_model, guider
from torch.distributions import Normal, kl_divergence


def noise(seed, batch=1, size=32):
    return torch.randn(batch, 4, size, size, generator=torch.Generator().manual_seed(seed))


def smooth(seed, batch=1):
    """Noise whose neighbours are alike."""
    return F.avg_pool2d(F.pad(noise(seed, batch), (2, 2, 2, 2), mode="circular"), 5, stride=1) * 5


def patches(x):
    """(B, C, patches, 16), cut by hand."""
    cut = [x[..., i : i + 4, j : j + 4].flatten(2) for i, j in itertools.product(range(0, x.shape[2], 4), repeat=2)]
    return torch.stack(cut, dim=2)


def autocorrelation(x):
    """Of each place with the one a shift (i, j) further, the mean over the places; circular, (B, C, H, W) of shifts."""
    return torch.fft.ifft2(torch.fft.fft2(x).abs() ** 2).real / x[0, 0].numel()


def test_patches_are_compared_as_gaussians():
    eps, other = noise(1, batch=2) * 1.3 + 0.2, noise(2, batch=2)
    ours, theirs = (Normal(cut.mean(-1), (cut.var(-1) + 1e-6).sqrt()) for cut in (patches(eps), patches(other)))
    torch.testing.assert_close(patch_kl(eps, other), 2 * kl_divergence(ours, theirs).sum(), rtol=1e-4, atol=1e-3)
    assert patch_kl(eps, eps).abs() < 1e-3


@pytest.mark.parametrize("shift", [1, 3])
def test_correlation_is_that_of_an_fft_at_every_level(shift):
    x, expected = smooth(3, batch=2), 0
    for level in (x, F.avg_pool2d(x, 2), F.avg_pool2d(F.avg_pool2d(x, 2), 2)):
        of_shifts = autocorrelation(level)
        expected = expected + (of_shifts[..., shift, 0] ** 2 + of_shifts[..., 0, shift] ** 2).sum()
    torch.testing.assert_close(correlation(x, lambda n: shift - 1), expected, rtol=1e-3, atol=1e-4)


def test_every_shift_that_is_asked_for_is_between_two_places():
    """Half a side at most: the circle is as far as that."""
    asked = []
    correlation(noise(4), lambda n: asked.append(n) or n - 1)
    assert asked == [16, 8, 4]


def test_each_step_takes_correlation_away_and_brings_the_references_statistics_nearer(measured):
    """Correlation of neighbours relative to the variance, so that shrinking alone is no gain."""
    eps, known, neighbours, distances = smooth(5), noise(6), [], []
    for steps in (0, 1, 4, 16):
        result = regularised(eps, known, steps, torch.Generator().manual_seed(0))
        of_shifts = autocorrelation(result)
        neighbours.append((of_shifts[..., 0, 1] / of_shifts[..., 0, 0]).abs().mean().item())
        distances.append(patch_kl(result, known).item())
        measured(f"correlation of neighbours in smooth noise, {steps} steps of regularisation", neighbours[-1])
        measured(f"patch KL of smooth noise from white noise, {steps} steps of regularisation", distances[-1])
    assert neighbours == sorted(neighbours, reverse=True) and distances == sorted(distances, reverse=True)
    assert torch.equal(regularised(eps, known, 0, torch.Generator()), eps) and distances[-1] < 0.6 * distances[0]


def test_noise_like_the_reference_stays_nearly_as_it_is():
    eps = noise(7)
    change = regularised(eps, eps, 4, torch.Generator().manual_seed(0)) - eps
    moved = regularised(smooth(7), eps, 4, torch.Generator().manual_seed(0)) - smooth(7)
    assert change.abs().mean() < 0.1 * moved.abs().mean()


def test_each_picture_of_a_batch_gets_what_it_gets_alone():
    eps, known = smooth(8, batch=3), noise(9, batch=3)
    both = regularised(eps, known, 2, torch.Generator().manual_seed(1))
    for n in range(3):
        alone = regularised(eps[n : n + 1], known[n : n + 1], 2, torch.Generator().manual_seed(1))
        torch.testing.assert_close(both[n : n + 1], alone, rtol=1e-4, atol=1e-4)


def test_each_frame_gets_what_it_gets_alone():
    eps, known = (torch.stack([of(seed) for seed in (10, 11, 12)], dim=2) for of in (smooth, noise))
    together = regularised(eps, known, 2, torch.Generator().manual_seed(1))
    for n in range(3):
        alone = regularised(eps[:, :, n], known[:, :, n], 2, torch.Generator().manual_seed(1))
        torch.testing.assert_close(together[:, :, n], alone, rtol=1e-4, atol=1e-4)


def test_a_single_frame_is_inverted_as_a_picture_is():
    def model(x, sigma):
        return x * (1 + sigma.reshape(-1, *[1] * (x.dim() - 1)) ** 2) ** -0.5

    still, frame = (
        renoise_inversion(model, x, ascending_schedule("normal", 4), regularisation_steps=2).anchors
        for x in (noise(13, size=8), noise(13, size=8).unsqueeze(2))
    )
    torch.testing.assert_close(frame.squeeze(3), still, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 64, 128), (1, 4, 3, 32), (1, 4, 1, 32, 3)])
def test_what_has_no_patches_is_refused_before_the_model_is_asked(shape):
    with pytest.raises(ValueError, match=r"^x: its shape .* Set regularisation_steps to 0"):
        renoise_inversion(None, torch.zeros(shape), ascending_schedule("normal", 4), regularisation_steps=1)


def test_no_gradient_goes_through_the_model_and_inference_mode_stays():
    def model(x, sigma):
        assert torch.is_inference_mode_enabled() and not torch.is_grad_enabled()
        return x * (1 + sigma.reshape(-1, 1, 1, 1) ** 2) ** -0.5

    state = torch.get_rng_state()
    with torch.inference_mode():
        pivot = renoise_inversion(model, model_picture(1), ascending_schedule("normal", 4), regularisation_steps=2)
        assert torch.is_inference_mode_enabled() and not torch.is_grad_enabled()
    assert pivot.anchors.isfinite().all() and not pivot.anchors.requires_grad
    assert torch.equal(torch.get_rng_state(), state)


class TestNode:
    def run(self, seed=0, steps=4, **options):
        model = chaotic_model(6)
        flow, sigmas = guider(model), schedule(model, steps=8)
        return ReNoiseInversionNode.execute(
            flow, sigmas, picture(), regularisation_steps=steps, noise_seed=seed, **options
        ).result[0]

    def test_off_unless_asked_for_and_the_seed_is_all_that_changes_it(self):
        plain, regular = self.run(steps=0), self.run()
        assert torch.equal(self.run(steps=0, seed=5).anchors, plain.anchors)
        assert torch.equal(self.run().anchors, regular.anchors)
        others = [plain, self.run(seed=5), self.run(steps=1)]
        assert all((other.anchors - regular.anchors).abs().max() > 1e-3 for other in others)

    def test_it_costs_one_guider_call_per_step(self):
        model = gaussian_model()
        flow = flow_of(CountedGuider, model)
        ReNoiseInversionNode.execute(flow, schedule(model), picture(), iterations=3, regularisation_steps=1)
        assert flow.calls == 5 * 20

    def test_a_picture_too_small_for_patches_is_refused(self):
        model = gaussian_model()
        latent = {"samples": torch.zeros(1, 4, 3, 8)}
        with pytest.raises(ValueError, match=r"^latent_image: its shape \(1, 4, 3, 8\) is smaller than the 4 x 4"):
            ReNoiseInversionNode.execute(guider(model), schedule(model), latent, regularisation_steps=1)
        ReNoiseInversionNode.execute(guider(model), schedule(model), latent)

    def test_no_iteration_to_regularise_is_refused(self):
        with pytest.raises(ValueError, match=r"^regularisation_steps: is 4, but iterations 0 .* Set iterations to"):
            self.run(iterations=0)
