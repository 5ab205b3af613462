"""Null-text inversion as a function: against the original's own loop in other coordinates, and its rules."""

import pytest
import torch
from customenhancer.baselines.null_text import NonFiniteError, NullText, null_text_inversion
from customenhancer.bimd import BlendedFlows
from customenhancer.resinversion import ddim_inversion
from diffusers import DDIMInverseScheduler, DDIMScheduler
from helpers.diffusers_reference import CONFIG, STEPS, noise_prediction, sigmas_of
from helpers.functions import ascending_schedule, model_picture

CFG = 7.5


def gaussian(x, sigma, mean):
    """Denoised of N(mean, 0.8^2)."""
    variance = sigma.reshape(-1, 1, 1, 1) ** 2
    return (0.64 * x + variance * mean) / (0.64 + variance)


def gaussians(mean):
    """Two sides of guidance, of N(0.5, 0.8^2) and of N(mean + the null text, 0.8^2); the text is (B, 4), by channel."""

    def conditional(x, sigma):
        return gaussian(x, sigma, 0.5)

    def guided(x, sigma, cond_denoised, null_text):
        unconditional = gaussian(x, sigma, mean + null_text[0][:, :, None, None])
        return unconditional + CFG * (cond_denoised - unconditional)

    return conditional, guided


def invert(sides, x, sigmas, null_text=None, **options):
    null_text = [torch.zeros(len(x), 4)] if null_text is None else null_text
    return null_text_inversion(*sides, x, sigmas, null_text, **options)


class TestAgainstTheOriginal:
    """The original's loop, in z = x / sqrt(1 + sigma^2), on diffusers' schedulers, with Adam written out."""

    EARLY_STOP = 2e-3

    def predict(self, z, t, text):
        """The noise that a network sees in z, under a text (B, 4)."""
        return 0.01 * noise_prediction(z, t) + torch.tanh(text)[:, :, None, None]

    def original(self, picture, prompt, null_text, inner_steps):
        """Texts, losses and the reconstruction as the original's null_optimization makes them."""
        inverse, scheduler = (kind(**CONFIG) for kind in (DDIMInverseScheduler, DDIMScheduler))
        for one in (inverse, scheduler):
            one.set_timesteps(STEPS)
        pivot = [picture]
        for t in inverse.timesteps:
            pivot.append(inverse.step(self.predict(pivot[-1], t, prompt), t, pivot[-1]).prev_sample)
        z, texts, losses = pivot[-1], [], []
        for k, t in enumerate(scheduler.timesteps):
            conditional, target = self.predict(z, t, prompt), pivot[len(pivot) - k - 2]

            def step_back(text, z=z, t=t, conditional=conditional):
                unconditional = self.predict(z, t, text)
                return scheduler.step(unconditional + CFG * (conditional - unconditional), t, z).prev_sample

            mean, square = torch.zeros_like(null_text), torch.zeros_like(null_text)
            losses.append([])
            for j in range(1, inner_steps + 1):
                text = null_text.clone().requires_grad_()
                loss = torch.nn.functional.mse_loss(step_back(text), target)
                (gradient,) = torch.autograd.grad(loss, text)
                mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
                rate = 1e-2 * (1 - k / 100)
                update = mean / (1 - 0.9**j) / ((square / (1 - 0.999**j)).sqrt() + 1e-8)
                null_text = null_text - rate * update
                losses[-1].append(loss.item())
                if loss.item() < self.EARLY_STOP + k * 2e-5:
                    break
            texts.append(null_text)
            z = step_back(null_text)
        return texts, losses, z

    @pytest.mark.parametrize("inner_steps", [1, 5])
    def test_every_steps_text_and_losses_are_the_originals(self, inner_steps):
        picture, prompt = model_picture(1), torch.full((1, 4), 0.1)
        null_text = torch.tensor([[0.02, -0.01, 0.0, 0.01]])
        texts, losses, z = self.original(picture, prompt, null_text, inner_steps)

        inverse = DDIMInverseScheduler(**CONFIG)
        inverse.set_timesteps(STEPS)
        sigmas = sigmas_of(inverse, inverse.timesteps)

        def side(x, sigma, text):
            t = inverse.timesteps[(sigmas[1:] - sigma[0]).abs().argmin()]
            return x - sigma[0] * self.predict(x / (1 + sigma[0] ** 2) ** 0.5, t, text)

        def guided(x, sigma, cond_denoised, text):
            unconditional = side(x, sigma, text[0])
            return unconditional + CFG * (cond_denoised - unconditional)

        result = null_text_inversion(
            lambda x, sigma: side(x, sigma, prompt),
            guided,
            picture,
            sigmas,
            [null_text],
            inner_steps=inner_steps,
            early_stop=self.EARLY_STOP,
            input_scale=lambda sigma: (1 + sigma**2) ** -0.5,
        )
        torch.testing.assert_close(result.texts[0].flip(0), torch.stack(texts), rtol=1e-3, atol=1e-4)
        assert [len(step) for step in result.losses[::-1]] == [len(step) for step in losses]
        if inner_steps > 1:
            assert len(set(map(len, losses))) > 2, "the rule of stopping is not tested"
        for ours, theirs in zip(result.losses[::-1], losses, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-2, abs=1e-7)
        torch.testing.assert_close(result.reconstruction, z, rtol=1e-3, atol=1e-3)


