"""The guider whose negative text changes with the steps, and the predictions with which that text is optimised."""

import copy

import comfy.samplers
import comfy.utils
import torch
from torch import Tensor

from ..baselines.null_text import NullText
from .entered import EnteredGuider
from .gradients import differentiable


def text_of(conds: list[dict], batch: int, pooled_width: int) -> list[Tensor]:
    """The parts of an entered guider's text that are to change, one for each picture of a batch.

    conds: of one prompt, as the host has encoded them for its model. Returns the embedding, (batch, 77, 2048) for
    SDXL, and the pooled text, (batch, pooled_width), where pooled_width is not 0.
    """
    model_conds = conds[0]["model_conds"]
    if "c_crossattn" not in model_conds:
        raise ValueError("model: reads no text embedding that could be optimised. Connect an SDXL model.")
    parts = [model_conds["c_crossattn"].cond]
    if pooled_width:
        parts.append(model_conds["y"].cond[:, :pooled_width])  # sizes follow it
    return [comfy.utils.repeat_to_batch_size(part, batch) for part in parts]


def put_text(conds: list[dict], text: list[Tensor]) -> list[dict]:
    """An entered guider's conds with another text, as `text_of` gives it; those that came in are not changed."""
    return [{**cond, "model_conds": _model_conds_with(cond["model_conds"], *text)} for cond in conds]


def _model_conds_with(model_conds: dict, embedding: Tensor, pooled: Tensor | None = None) -> dict:
    changed = {"c_crossattn": _with_tensor(model_conds["c_crossattn"], embedding)}
    if pooled is not None:
        sizes = comfy.utils.repeat_to_batch_size(model_conds["y"].cond[:, pooled.shape[1] :], len(pooled))
        changed["y"] = _with_tensor(model_conds["y"], torch.cat([pooled.to(sizes), sizes], dim=1))
    return {**model_conds, **changed}


def _with_tensor(entry, tensor: Tensor):
    own = copy.copy(entry)
    own.cond = tensor.to(entry.cond.device)  # the host batches what lies on one device
    return own


class CFGPredictions:
    """The predictions between which an entered CFGGuider guides, asked for one at a time.

    entered: an EnteredGuider whose model is a CFGGuider.
    """

    def __init__(self, entered: EnteredGuider):
        self._guider = entered.model
        self._model_options = entered.extra_args["model_options"]
        self._seed = entered.extra_args.get("seed")

    def conditional(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Denoised (B, C, H, W) for the positive conditioning alone, of x at sigma (B,)."""
        return self._predict(x, sigma, self._model_options, [self._guider.conds["positive"], None])[0]

    def guided(self, x: Tensor, sigma: Tensor, cond_denoised: Tensor, text: list[Tensor]) -> Tensor:
        """Denoised (B, C, H, W) as the host guides it, between `conditional`'s answer and the one for a null text."""
        options = differentiable(self._model_options) if torch.is_grad_enabled() else self._model_options

        def predict_both(args: dict) -> list[Tensor]:
            return [cond_denoised, self._predict(x, sigma, options, [None, args["conds"][1]])[1]]

        guider = self._guider
        return comfy.samplers.sampling_function(
            guider.inner_model,
            x,
            sigma,
            put_text(guider.conds["negative"], text),
            guider.conds["positive"],
            guider.cfg,
            model_options={**self._model_options, "sampler_calc_cond_batch_function": predict_both},
            seed=self._seed,
        )

    def _predict(self, x: Tensor, sigma: Tensor, model_options: dict, conds: list) -> list[Tensor]:
        return comfy.samplers.calc_cond_batch(self._guider.inner_model, conds, x, sigma, model_options)


class NullTextGuider(comfy.samplers.CFGGuider):
    """The host's CFGGuider with each step's null text in place of the negative prompt's.

    null_text: a NullText. A sigma off its schedule gets the text of the step that covers it.
    """

    def __init__(self, model, positive, negative, cfg: float, null_text: NullText):
        super().__init__(model)
        self.set_conds(positive, negative)
        self.set_cfg(cfg)
        self.null_text = null_text

    def sample(self, noise, *args, **kwargs):
        """As of CFGGuider. Raises ValueError where the batch is not that of the inverted pictures."""
        pictures = self.null_text.anchors.shape[1]
        if pictures not in (1, len(noise)):
            raise ValueError(
                f"latent_image: a batch of {len(noise)}, but the guider holds the null text of {pictures} pictures. "
                "Connect the latent output of Null-Text Inversion."
            )
        return super().sample(noise, *args, **kwargs)

    def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006  the host's signature
        """Denoised (B, C, H, W) at timestep, which is sigma (B,)."""
        negative = put_text(self.conds["negative"], self.null_text.text_at(timestep[0].item()))
        return comfy.samplers.sampling_function(
            self.inner_model,
            x,
            timestep,
            negative,
            self.conds["positive"],
            self.cfg,
            model_options=model_options,
            seed=seed,
        )
