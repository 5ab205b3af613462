"""A constructed SDXL stand-in: one checkpoint with the real single-file key names, made from a seed in seconds.

Untrained. The layout is SDXL's at a tenth of its width: the UNet at 32 model channels (64 and 128 where there is
attention; heads of 64, one transformer block deep where SDXL has two and ten: their projections of the wide context are
most of the cost), context 2048 and vector conditioning 2816 as in the real file; CLIP-L and CLIP-G of three
layers at their real widths and vocabulary (so token ids are real); a TAESD as VAE.

Random weights alone give saturated noise, so part of the UNet is constructed. Its first `LANES` channels carry a
low-pass pyramid of the input past all random layers; the last block subtracts it from the input, and the output head
reads that difference as the noise. What is left after denoising is therefore smooth. The random layers (attention over
text, vector conditioning, time step and picture in every block) push that picture about with `INFLUENCE`.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from standins.taesd import vae_weights

CONTEXT = 2048
VECTOR = 2816
VOCABULARY = 49408
TOKENS = 77

LANES = 4
# Share of each octave that counts as noise: 1 for the finest. Denoising from sigma 14.6 leaves about 0.002 ** share.
MIDDLE_OCTAVE = 0.6
LOW_OCTAVES = 0.17
INFLUENCE = 0.04


@dataclass(frozen=True)
class Size:
    """How wide and deep a network of SDXL's layout is.

    channels, depths: of the UNet's three levels, from full to quarter size; depths in transformer blocks.
    clip_layers, clip_hidden: of CLIP-L and of CLIP-G; hidden widths of their feed-forward layers.
    """

    channels: tuple[int, int, int]
    depths: tuple[int, int, int]
    clip_layers: tuple[int, int]
    clip_hidden: tuple[int, int]


TINY = Size(channels=(32, 64, 128), depths=(0, 1, 1), clip_layers=(3, 3), clip_hidden=(512, 512))
FULL = Size(channels=(320, 640, 1280), depths=(0, 2, 10), clip_layers=(12, 32), clip_hidden=(3072, 5120))


class Weights:
    """Draws named weights from one seeded generator into a dict of float16 tensors."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)
        self.tensors = {}

    def draw(self, *shape, std=1.0):
        """Draw one tensor, which gets no name."""
        return torch.randn(shape, generator=self.generator).mul_(std).half()

    def put(self, key, tensor):
        """Give a tensor its name, and return what was stored (it may be edited in place)."""
        self.tensors[key] = tensor.half()
        return self.tensors[key]

    def normal(self, key, *shape, std=1.0):
        """Draw one tensor, give it its name and return it (it may be edited in place)."""
        return self.put(key, self.draw(*shape, std=std))

    def linear(self, name, n_in, n_out, gain=1.0, bias=True):
        """A linear layer that keeps unit variance times `gain`."""
        weight = self.normal(f"{name}.weight", n_out, n_in, std=gain / math.sqrt(n_in))
        if bias:
            self.normal(f"{name}.bias", n_out, std=0.1 * gain)
        return weight

    def conv(self, name, n_in, n_out, size=3, gain=1.0):
        """A convolution that keeps unit variance times `gain`."""
        weight = self.normal(f"{name}.weight", n_out, n_in, size, size, std=gain / math.sqrt(n_in * size * size))
        self.normal(f"{name}.bias", n_out, std=0.1 * gain)
        return weight

    def norm(self, name, n):
        """A normalisation close to the plain one."""
        self.normal(f"{name}.weight", n, std=0.1).add_(1)
        self.normal(f"{name}.bias", n, std=0.1)

    def silence(self, name, rows):
        """Set the outputs `rows` of a layer to zero."""
        self.tensors[f"{name}.weight"][rows] = 0
        self.tensors[f"{name}.bias"][rows] = 0


def _resblock(weights, name, n_in, n_out, embedding, lanes=LANES):
    weights.norm(f"{name}.in_layers.0", n_in)
    weights.conv(f"{name}.in_layers.2", n_in, n_out)
    weights.linear(f"{name}.emb_layers.1", embedding, n_out)
    weights.norm(f"{name}.out_layers.0", n_out)
    weights.conv(f"{name}.out_layers.3", n_out, n_out, gain=0.7)
    weights.silence(f"{name}.out_layers.3", slice(lanes))
    if n_in == n_out:
        return None
    skip = weights.conv(f"{name}.skip_connection", n_in, n_out, size=1)
    weights.silence(f"{name}.skip_connection", slice(lanes))
    for lane in range(LANES):
        skip[lane, lane] = 1
    return skip


