"""The null-text inversion node: the baseline that ResInversion is measured against, as a guider of its own."""

import logging
import math
from functools import partial

import comfy.model_management
import comfy.sample
import comfy.samplers
import torch
from comfy_api.latest import io, ui

from ..resinversion import NullText, null_text_inversion
from .checks import check_latent, check_sigmas, model_kind
from .control_family import check_control_family
from .gradients import checkpointed, load_for_gradients
from .inversion import CATEGORY, SCHEDULE_AND_PICTURE
from .inversion_sampler import InversionSampler, run_inversion
from .null_text_guider import NullTextGuider, Sides, text_of


def check_one_text(name: str, conditioning: list) -> None:
    """Raise ValueError, naming the input, unless a CONDITIONING holds one text."""
    if len(conditioning) != 1 or conditioning[0][0] is None:
        texts = sum(embedding is not None for embedding, _ in conditioning)
        raise ValueError(
            f"{name}: holds {texts} texts, and the null text can start from exactly one. Connect one CLIP Text Encode "
            "node; its text may be empty."
        )


def starting_text(positive: list, negative: list, start_from: str) -> list:
    """The negative CONDITIONING with the text that the null text starts from, and its pooled text; the rest stays."""
    check_one_text("negative", negative)
    if start_from == "negative":
        return negative
    check_one_text("positive", positive)
    (embedding, of_positive), (_, of_negative) = positive[0], negative[0]
    return [[embedding, {**of_negative, "pooled_output": of_positive.get("pooled_output")}]]


def optimised_pooled_width(start: list, start_from: str, pooled: str) -> int:
    """How much of SDXL's vector conditioning is pooled text that is optimised: its width, or 0 where it is frozen."""
    if pooled == "frozen":
        return 0
    pooled_output = start[0][1].get("pooled_output")
    if pooled_output is None:
        raise ValueError(
            f"pooled: {start_from} has no pooled text that could be optimised. Set pooled to frozen, or connect the "
            "conditioning of an SDXL model."
        )
    return pooled_output.shape[-1]


def invert(model, positive, negative, cfg, sigmas, latent_image, pooled_width: int, inner_steps: int, **options):
    """Run `null_text_inversion` in the host's CFGGuider. Returns (NullText, LATENT).

    pooled_width: how much of SDXL's vector conditioning is pooled text that is optimised. options: of the function.
    """
    flow = comfy.samplers.CFGGuider(model)
    flow.set_conds(positive, negative)
    flow.set_cfg(cfg)
    check_control_family(flow, "positive or negative")
    if inner_steps:
        load_for_gradients(flow)
    samples = comfy.sample.fix_empty_latent_channels(model, latent_image["samples"])
    calculate_input = model.get_model_object("model_sampling").calculate_input

    def run(guider, x, sigmas, extra_args, callback, device):
        def on_call(call: dict) -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            with torch.inference_mode():  # as the host runs previewers, whose weights take no part in the gradient
                callback(call)

        sides = Sides(guider)
        networks = [patcher.model for patcher in (guider.model_patcher, *guider.loaded_models)]
        with checkpointed(networks):
            return null_text_inversion(
                sides.conditional,
                sides.guided,
                x,
                sigmas,
                [part.to(x.device) for part in text_of(guider.conds["negative"], len(x), pooled_width)],
                extra_args,
                on_call,
                model_kind=model_kind(model),
                inner_steps=inner_steps,
                input_scale=partial(calculate_input, noise=torch.ones((), device=x.device)),
                device=device,
                **options,
            )

    sampler = InversionSampler(run, (1 + inner_steps) * (len(sigmas) - 1))
    noisy = run_inversion(flow, samples, sigmas.flip(0), sampler)
    return sampler.recording, {**latent_image, "samples": noisy}


def report(null_text: NullText, cfg: float, inner_steps: int, start_from: str) -> str:
    """What the inversion took and reached, for the user."""
    if math.isclose(cfg, 1.0):
        return "At cfg 1 guidance does not look at the negative text: there is nothing to optimise, and it stays as is."
    if inner_steps:
        taken = f"{null_text.inner_steps} inner steps taken, of {inner_steps * null_text.steps} at most"
        taken += ", from the positive prompt" if start_from == "positive" else ""
    elif start_from == "positive":
        taken = "Negative-prompt inversion: the positive prompt stands for the negative, and nothing was optimised"
    else:
        taken = "No inner steps: the negative prompt stays as it is, and nothing was optimised"
    error = (null_text.reconstruction.to(null_text.anchors) - null_text.anchors[0]).abs().max().item()
    return (
        f"{taken}: {null_text.forwards} forwards, {null_text.inner_steps} backwards. Largest error of the "
        f"reconstruction: {error:.3g}."
    )