def test_the_pivot_is_ddim_inversion_of_the_prompt_alone():
    sides, x, sigmas = gaussians(0.1), model_picture(2), ascending_schedule("karras", 9)
    result = invert(sides, x, sigmas, input_scale=lambda sigma: (1 + sigma**2) ** -0.5)
    pivot = ddim_inversion(sides[0], x, sigmas, evaluate_at="target", input_scale=lambda sigma: (1 + sigma**2) ** -0.5)
    assert torch.equal(result.anchors, pivot.anchors) and torch.equal(result.sigmas, pivot.sigmas)
    assert result.texts[0].shape == (9, 1, 4) and result.texts[0].dtype == torch.float32


def test_the_loss_falls_and_the_reconstruction_comes_near():
    x, sigmas = model_picture(3), ascending_schedule("normal", 50)
    plain = invert(gaussians(0.45), x, sigmas, inner_steps=0)
    result = invert(gaussians(0.45), x, sigmas, early_stop=0.0)
    assert all(step[-1] < step[0] for step in result.losses if step[0] > 1e-3)

    def error(result):
        return (result.reconstruction - x).mean(dim=(2, 3)).abs().max()  # a text moves a channel as a whole

    assert error(result) < 0.1 * error(plain)
    assert plain.losses == ((),) * 50 and plain.inner_steps == 0 and not plain.texts[0].any()


def test_each_picture_of_a_batch_gets_the_text_that_it_gets_alone():
    x, sigmas = model_picture(4, batch=2), ascending_schedule("normal", 8)
    both = invert(gaussians(0.45), x, sigmas, early_stop=-1.0)
    alone = [invert(gaussians(0.45), one[None], sigmas, early_stop=-1.0) for one in x]
    torch.testing.assert_close(both.texts[0], torch.cat([one.texts[0] for one in alone], dim=1))
    assert both.losses[0][0] == pytest.approx(max(one.losses[0][0] for one in alone))


def test_one_inner_step_is_one_of_adam_on_the_mean_squared_error():
    """By hand, with a gradient as small as Adam's own 1e-8: whatever it is multiplied by on the way would show."""
    x0, sigma, weak = model_picture(11), 2.0, 1e-8
    conditional, _ = gaussians(0.0)

    def guided(x, sigma, cond_denoised, null_text):
        unconditional = gaussian(x, sigma, weak * null_text[0][:, :, None, None])
        return unconditional + CFG * (cond_denoised - unconditional)

    result = invert((conditional, guided), x0, torch.tensor([0.0, sigma]), inner_steps=1)
    x = result.anchors[1]
    # A step to sigma 0 ends at denoised itself.
    reached = (1 - CFG) * gaussian(x, torch.tensor([sigma]), 0.0) + CFG * gaussian(x, torch.tensor([sigma]), 0.5)
    slope = (1 - CFG) * weak * sigma**2 / (0.64 + sigma**2)
    gradient = (2 * (reached - x0) * slope).sum(dim=(2, 3)) / x0.numel()
    assert 1e-9 < gradient.abs().max() < 1e-6
    torch.testing.assert_close(result.texts[0][0], -0.01 * gradient / (gradient.abs() + 1e-8), rtol=1e-3, atol=1e-6)


def test_beyond_100_steps_the_learning_rate_stays_above_0():
    """The original's factor 1 - k / 100 would turn round."""
    x, sigmas = model_picture(5), ascending_schedule("normal", 120)
    result = invert(gaussians(0.45), x, sigmas, early_stop=-1.0, inner_steps=2)
    moves = result.texts[0].flip(0).diff(dim=0).abs().amax(dim=(1, 2))
    assert moves[110:].max() <= 2.1e-4 and moves[110:].max() > 0


def test_several_parts_are_optimised_together():
    conditional, _ = gaussians(0.0)

    def guided(x, sigma, cond_denoised, null_text):
        embedding, pooled = null_text
        mean = embedding.mean(dim=(1, 2)).reshape(-1, 1, 1, 1) + pooled[:, :, None, None]
        unconditional = gaussian(x, sigma, mean)
        return unconditional + CFG * (cond_denoised - unconditional)

    parts = [torch.zeros(1, 3, 5), torch.zeros(1, 4)]
    result = invert((conditional, guided), model_picture(6), ascending_schedule("normal", 6), parts)
    assert [part.shape for part in result.texts] == [(6, 1, 3, 5), (6, 1, 4)]
    assert all(part.any() for part in result.texts) and not any(part.any() for part in parts)


