"""InstantID for the pocket world's model: its adapter and its IdentityNet, and the two files that the loaders take.

python lab pocket.instantid --output DIR     needs unet.safetensors and instantid.safetensors

Narrow here and zero beyond in the file are a face's tokens, which stand where a text state does (text.py).
"""

import pocket.comfyui  # noqa: F401  # isort: skip  first: it loads the host

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from comfy.ldm.modules.attention import optimized_attention
from customenhancer.identity.perceiver import QueryResampler
from safetensors.torch import load_file, save_file
from torch import nn

from pocket.checkpoint import part, reads_text
from pocket.control import Control, control_tensors, controlled
from pocket.face_models import EMBEDDING
from pocket.kept import IDENTITY_NET, INSTANTID, OUTPUT
from pocket.photomaker import FULL, TEXT
from pocket.text import PaddedLayerNorm

TOKENS, RESAMPLER, HEAD, HIDDEN = 4, 128, 64, 256  # InstantID's own: 16, 1280, 64, 5120, and four layers, not one
# The places of the UNet's cross-attentions as the host names them, in the file's order.
PLACES = [("input", n, 0) for n in (4, 5, 7, 8)] + [("output", n, 0) for n in range(6)] + [("middle", 0, 0)]


class Resampler(QueryResampler):
    """From a face's embedding (B, 512), as antelopev2 gives it, to its tokens (B, TOKENS, TEXT)."""

    def __init__(self):
        shapes = {
            "latents": (1, TOKENS, RESAMPLER),
            "proj_in.weight": (RESAMPLER, EMBEDDING),
            "proj_out.weight": (TEXT, RESAMPLER),
            "layers.0.0.to_q.weight": (RESAMPLER, RESAMPLER),
            "layers.0.1.1.weight": (HIDDEN, RESAMPLER),
        }
        super().__init__({name: torch.empty(shape) for name, shape in shapes.items()}, HEAD, "cpu", nn)
        nn.init.normal_(self.latents)
        self.norm_out = PaddedLayerNorm(FULL, TEXT)
        nn.init.constant_(self.norm_out.weight, (TEXT / FULL) ** 0.5)  # unit variance of what is not zero


class InstantID(nn.Module):
    """All that is trained; its first two parts have the file's names. unet: the UNet's weights by the host's names.

    It begins by adding nothing to the UNet.
    """

    def __init__(self, unet: dict[str, torch.Tensor]):
        super().__init__()
        self.image_proj, self.ip_adapter, self.identity_net = Resampler(), nn.ModuleDict(), Control(unet)
        for number, place in enumerate(PLACES):
            width = len(unet[f"{_attention(place)}.to_k.weight"])
            layer = nn.ModuleDict({name: nn.Linear(TEXT, width, bias=False) for name in ("to_k_ip", "to_v_ip")})
            nn.init.zeros_(layer["to_v_ip"].weight)
            self.ip_adapter[str(2 * number + 1)] = layer

    def forward(self, unet: nn.Module, faces: torch.Tensor, hint, x, timesteps, context, y) -> torch.Tensor:
        """The noise in x, both parts at full strength. hint: key-point pictures. x and what follows: as the UNet's own.

        faces: (B, 512), of nobody zeros.
        """
        with torch.autocast("cpu", enabled=False):
            tokens = self.image_proj(faces)
        control = self.identity_net(unet.state_dict(), hint, x, timesteps, tokens, y)
        layers = zip(PLACES, self.ip_adapter.values(), strict=True)
        attentions = {place: decoupled(layer["to_k_ip"](tokens), layer["to_v_ip"](tokens)) for place, layer in layers}
        return controlled(unet, control, x, timesteps, context, y, attentions)


def decoupled(keys: torch.Tensor, values: torch.Tensor) -> Callable:
    """A replacement of a cross-attention that attends to the text and, beside it, to these (B, TOKENS, width)."""

    def attend(q, k, v, options):
        heads = options["n_heads"]
        return optimized_attention(q, k, v, heads) + optimized_attention(q, keys, values, heads)

    return attend


def instantid_tensors(compact: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The adapter's whole file, its parts as prefixes of the keys, float16. compact: an InstantID's state."""
    tensors = {name: tensor for name, tensor in compact.items() if not name.startswith("identity_net.")}
    for name, tensor in tensors.items():
        if name.startswith("ip_adapter."):
            tensors[name] = reads_text(tensor)
        elif name.startswith(("image_proj.proj_out.", "image_proj.norm_out.")):
            tensors[name] = reads_text(tensor.reshape(TEXT, -1).T).T.reshape(FULL, *tensor.shape[1:])
    return {name: tensor.half().contiguous() for name, tensor in tensors.items()}


def identity_net_tensors(compact: dict[str, torch.Tensor], unet: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """IdentityNet's whole file, a ControlNet. compact: an InstantID's state. unet: see `control_tensors`."""
    return control_tensors(part(compact, "identity_net."), unet)


def _attention(place: tuple[str, int, int]) -> str:
    """The UNet's name of a cross-attention."""
    group, number, index = place
    block = "middle_block.1" if group == "middle" else f"{group}_blocks.{number}.1"
    return f"{block}.transformer_blocks.{index}.attn2"


def main() -> None:
    """Write both files at their full widths: 21 MB."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=OUTPUT, help="the folder of the trained weights")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the folder of the two files")
    options = parser.parse_args()
    compact, model = (load_file(options.weights / f"{name}.safetensors") for name in ("instantid", "unet"))
    save_file(instantid_tensors(compact), options.output / INSTANTID)
    save_file(identity_net_tensors(compact, part(model, "unet.")), options.output / IDENTITY_NET)


if __name__ == "__main__":
    main()
