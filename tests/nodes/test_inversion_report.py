"""The inversion report: what it measures against what is known of stand-in models, and the plot that it draws."""

import re

import comfy.utils
import pytest
import torch
from comfy.model_base import ModelType
from customenhancer.nodes.seeing import InversionReportNode
from helpers.guiders import CountedGuider, flow_of
from helpers.sampling import invert, picture, sample_back, schedule
from standins.analytic import chaotic_model, gaussian_euler, gaussian_model, guider

pytestmark = pytest.mark.usefixtures("temporary_folder")


def rows(report: str) -> list[dict[str, float | None]]:
    """The numbers of each step, by the names of their columns."""
    names, *lines = [line.split("; ") for line in report.split("\n\n")[1].split("\n")]
    return [{n: float(cell) if cell else None for n, cell in zip(names, line, strict=True)} for line in lines]


def column(report: str, name: str) -> torch.Tensor:
    return torch.tensor([row[name] for row in rows(report) if row[name] is not None])


class TestMeasurement:
    """Numbers are printed to three digits, so they agree to half a percent."""

    def test_the_errors_of_plain_sampling_are_those_of_the_closed_form_at_every_step(self):
        model = gaussian_model()
        flow, sigmas = guider(model, (0.5, 0.8), (0.0, 1.0), cfg=5.0), schedule(model, steps=12)
        recorded, _ = invert(flow, sigmas, picture(batch=2))
        _, _, report = InversionReportNode.execute(recorded, flow).result
        flows = [(5.0, 0.5, 0.8), (-4.0, 0.0, 1.0)]
        noise = recorded.anchors[-1].double()
        expected = [
            (gaussian_euler(noise, sigmas[: k + 1], flows) - recorded.anchors[12 - k]).abs().max().item()
            for k in range(13)
        ]
        assert expected[-1] > 0.1
        torch.testing.assert_close(
            column(report, "plain sampling, max error"), torch.tensor(expected), rtol=6e-3, atol=1e-4
        )
        assert [row["step"] for row in rows(report)] == list(range(13))
        torch.testing.assert_close(column(report, "sigma"), sigmas, rtol=1e-3, atol=0)

    @pytest.mark.parametrize("prediction", [ModelType.EPS, ModelType.V_PREDICTION, ModelType.FLOW])
    def test_the_reconstruction_is_exact_and_is_what_the_sampler_gives(self, prediction):
        model = chaotic_model(3, prediction)
        flow, sigmas, latent = guider(model), schedule(model), picture()
        recorded, noisy = invert(flow, sigmas, latent)
        reconstruction, _, report = InversionReportNode.execute(recorded, flow).result
        assert torch.equal(reconstruction["samples"], sample_back(flow, recorded, sigmas, noisy))
        errors = column(report, "reconstruction, max error")
        assert len(errors) == 21 and errors[0] == 0 and errors.max() <= 1e-5
        assert column(report, "plain sampling, max error")[-1] > 0.1

    def test_a_guider_that_was_not_recorded_is_shown_to_lead_away(self):
        model = gaussian_model()
        sigmas, latent = schedule(model), picture()
        recorded, _ = invert(guider(model), sigmas, latent)
        other = guider(model, positive=(-0.5, 0.8))
        reconstruction, _, report = InversionReportNode.execute(recorded, other).result
        expected = (reconstruction["samples"] - latent["samples"]).abs().max().item() * 0.13025
        errors = column(report, "reconstruction, max error")
        assert expected > 0.1 and errors[-1].item() == pytest.approx(expected, rel=6e-3)
        said = re.search(r"largest error (\S+) at the end, (\S+) on the way \(after step (\d+)\)", report)
        assert [float(number) for number in said.groups()] == [errors[-1], errors.max(), errors.argmax()]

    def test_the_residual_noise_is_that_of_equation_3(self):
        model = gaussian_model()
        flow, sigmas = guider(model), schedule(model, steps=6)
        recorded, _ = invert(flow, sigmas, picture())
        _, _, report = InversionReportNode.execute(recorded, flow, compare_plain=False).result
        x, s = recorded.anchors.double(), sigmas.flip(0).double()
        strength = [
            ((x[i] - x[i - 1]) / (s[i] - s[i - 1]) - recorded.predictions[i - 1]).norm().item() / x[i].numel() ** 0.5
            for i in range(6, 0, -1)
        ]
        shown = column(report, "residual noise, RMS")
        torch.testing.assert_close(shown, torch.tensor(strength), rtol=6e-3, atol=1e-6)

    @pytest.mark.parametrize(("compare_plain", "walks"), [(True, 2), (False, 1)])
    def test_guider_calls_are_counted_and_progress_covers_them(self, compare_plain, walks):
        model, told = gaussian_model(), []
        flow, sigmas = flow_of(CountedGuider, model), schedule(model, steps=9)
        recorded, _ = invert(flow, sigmas, picture())
        flow.calls = 0
        comfy.utils.set_progress_bar_global_hook(lambda value, total, *_, **__: told.append((value, total)))
        try:
            report = InversionReportNode.execute(recorded, flow, compare_plain).result[2]
        finally:
            comfy.utils.set_progress_bar_global_hook(None)
        assert flow.calls == 9 * walks
        assert re.findall(r"(\d+) guider calls in", report) == ["9"] * walks
        values, totals = zip(*told, strict=True)  # the host leaves some out that come too soon after one another
        assert set(totals) == {9 * walks} and values[-1] == 9 * walks and list(values) == sorted(set(values))
        assert ("plain" in report) == compare_plain

    def test_picture_and_text_are_shown_and_inputs_stay_as_they_were(self, temporary_folder):
        model = gaussian_model()
        flow, sigmas = guider(model), schedule(model)
        recorded, _ = invert(flow, sigmas, picture())
        before, rng = [t.clone() for t in (recorded.anchors, recorded.predictions)], torch.get_rng_state()
        output = InversionReportNode.execute(recorded, flow)
        _, plot, report = output.result
        assert plot.shape == (1, 512, 768, 3) and plot.dtype == torch.float32 and 0 <= plot.min() < plot.max() <= 1
        (shown,) = output.ui["images"]
        assert shown["type"] == "temp" and (temporary_folder / shown["filename"]).is_file()
        assert report.startswith(output.ui["text"][0])
        assert all(map(torch.equal, before, (recorded.anchors, recorded.predictions)))
        assert torch.equal(torch.get_rng_state(), rng)


class TestBadInput:
    """Each error names the input and what to do."""

    def test_a_recording_of_another_model_kind_is_refused(self):
        eps, v = gaussian_model(ModelType.EPS), gaussian_model(ModelType.V_PREDICTION)
        recorded, _ = invert(guider(eps), schedule(eps), picture())
        with pytest.raises(ValueError, match=r"^residual_noise: was recorded with a model of another kind"):
            InversionReportNode.execute(recorded, guider(v))

    def test_a_model_that_overflows_is_refused(self):
        model = gaussian_model()
        recorded, _ = invert(guider(model), schedule(model), picture())
        with pytest.raises(ValueError, match=r"^guider: sampling came to NaN or Inf"):
            InversionReportNode.execute(recorded, guider(model, positive=(float("nan"), 1.0)))