class TestInferenceTensors:
    """A host runs in inference mode, where autograd refuses every tensor."""

    @staticmethod
    def network(seed=7):
        network = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3, padding=1), torch.nn.GroupNorm(2, 8))
        network.append(torch.nn.SiLU()).append(torch.nn.Conv2d(8, 4, 3, padding=1))
        generator = torch.Generator().manual_seed(seed)
        for parameter in network.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) / 3
        return network

    @staticmethod
    def sides(network):
        def conditional(x, sigma):
            return network(x)

        def guided(x, sigma, cond_denoised, null_text):
            unconditional = network(x + null_text[0][:, :, None, None])
            return unconditional + 2.0 * (cond_denoised - unconditional)

        return conditional, guided

    def test_the_result_is_that_of_normal_tensors_and_nothing_is_left_behind(self):
        x, sigmas = model_picture(8), ascending_schedule("normal", 6)
        with torch.no_grad():
            expected = invert(self.sides(self.network()), x, sigmas, early_stop=-1.0)
        with torch.inference_mode():
            network = self.network()
            assert all(weight.is_inference() for weight in network.parameters())
            before = {name: weight.clone() for name, weight in network.state_dict().items()}
            result = invert(self.sides(network), x.clone(), sigmas.clone(), early_stop=-1.0)
            assert torch.is_inference_mode_enabled()
        torch.testing.assert_close(result.texts[0].clone(), expected.texts[0])
        torch.testing.assert_close(torch.tensor(result.losses).clone(), torch.tensor(expected.losses))
        assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())
        assert all(weight.is_inference() and weight.grad is None for weight in network.parameters())

    def test_normal_weights_that_ask_for_gradients_get_none(self):
        network = self.network()
        invert(self.sides(network), model_picture(8), ascending_schedule("normal", 3))
        assert all(weight.requires_grad and weight.grad is None for weight in network.parameters())
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()

    @pytest.mark.parametrize("inference", [False, True])
    def test_the_modes_are_as_before_after_an_interrupt(self, inference):
        def interrupt(call):
            if call["i"] == 2:
                raise KeyboardInterrupt

        with torch.inference_mode(inference):
            grad = torch.is_grad_enabled()
            with pytest.raises(KeyboardInterrupt):
                invert(self.sides(self.network()), model_picture(8), ascending_schedule("normal", 6), None,
                       callback=interrupt)  # fmt: skip
            assert torch.is_inference_mode_enabled() == inference and torch.is_grad_enabled() == grad


def test_each_model_call_is_counted_and_each_inner_step_is_told():
    """Each inner step is told, with the step that it belongs to; the counts are those of the calls."""
    calls, told = [], []

    def counted(side):
        return lambda *args: calls.append(side) or side(*args)

    result = invert(
        map(counted, gaussians(0.45)),
        model_picture(9),
        ascending_schedule("normal", 12),
        callback=told.append,
        early_stop=0.5,
    )
    steps = [call["i"] for call in told]
    assert steps == sorted(steps)
    assert [steps.count(k) for k in range(12)] == [len(losses) for losses in result.losses[::-1]]
    assert result.inner_steps == len(told) < 10 * 12
    assert result.calls == len(calls) <= 13 * 12
    assert not any(call["denoised"].requires_grad for call in told)


def test_a_model_that_predicts_nan_is_refused():
    conditional, guided = gaussians(float("nan"))
    with pytest.raises(NonFiniteError):
        invert((conditional, guided), model_picture(1), ascending_schedule("normal", 3))


def test_a_half_precision_gradient_does_not_vanish():
    """The gradient of the mean over a large picture is below the least number of float16; that of the sum is not."""
    conditional, _ = gaussians(0.0)

    def guided(x, sigma, cond_denoised, null_text):
        text = null_text[0].half()[:, :, None, None].expand_as(x) * 1.0  # its gradient is float16 at each pixel
        return 0.99 * cond_denoised + 0.01 * gaussian(x, sigma, text.float())

    x, sigmas = model_picture(10, size=128), ascending_schedule("normal", 3)
    result = invert((conditional, guided), x, sigmas, inner_steps=1, early_stop=-1.0)
    assert (result.texts[0] != 0).all()


def test_a_sigma_gets_the_text_of_the_step_that_covers_it():
    """As the flows of BiMD tell steps: on the schedule, between two of its sigmas, beyond its ends."""
    sigmas = ascending_schedule("karras", 6)
    text = torch.arange(6.0).reshape(6, 1, 1)
    null_text = NullText(sigmas, torch.zeros(7, 1, 4, 8, 8), (text,), ((),) * 6, torch.zeros(1, 4, 8, 8))
    flow = BlendedFlows(None, None, sigmas.flip(0), list(range(6)))
    between = (sigmas[1:] + sigmas[:-1]) / 2
    rounded = torch.cat([sigmas[1:] * (1 + 5e-6), sigmas[1:] * (1 - 5e-6)])
    for sigma in torch.cat([sigmas[1:], between, rounded, sigmas[-1:] * 2, sigmas[1:2] / 100]).tolist():
        assert null_text.text_at(sigma)[0].item() == 5 - flow.scale_at(torch.tensor([sigma]))
    assert null_text.text_at(sigmas[3].item())[0].item() == 2
