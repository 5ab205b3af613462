"""InstantID's decoupled attention in the host: besides the text, every attention layer attends to a face's tokens.

The face travels with the CONDITIONING, in the host's `model_conds`, so the host takes care of batches, areas, masks,
timestep ranges and whichever way a guider calls its conditionings. A MODEL is patched once, the same way for any face.
Layers are replaced only in the calls that a face acts in: without one, the network runs as if it had not been patched.
Keys and values do not depend on the picture: they are computed once, and no weight of the adapter is needed while
sampling.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace

import comfy.utils
import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.patcher_extension import WrappersMP

# Prefix of the names of faces among the network's arguments, and name of this module's entry in transformer_options.
KEY = "customenhancer_instantid"

# Whether the MODEL that is preparing a call of its network has face attention.
_attending = ContextVar(f"{KEY}_attending", default=False)


@dataclass(frozen=True)
class Face:
    """A face as an entry of `model_conds`, with the methods that the host calls on one.

    tokens: (1, T, 2048). keys_values: (2, T, sum of the layers' widths). scale: weight of the attention to it.
    start_percent, end_percent: when it acts, 0 to 1. mask: where, (M, H, W), 0 to 1, or None for everywhere; M is 1 or
    the batch size. batch_size, area (height, width, y, x in latent pixels, or None): of one call, set by the host.
    attended: whether the MODEL that prepares that call attends to faces.
    """

    tokens: torch.Tensor
    keys_values: torch.Tensor
    scale: float
    start_percent: float
    end_percent: float
    mask: torch.Tensor | None
    batch_size: int = 1
    area: tuple[int, ...] | None = None
    attended: bool = False

    def process_cond(self, batch_size: int, area, **_) -> "Face":
        """The face for one call of the network."""
        return replace(self, batch_size=batch_size, area=area and tuple(area), attended=_attending.get())

    def can_concat(self, other) -> bool:
        """Whether both may share one call."""
        return isinstance(other, Face)

    def concat(self, others: list["Face"]) -> tuple["Face", ...]:
        """What the network receives: the faces of its batch, in order.

        Raises ValueError if the MODEL does not attend to faces: its network would ignore them without a word.
        """
        if not self.attended:
            raise _not_patched()
        return (self, *others)

    def missing_in(self, model) -> str:
        """Raises ValueError if a MODEL does not attend to faces; "" if it does."""
        if KEY not in model.wrappers.get(WrappersMP.CALC_COND_BATCH, {}):
            raise _not_patched()
        return ""

    def size(self) -> list[int]:
        """The shape, for the host's estimate of memory."""
        return list(self.keys_values.shape)


def _not_patched() -> ValueError:
    return ValueError(
        "positive: carries a face of InstantID, but the model that samples it is not patched for faces, so the face "
        "would have no effect. Connect the model output of InstantID Forward Flow to the guider or KSampler."
    )


def face_key() -> str:
    """A new name for one face in `model_conds`, so that several may share one CONDITIONING."""
    return f"{KEY}_{uuid.uuid4().hex}"


def put_face(conditioning: list, face: Face, key: str) -> list:
    """A CONDITIONING with a face in it; the one that came in is not changed."""
    return [
        [cond, {**options, "model_conds": {**options.get("model_conds", {}), key: face}}]
        for cond, options in conditioning
    ]


def attention_layers(model) -> Iterator[tuple[tuple[str, int, int], torch.nn.Module]]:
    """The cross-attentions of an SDXL MODEL in the order of the adapter's file, which is that of diffusers.

    Yields (block name, number, index of the transformer block), which is how the host names the place of a replacement,
    and the module. The middle block's number is 0.
    """
    return _layers(model.model.diffusion_model)


def _layers(network: torch.nn.Module) -> Iterator[tuple[tuple[str, int, int], torch.nn.Module]]:
    groups = {"input": network.input_blocks, "output": network.output_blocks, "middle": [network.middle_block or ()]}
    for name, blocks in groups.items():
        for number, block in enumerate(blocks):
            for transformer in (module for module in block if isinstance(module, SpatialTransformer)):
                for index, layer in enumerate(transformer.transformer_blocks):
                    yield (name, number, index), layer.attn2


def add_decoupled_attention(model, widths: list[int]):
    """A MODEL whose attention layers attend to the Faces of its CONDITIONING. The one that came in is not changed.

    widths: of the adapter's layers. Raises ValueError if model's layers are not those of the adapter.
    """
    expected = [attention.to_k.out_features for _, attention in attention_layers(model)]
    if widths != expected:
        raise ValueError(
            f"instantid: made for {_described(widths)}, and model has {_described(expected)}. Connect the MODEL of an "
            "SDXL checkpoint and InstantID's own ip-adapter.bin."
        )
    if KEY in model.wrappers.get(WrappersMP.CALC_COND_BATCH, {}):
        return model
    patched = model.clone()
    patched.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, KEY, ContextRecorder())
    patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, KEY, _hand_over_faces)
    return patched