class NullTextInversion(io.ComfyNode):
    """`null_text_inversion` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_NullTextInversion",
            display_name="Null-Text Inversion",
            category=CATEGORY,
            description="Inverts a picture and optimises, step by step, a text for the negative prompt with which "
            "guided sampling leads back to it. Takes many times as long as ResInversion, and memory for gradients.",
            inputs=[
                io.Model.Input("model", tooltip="An SDXL model, personalised or not. It is not changed."),
                io.Conditioning.Input(
                    "positive", tooltip="The prompt, without or with the person. It alone moves the pivot."
                ),
                io.Conditioning.Input(
                    "negative",
                    tooltip="One text, often an empty one: where the optimisation starts, unless start_from says "
                    "otherwise. Only the text is replaced; faces, ControlNets and areas of the conditioning stay.",
                ),
                io.Float.Input(
                    "cfg",
                    default=7.5,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    optional=True,
                    tooltip="The guidance that the picture will be sampled with. At 1 there is nothing to optimise.",
                ),
                *SCHEDULE_AND_PICTURE,
                io.Int.Input(
                    "inner_steps",
                    default=10,
                    min=0,
                    max=1000,
                    optional=True,
                    tooltip="How many steps of optimisation each step of the schedule gets at most. 0: none, which "
                    "with start_from positive is negative-prompt inversion.",
                ),
                io.Float.Input(
                    "learning_rate",
                    default=0.01,
                    min=0.000001,
                    max=1.0,
                    step=0.000001,
                    optional=True,
                    tooltip="Of Adam, which starts anew at each step. It falls by 1/100 of this a step.",
                ),
                io.Float.Input(
                    "early_stop",
                    default=1e-5,
                    min=0.0,
                    max=1.0,
                    step=0.000001,
                    optional=True,
                    tooltip="A step is done when its loss is below this. It rises by 0.00002 a step. Lower: nearer to "
                    "the picture, and slower.",
                ),
                io.Combo.Input(
                    "pooled",
                    options=["frozen", "optimised"],
                    default="frozen",
                    optional=True,
                    tooltip="SDXL's second text, one vector for the whole prompt: left as it is, or optimised with the "
                    "embedding.",
                ),
                io.Combo.Input(
                    "start_from",
                    options=["negative", "positive"],
                    default="negative",
                    optional=True,
                    tooltip="The prompt whose text the null text starts from. positive: guidance has no effect at "
                    "first, which leads nearer to the picture than an empty text does.",
                ),
            ],
            outputs=[
                io.Guider.Output(
                    display_name="guider",
                    tooltip="Model, prompts and each step's null text, for SamplerCustomAdvanced.",
                ),
                io.Latent.Output(display_name="latent", tooltip="The noisy end of the pivot, to sample from."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        positive,
        negative,
        sigmas,
        latent_image,
        cfg=7.5,
        inner_steps=10,
        learning_rate=0.01,
        early_stop=1e-5,
        pooled="frozen",
        start_from="negative",
    ):
        check_sigmas(sigmas)
        check_latent("latent_image", latent_image["samples"])
        start = starting_text(positive, negative, start_from)
        pooled_width = optimised_pooled_width(start, start_from, pooled)
        if inner_steps < 0:
            raise ValueError(f"inner_steps: {inner_steps} is below 0. Set it to 0 or more.")
        if learning_rate <= 0:
            raise ValueError(f"learning_rate: {learning_rate:g} is not above 0. 0.01 is the original's.")
        if math.isclose(cfg, 1.0):  # as the host tells it
            inner_steps = 0
        null_text, latent = invert(
            model,
            positive,
            start,
            cfg,
            sigmas,
            latent_image,
            pooled_width,
            inner_steps,
            learning_rate=learning_rate,
            early_stop=early_stop,
        )
        text = report(null_text, cfg, inner_steps, start_from)
        logging.info("CustomEnhancer: %s", text)
        guider = NullTextGuider(model, positive, start, cfg, null_text)
        return io.NodeOutput(guider, latent, ui=ui.PreviewText(text))


NODES = [NullTextInversion]
