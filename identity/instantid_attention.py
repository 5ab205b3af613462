"""InstantID's decoupled attention in the host: besides the text, every attention layer attends to a face's tokens.

The face travels with the CONDITIONING, in the host's `model_conds`, so the host takes care of batches, areas, masks,
timestep ranges and whichever way a guider calls its conditionings. A MODEL is patched once, the same way for any face,
and for a CONDITIONING without a face it predicts what it predicted before, to the bit. Keys and values do not depend on
the picture: they are computed once, and no weight of the adapter is needed while sampling.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import comfy.utils
import torch
from comfy.ldm.modules.attention import SpatialTransformer, optimized_attention
from comfy.patcher_extension import WrappersMP

# Prefix of the names of faces among the network's arguments, and name of this module's entry in transformer_options.
KEY = "customenhancer_instantid"


@dataclass(frozen=True)
class Face:
    """A face as an entry of `model_conds`, with the methods that the host calls on one.

    tokens: (1, T, 2048). keys_values: (2, T, sum of the layers' widths). scale: weight of the attention to it.
    start_percent, end_percent: when it acts, 0 to 1. mask: where, (M, H, W), 0 to 1, or None for everywhere; M is 1 or
    the batch size. batch_size, area (height, width, y, x in latent pixels, or None): of one call, set by the host.
    """

    tokens: torch.Tensor
    keys_values: torch.Tensor
    scale: float
    start_percent: float
    end_percent: float
    mask: torch.Tensor | None
    batch_size: int = 1
    area: tuple[int, ...] | None = None

    def process_cond(self, batch_size: int, area, **_) -> "Face":
        """The face for one call of the network."""
        return replace(self, batch_size=batch_size, area=area and tuple(area))

    def can_concat(self, other) -> bool:
        """Whether both may share one call."""
        return isinstance(other, Face)

    def concat(self, others: list["Face"]) -> tuple["Face", ...]:
        """What the network receives: the faces of its batch, in order."""
        return (self, *others)

    def size(self) -> list[int]:
        """The shape, for the host's estimate of memory."""
        return list(self.keys_values.shape)


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
    network = model.model.diffusion_model
    groups = {"input": network.input_blocks, "output": network.output_blocks, "middle": [network.middle_block or ()]}
    for name, blocks in groups.items():
        for number, block in enumerate(blocks):
            for transformer in (module for module in block if isinstance(module, SpatialTransformer)):
                for index, layer in enumerate(transformer.transformer_blocks):
                    yield (name, number, index), layer.attn2


def add_decoupled_attention(model, widths: list[int]):
    """A MODEL whose attention layers attend to the Faces of its CONDITIONING. The one that came in is not changed.

    widths: of the adapter's layers. Where another pack has replaced a layer, that replacement is called and added to.
    Raises ValueError if model's layers are not those of the adapter.
    """
    layers = list(attention_layers(model))
    expected = [attention.to_k.out_features for _, attention in layers]
    if widths != expected:
        raise ValueError(
            f"instantid: made for {_described(widths)}, and model has {_described(expected)}. Connect the MODEL of an "
            "SDXL checkpoint and InstantID's own ip-adapter.bin."
        )
    if KEY in model.wrappers.get(WrappersMP.CALC_COND_BATCH, {}):
        return model
    patched = model.clone()
    replaced = patched.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
    stop = 0
    for (name, number, index), attention in layers:
        start, stop = stop, stop + attention.to_k.out_features
        earlier = replaced.get((name, number, index)) or replaced.get((name, number))
        patched.set_model_attn2_replace(DecoupledAttention(slice(start, stop), earlier), name, number, index)
    patched.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, KEY, _record_context)
    patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, KEY, _hand_over_faces)
    return patched


def _described(widths: list[int]) -> str:
    return f"{len(widths)} attention layers of widths {sorted(set(widths))}"