def _described(widths: list[int]) -> str:
    return f"{len(widths)} attention layers of widths {sorted(set(widths))}"


@dataclass(frozen=True)
class FaceContext:
    """This module's entry in transformer_options. shape: of the whole latent. percent_to_sigma: of the model in use."""

    shape: tuple[int, ...]
    percent_to_sigma: Callable[[float], float]


class ContextRecorder:
    """Wraps the host's calc_cond_batch: records what a single call of the network can no longer tell."""

    def __call__(self, executor, model, conds, x_in, timestep, model_options):
        """Arguments and result: of calc_cond_batch."""
        noted = FaceContext(tuple(x_in.shape), model.model_sampling.percent_to_sigma)
        transformer_options = {**model_options.get("transformer_options", {}), KEY: noted}
        before = _attending.set(True)
        try:
            return executor(model, conds, x_in, timestep, {**model_options, "transformer_options": transformer_options})
        finally:
            _attending.reset(before)

    def missing_from(self, conds: Iterable[dict]) -> str:
        """What to tell the user if no face is in the conds of a flow that is to draw one; "" if there is one."""
        if any(isinstance(entry, Face) for cond in conds for entry in cond.get("model_conds", {}).values()):
            return ""
        return (
            "its model comes from InstantID Forward Flow, but its conditioning carries no face, so it draws no "
            "likeness. Connect the positive and negative outputs of that node to its guider."
        )


def _hand_over_faces(executor, x, timesteps, context, y, control, transformer_options, **kwargs):
    """Wraps the network: takes the Faces out of its arguments, and has its attention layers attend to them."""
    batches = [kwargs.pop(key) for key in list(kwargs) if key.startswith(KEY)]
    if batches:
        noted, sigma = transformer_options[KEY], transformer_options["sigmas"][0].item()
        faces = [
            ActiveFace(face, rows, noted.shape, x)
            for batch in batches
            for face, rows in zip(batch, _rows(batch), strict=True)
            if face.scale != 0 and _acts(face, sigma, noted.percent_to_sigma)
        ]
        if faces:
            replaced = transformer_options.get("patches_replace", {})
            attn2 = _replacements(executor.class_obj, faces, replaced.get("attn2", {}))
            transformer_options = {**transformer_options, "patches_replace": {**replaced, "attn2": attn2}}
    return executor(x, timesteps, context, y, control, transformer_options, **kwargs)


def _rows(batch: tuple[Face, ...]) -> Iterator[slice]:
    stop = 0
    for face in batch:
        start, stop = stop, stop + face.batch_size
        yield slice(start, stop)


def _acts(face: Face, sigma: float, percent_to_sigma) -> bool:
    """Whether sigma lies in the face's range, both ends included, as for the host's ControlNets."""
    return percent_to_sigma(face.end_percent) <= sigma <= percent_to_sigma(face.start_percent)