def _attention(weights, name, width, context, gain):
    # Sharp enough (logits with a deviation of about two) that single words matter.
    weights.linear(f"{name}.to_q", width, width, gain=1.4, bias=False)
    weights.linear(f"{name}.to_k", context, width, gain=1.4, bias=False)
    weights.linear(f"{name}.to_v", context, width, bias=False)
    weights.linear(f"{name}.to_out.0", width, width, gain=gain)


def transformer(weights, name, width, depth):
    """Draw one spatial transformer; its first `LANES` outputs add nothing."""
    weights.norm(f"{name}.norm", width)
    weights.linear(f"{name}.proj_in", width, width)
    for index in range(depth):
        block = f"{name}.transformer_blocks.{index}"
        for norm in ("norm1", "norm2", "norm3"):
            weights.norm(f"{block}.{norm}", width)
        _attention(weights, f"{block}.attn1", width, width, gain=0.5)
        _attention(weights, f"{block}.attn2", width, CONTEXT, gain=1.0)
        weights.linear(f"{block}.ff.net.0.proj", width, 8 * width)
        weights.linear(f"{block}.ff.net.2", 4 * width, width, gain=0.5)
    weights.linear(f"{name}.proj_out", width, width)
    weights.silence(f"{name}.proj_out", slice(LANES))


def _downsample(weights, name, width):
    conv = weights.conv(name, width, width)
    weights.silence(name, slice(LANES))
    line = torch.tensor([0.25, 0.5, 0.25])
    for lane in range(LANES):
        conv[lane, lane] = torch.outer(line, line)


def _upsample(weights, name, width):
    conv = weights.conv(name, width, width)
    # Samples lie on the even pixels, and each is repeated once before this layer: the mean with the next pixel
    # interpolates. The random features are enlarged as smoothly: a coarse grid in them would show in the picture.
    line = torch.tensor([0.0, 0.5, 0.5])
    bilinear = torch.outer(line, line)
    conv[:] = conv.sum(dim=(2, 3), keepdim=True) * bilinear
    weights.silence(name, slice(LANES))
    for lane in range(LANES):
        conv[lane, lane] = bilinear