class DecoupledAttention:
    """A replacement for one cross-attention, before its `to_out` (InstantID's eq. 3, from IP-Adapter).

    columns: the layer's part of a Face's keys and values. earlier: the replacement that was there before, or None.
    """

    def __init__(self, columns: slice, earlier: Callable | None):
        self.columns = columns
        self.earlier = earlier

    def __call__(self, q, k, v, extra_options):
        """q: (B, S, width). k, v: (B, 77, width), of the text. Returns (B, S, width)."""
        attend = self.earlier or _attend
        attended = attend(q, k, v, extra_options)
        for face in extra_options.get(KEY, FaceContext()).faces:
            attended = face.add_to(attended, q, self.columns, extra_options)
        return attended


def _attend(q, k, v, extra_options):
    """What the layer does unless it is replaced."""
    return optimized_attention(
        q, k, v, extra_options["n_heads"], attn_precision=extra_options["attn_precision"],
        transformer_options=extra_options,
    )  # fmt: skip


@dataclass(frozen=True)
class FaceContext:
    """This module's entry in transformer_options.

    shape: of the whole latent. percent_to_sigma: of the model in use. faces: those that act in the current call.
    """

    shape: tuple[int, ...] = ()
    percent_to_sigma: Callable[[float], float] | None = None
    faces: tuple["ActiveFace", ...] = ()


class ActiveFace:
    """A Face in one call of the network, on its device. rows: its part of the batch. shape: of the whole latent."""

    def __init__(self, face: Face, rows: slice, shape, like: torch.Tensor):
        self.rows = rows
        self.scale = face.scale
        self.keys, self.values = face.keys_values.to(like)
        self._mask = None if face.mask is None else _crop(face.mask.to(like), shape, face)
        self._gains = {}

    def add_to(self, attended: torch.Tensor, q: torch.Tensor, columns: slice, extra_options) -> torch.Tensor:
        """`attended` plus, in this face's rows, `scale` times the attention to it."""
        own = q[self.rows]
        keys, values = (part[:, columns].expand(len(own), -1, -1) for part in (self.keys, self.values))
        heads, precision = extra_options["n_heads"], extra_options["attn_precision"]
        added = self.scale * optimized_attention(
            own, keys, values, heads, attn_precision=precision, transformer_options=extra_options
        )
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


def _record_context(executor, model, conds, x_in, timestep, model_options):
    """Wraps the host's calc_cond_batch: records what a single call of the network can no longer tell."""
    faces = FaceContext(tuple(x_in.shape), model.model_sampling.percent_to_sigma)
    transformer_options = {**model_options.get("transformer_options", {}), KEY: faces}
    return executor(model, conds, x_in, timestep, {**model_options, "transformer_options": transformer_options})


def _hand_over_faces(executor, x, timesteps, context, y, control, transformer_options, **kwargs):
    """Wraps the network: moves the Faces from its arguments to where its attention layers find them."""
    batches = [kwargs.pop(key) for key in list(kwargs) if key.startswith(KEY)]
    noted = transformer_options.get(KEY)
    if batches and noted:
        sigma = transformer_options["sigmas"][0].item()
        faces = tuple(
            ActiveFace(face, rows, noted.shape, x)
            for batch in batches
            for face, rows in zip(batch, _rows(batch), strict=True)
            if face.scale != 0 and _acts(face, sigma, noted.percent_to_sigma)
        )
        transformer_options = {**transformer_options, KEY: replace(noted, faces=faces)}
    return executor(x, timesteps, context, y, control, transformer_options, **kwargs)


def _rows(batch: tuple[Face, ...]) -> Iterator[slice]:
    stop = 0
    for face in batch:
        start, stop = stop, stop + face.batch_size
        yield slice(start, stop)


def _acts(face: Face, sigma: float, percent_to_sigma) -> bool:
    """Whether sigma lies in the face's range, both ends included, as for the host's ControlNets."""
    return percent_to_sigma(face.end_percent) <= sigma <= percent_to_sigma(face.start_percent)