def _replacements(network: torch.nn.Module, faces: list["ActiveFace"], earlier: dict) -> dict:
    """The host's attn2 replacements for one call. earlier: those of other packs, which are called and added to."""
    attn2, stop = dict(earlier), 0
    for place, layer in _layers(network):
        start, stop = stop, stop + layer.to_k.out_features
        theirs = earlier.get(place) or earlier.get(place[:2])
        attn2[place] = DecoupledAttention(layer, slice(start, stop), faces, theirs)
    return attn2


class DecoupledAttention:
    """A replacement for one cross-attention, before its `to_out` (InstantID's eq. 3, from IP-Adapter).

    layer: the network's module. columns: the layer's part of a Face's keys and values. faces: those that act.
    earlier: the replacement that was there before, or None.
    """

    def __init__(
        self, layer: torch.nn.Module, columns: slice, faces: list["ActiveFace"], earlier: Callable | None = None
    ):
        self.layer = layer
        self.columns = columns
        self.faces = faces
        self.earlier = earlier

    def __call__(self, q, k, v, extra_options):
        """q: (B, S, width). k, v: (B, 77, width), of the text. Returns (B, S, width)."""
        if self.earlier is None:
            attended = attend(self.layer, q, k, v, extra_options)
        else:
            attended = self.earlier(q, k, v, extra_options)
        for face in self.faces:
            attended = face.add_to(attended, q, self.layer, self.columns, extra_options)
        return attended


class _BetweenProjections:
    """A cross-attention module whose projections hand on what they get; all else is the module's own."""

    def __init__(self, layer: torch.nn.Module):
        self._layer = layer

    def __getattr__(self, name):
        return getattr(self._layer, name)

    @staticmethod
    def _hand_on(x):
        return x

    to_q = to_k = to_v = to_out = _hand_on


def attend(layer: torch.nn.Module, q, k, v, transformer_options: dict):
    """What a cross-attention makes of projected q, k and v, (B, S, width) and (B, T, width), before its `to_out`.

    By the module's own `forward`, so that whatever the host hands to its attention function, such as the heads, the
    precision or, in newer versions, a preferred implementation, is handed over here as well.
    """
    between = _BetweenProjections(layer)
    return type(layer).forward(between, q, context=k, value=v, transformer_options=transformer_options)


class ActiveFace:
    """A Face in one call of the network, on its device. rows: its part of the batch. shape: of the whole latent."""

    def __init__(self, face: Face, rows: slice, shape, like: torch.Tensor):
        self.rows = rows
        self.scale = face.scale
        self.keys, self.values = face.keys_values.to(like)
        self._mask = None if face.mask is None else _crop(face.mask.to(like), shape, face)
        self._gains = {}

    def add_to(self, attended: torch.Tensor, q: torch.Tensor, layer, columns: slice, extra_options) -> torch.Tensor:
        """`attended` plus, in this face's rows, `scale` times the layer's attention to it."""
        own = q[self.rows]
        keys, values = (part[:, columns].expand(len(own), -1, -1) for part in (self.keys, self.values))
        added = self.scale * attend(layer, own, keys, values, extra_options)
        if self._mask is not None:
            added = added * self._gain(tuple(extra_options["activations_shape"][-2:]))
        before, after = attended[: self.rows.start], attended[self.rows.stop :]
        return torch.cat([before, attended[self.rows] + added, after])

    def _gain(self, size: tuple[int, int]) -> torch.Tensor:
        """The mask at a layer's resolution (height, width): (batch, height * width, 1)."""
        if size not in self._gains:
            resized = torch.nn.functional.interpolate(self._mask, size, mode="area")
            self._gains[size] = resized.flatten(1)[..., None]
        return self._gains[size]


def _crop(mask: torch.Tensor, shape, face: Face) -> torch.Tensor:
    """The mask (M, H, W) at latent size, for each picture of the batch, cropped to the area that the network sees."""
    mask = mask.reshape(-1, 1, *mask.shape[-2:])  # some nodes give masks without the first dimension
    resized = torch.nn.functional.interpolate(mask, tuple(shape[-2:]), mode="area")
    if face.area is not None:
        height, width, y, x = face.area
        resized = resized[..., y : y + height, x : x + width]
    return comfy.utils.repeat_to_batch_size(resized, face.batch_size)