def _unet(weights, size):
    name, embedding = "model.diffusion_model", 4 * size.channels[0]
    weights.linear(f"{name}.time_embed.0", size.channels[0], embedding)
    weights.linear(f"{name}.time_embed.2", embedding, embedding)
    weights.linear(f"{name}.label_emb.0.0", VECTOR, embedding, gain=2.0)
    weights.linear(f"{name}.label_emb.0.2", embedding, embedding, gain=2.0)

    first = weights.conv(f"{name}.input_blocks.0.0", 4, size.channels[0])
    weights.silence(f"{name}.input_blocks.0.0", slice(LANES))
    first[:LANES, :, 1, 1] = torch.eye(LANES)
    width, skips, index = size.channels[0], [size.channels[0]], 1
    for level, channels in enumerate(size.channels):
        for _ in range(2):
            _resblock(weights, f"{name}.input_blocks.{index}.0", width, channels, embedding)
            width = channels
            if size.depths[level]:
                transformer(weights, f"{name}.input_blocks.{index}.1", width, size.depths[level])
            skips.append(width)
            index += 1
        if level < 2:
            _downsample(weights, f"{name}.input_blocks.{index}.0.op", width)
            skips.append(width)
            index += 1

    _resblock(weights, f"{name}.middle_block.0", width, width, embedding)
    transformer(weights, f"{name}.middle_block.1", width, size.depths[-1])
    _resblock(weights, f"{name}.middle_block.2", width, width, embedding)

    for index in range(9):
        level = 2 - index // 3
        below, width = width, size.channels[level]
        # The head normalises channels in 32 groups: the last block keeps the group that has the lanes to them alone.
        lanes = max(2 * LANES, width // 32) if index == 8 else LANES
        block = f"{name}.output_blocks.{index}"
        skip = _resblock(weights, f"{block}.0", below + skips.pop(), width, embedding, lanes)
        _join_lanes(skip, below, index)
        if size.depths[level]:
            transformer(weights, f"{block}.1", width, size.depths[level])
        if index in (2, 5):
            _upsample(weights, f"{block}.2.conv", width)
    _head(weights, f"{name}.out", size.channels[0])


def _join_lanes(skip, below, index):
    """Edit an output block's 1x1 skip connection, whose inputs are the `below` channels and then the stored ones."""
    # The stored features are those of the noisy picture; the ones from below are smooth.
    skip[LANES:, below:] *= 0.3
    for lane in range(LANES):
        if index == 3:  # half size: add this octave to the lower ones
            skip[lane, lane] = MIDDLE_OCTAVE - LOW_OCTAVES
            skip[lane, below + lane] = 1 - MIDDLE_OCTAVE
        if index == 8:  # full size: the input less what counts as picture, in both signs
            skip[lane, lane], skip[lane, below + lane] = -1, 1
            skip[LANES + lane] = -skip[lane]


def _head(weights, name, width):
    # At 32 channels each is a group: every lane is brought to unit variance, as noise must be. Wider, all lanes are.
    weights.norm(f"{name}.0", width)
    weights.tensors[f"{name}.0.weight"][: 2 * LANES] = 1
    weights.tensors[f"{name}.0.bias"][: 2 * LANES] = 0
    head = weights.draw(4, width, 1, 1, std=INFLUENCE / math.sqrt(width - 2 * LANES))
    head = head.repeat(1, 1, 3, 3) / 3
    head[:, : 2 * LANES] = 0
    for lane in range(LANES):  # silu(a) - silu(-a) = a
        head[lane, lane, 1, 1], head[lane, LANES + lane, 1, 1] = 1, -1
    weights.put(f"{name}.2.weight", head)
    weights.put(f"{name}.2.bias", torch.zeros(4))


def _clip_l(weights, layers, hidden):
    name, width = "conditioner.embedders.0.transformer.text_model", 768
    weights.normal(f"{name}.embeddings.token_embedding.weight", VOCABULARY, width)
    weights.normal(f"{name}.embeddings.position_embedding.weight", TOKENS, width, std=0.3)
    for index in range(layers):
        layer = f"{name}.encoder.layers.{index}"
        weights.norm(f"{layer}.layer_norm1", width)
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            weights.linear(f"{layer}.self_attn.{projection}", width, width)
        weights.norm(f"{layer}.layer_norm2", width)
        weights.linear(f"{layer}.mlp.fc1", width, hidden)
        weights.linear(f"{layer}.mlp.fc2", hidden, width)
    weights.norm(f"{name}.final_layer_norm", width)


def _clip_g(weights, layers, hidden):
    name, width = "conditioner.embedders.1.model", 1280
    weights.normal(f"{name}.token_embedding.weight", VOCABULARY, width)
    weights.normal(f"{name}.positional_embedding", TOKENS, width, std=0.3)
    for index in range(layers):
        layer = f"{name}.transformer.resblocks.{index}"
        weights.norm(f"{layer}.ln_1", width)
        weights.normal(f"{layer}.attn.in_proj_weight", 3 * width, width, std=1 / math.sqrt(width))
        weights.normal(f"{layer}.attn.in_proj_bias", 3 * width, std=0.1)
        weights.linear(f"{layer}.attn.out_proj", width, width)
        weights.norm(f"{layer}.ln_2", width)
        weights.linear(f"{layer}.mlp.c_fc", width, hidden)
        weights.linear(f"{layer}.mlp.c_proj", hidden, width)
    weights.norm(f"{name}.ln_final", width)
    weights.normal(f"{name}.text_projection", width, width, std=1 / math.sqrt(width))
    weights.put(f"{name}.logit_scale", torch.tensor(4.6055))


def draw_networks(weights: Weights, size: Size) -> None:
    """Draw the UNet and both text encoders under the names of SDXL's single file; what is left of it is the VAE."""
    _unet(weights, size)
    _clip_l(weights, size.clip_layers[0], size.clip_hidden[0])
    _clip_g(weights, size.clip_layers[1], size.clip_hidden[1])


def make_sdxl(path: Path, seed: int = 0) -> Path:
    """Write the stand-in checkpoint to `path` (safetensors, float16, 310 MB) and return the path.

    The same seed gives the same bytes.

    The host loads it with its stock checkpoint loader once `support_pack.tiny_sdxl.register_tiny_sdxl()` has run.
    """
    weights = Weights(seed)
    draw_networks(weights, TINY)
    for key, tensor in vae_weights().items():
        weights.put(f"first_stage_model.{key}", tensor)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights.tensors, path, metadata={"format": "pt"})
    return path
