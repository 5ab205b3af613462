"""The pivot preview: denoised estimates of recordings against closed forms, their order, and what decodes them."""

import itertools

import pytest
import torch
from comfy.model_base import ModelType
from customenhancer.host.estimates import denoised_estimates
from customenhancer.host.number_lists import chosen_steps, spread_steps
from customenhancer.host.recordings import ModelPivot
from customenhancer.nodes.inversion import DDIMInversionNode
from customenhancer.nodes.seeing import PivotPreviewNode
from customenhancer.resinversion import Recording, residual_noise
from helpers.sampling import SCALE, invert, picture, schedule
from hypothesis import given
from hypothesis import strategies as st
from standins.analytic import gaussian_model, guider

pytestmark = pytest.mark.usefixtures("temporary_folder")

POSITIVE, NEGATIVE, CFG = (0.5, 0.8), (0.0, 1.0), 5.0


class Vae:
    """Shows the latent itself, in three of its channels."""

    encode = None

    def decode(self, samples):
        return samples.movedim(1, -1)[..., :3]


def posterior_mean(x, sigma, mean, std, signal=1.0):
    """What is foreseen of N(mean, std^2) at x = signal * x0 + sigma * noise."""
    return mean + signal * std**2 / (signal**2 * std**2 + sigma**2) * (x - signal * mean)


def shown(recording, model, **options):
    return PivotPreviewNode.execute(recording, model, Vae(), **options).result[0].movedim(-1, 1)


@pytest.mark.parametrize("prediction", [ModelType.EPS, ModelType.V_PREDICTION, ModelType.FLOW])
def test_a_residual_noise_shows_the_guided_denoised_at_every_anchor(prediction):
    model = gaussian_model(prediction)
    flow_prediction = prediction is ModelType.FLOW
    recorded, _ = invert(guider(model, POSITIVE, NEGATIVE, CFG), schedule(model, steps=8), picture(batch=2))
    expected = []
    for i in range(8, 0, -1):
        x, s = recorded.anchors[i].double(), recorded.sigmas[i].double()
        at = x, s
        signal = 1 - s if flow_prediction else 1.0
        positive, negative = (posterior_mean(*at, *one, signal) for one in (POSITIVE, NEGATIVE))
        expected.append(CFG * positive + (1 - CFG) * negative)
    expected = torch.cat(expected)[:, :3] / (1.0 if flow_prediction else SCALE)  # each step's batch of two
    torch.testing.assert_close(shown(recorded, model, count=8).double(), expected, rtol=1e-3, atol=1e-3)


def test_a_pivot_shows_the_denoised_that_drove_it_and_at_last_the_picture():
    model = gaussian_model()
    latent = picture()
    pivot = DDIMInversionNode.execute(guider(model, POSITIVE), schedule(model, steps=8), latent).result[0]
    expected = [posterior_mean(pivot.anchors[i], pivot.sigmas[i], *POSITIVE) / SCALE for i in range(7, 0, -1)]
    expected = torch.cat([*expected, latent["samples"]])[:, :3]
    torch.testing.assert_close(shown(pivot, model, count=8), expected, rtol=1e-3, atol=1e-3)


def test_without_residual_noise_both_kinds_of_recording_foresee_the_same():
    model = gaussian_model()
    pivot = DDIMInversionNode.execute(guider(model), schedule(model, steps=8), picture(batch=3)).result[0]
    slopes = pivot.anchors.diff(dim=0) / pivot.sigmas.diff().reshape(-1, 1, 1, 1, 1)
    exact = Recording(pivot.sigmas, pivot.anchors, slopes)
    assert residual_noise(exact).count_nonzero() == 0
    assert torch.equal(denoised_estimates(exact), denoised_estimates(pivot))


@given(steps=st.integers(1, 300), count=st.integers(2, 300))
def test_the_steps_shown_are_evenly_spaced_with_both_ends(steps, count):
    chosen = spread_steps(steps, count)
    assert chosen[0] == 0 and chosen[-1] == steps - 1 and len(chosen) == min(count, steps)
    gaps = [after - before for before, after in itertools.pairwise(chosen)]
    assert not gaps or (min(gaps) >= 1 and max(gaps) - min(gaps) <= 1)


def test_fewer_steps_show_the_same_pictures_as_all_steps_do():
    model = gaussian_model()
    recorded, _ = invert(guider(model), schedule(model, steps=11), picture())
    every = shown(recorded, model, count=11)
    assert torch.equal(shown(recorded, model), every[[0, 2, 4, 6, 8, 10]])
    assert torch.equal(shown(recorded, model, count=500), every)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [("0, 4, 10", [0, 4, 10]), (" 10,3 ", [10, 3]), ("0:10:5, 1", [0, 5, 10, 1]), (" ", [0, 2, 4, 6, 8, 10])],
)
def test_chosen_steps_are_shown_in_the_order_they_are_written_in(steps, expected):
    model = gaussian_model()
    recorded, _ = invert(guider(model), schedule(model, steps=11), picture(batch=2))
    every = shown(recorded, model, count=11).unflatten(0, (11, 2))
    assert torch.equal(shown(recorded, model, steps=steps), every[expected].flatten(0, 1))


@pytest.mark.parametrize("wrong", ["8", "0, -1", "2.5", "0:8:2", "100"])
def test_steps_that_the_pivot_does_not_have_are_refused(wrong):
    model = gaussian_model()
    recorded, _ = invert(guider(model), schedule(model, steps=8), picture())
    with pytest.raises(ValueError, match=r"^steps: .* is not one of the pivot's 8 steps\. Write .* from 0 .* to 7"):
        PivotPreviewNode.execute(recorded, model, Vae(), steps=wrong)


@pytest.mark.parametrize("wrong", ["first", ",", "1:2", "0:500:1"])
def test_what_is_no_list_of_steps_is_refused_before_the_run(wrong):
    assert PivotPreviewNode.validate_inputs(steps=wrong).startswith("steps: ")
    with pytest.raises(ValueError, match=r"^steps: "):
        chosen_steps(wrong, 1000)
    assert all(PivotPreviewNode.validate_inputs(steps=good) is True for good in ("0, 10, 49", "", " ", None))


def test_pictures_are_shown_and_the_recording_stays_as_it_was(temporary_folder):
    model = gaussian_model()
    recorded, _ = invert(guider(model), schedule(model), picture(batch=2))
    before = recorded.anchors.clone(), recorded.predictions.clone()
    output = PivotPreviewNode.execute(recorded, model, Vae(), count=3)
    images = output.ui.as_dict()["images"]
    assert len(images) == len(output.result[0]) == 6
    assert all((temporary_folder / one["filename"]).is_file() for one in images)
    assert torch.equal(recorded.anchors, before[0]) and torch.equal(recorded.predictions, before[1])


def test_a_model_of_another_kind_is_refused():
    eps, v = gaussian_model(), gaussian_model(ModelType.V_PREDICTION)
    recorded, _ = invert(guider(eps), schedule(eps), picture())
    for recording in (recorded, ModelPivot(recorded.sigmas, recorded.anchors, recorded.model_kind)):
        with pytest.raises(ValueError, match=r"^pivot: was recorded with a model of another kind"):
            PivotPreviewNode.execute(recording, v, Vae())
