"""Control modules for the pocket world's model: ControlNets, kept as what sets them apart from the UNet's encoder.

python lab pocket.control --kind pose --output FILE     needs unet.safetensors and what train_control.py writes

A ControlNet is a copy of the UNet's encoder and middle, with layers that read a picture, the hint, and convolutions
that begin as zeros. Of the copy only a difference of low rank from each weight is kept, and the hint's layers have
fewer channels. `control_tensors` puts all together, as the file that the stock loader takes.
"""

import pocket.comfyui  # noqa: F401  # isort: skip  first: it loads the host

import argparse
import functools
from pathlib import Path

import torch
from comfy.cldm.cldm import ControlNet
from safetensors.torch import load_file, save_file
from torch import nn
from torch.func import functional_call

from pocket.checkpoint import padded, part, widened
from pocket.kept import HINTS, OUTPUT
from pocket.photomaker import reach
from pocket.unet import ENCODER

RANK = 4
# Outputs of the convolutions that bring the hint to an eighth of its size; the file has (16, 16, 32, 32, 96, 96, 256).
HINT_CHANNELS, HINT_STRIDES = (16, 16, 32, 32, 32, 32, 64), (1, 1, 2, 1, 2, 1, 2)
OWN = ("input_hint_block.", "zero_convs.", "middle_block_out.")  # of a ControlNet: what no UNet has


@functools.cache
def network() -> ControlNet:
    """The host's ControlNet of this shape; its weights come with each call."""
    return ControlNet(hint_channels=3, device="meta", **ENCODER)


class Control(nn.Module):
    """All that is trained. unet: the UNet's weights by the host's names. It begins by adding nothing to the UNet."""

    def __init__(self, unet: dict[str, torch.Tensor]):
        super().__init__()
        inputs = 3
        self.input_hint_block = nn.Sequential()
        for outputs, stride in zip(HINT_CHANNELS, HINT_STRIDES, strict=True):
            self.input_hint_block.extend([nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.SiLU()])
            inputs = outputs
        self.input_hint_block.append(nn.Conv2d(inputs, ENCODER["model_channels"], 3, padding=1))
        shapes = {name: tensor.shape for name, tensor in network().state_dict().items()}
        for name in (name for name in shapes if name.startswith(OWN[1:])):
            layer, _, kind = name.rpartition(".")
            reach(self, layer).register_parameter(kind, nn.Parameter(torch.zeros(shapes[name])))
        for name in (name for name in shapes if not name.startswith(OWN) and unet[name].ndim > 1):
            outputs, inputs = unet[name].flatten(1).shape
            layer, rank = reach(self, name.removesuffix(".weight")), min(RANK, outputs, inputs)
            layer.down = nn.Parameter(torch.randn(rank, inputs) * inputs**-0.5)
            layer.up = nn.Parameter(torch.zeros(outputs, rank))

    @torch.no_grad()
    def fit_to(self, hint: torch.Tensor) -> None:
        """Bring what each layer makes of these hints (B, 3, H, W) to unit variance, else thin lines fade on the way.

        Counted is where anything is drawn: key points are a thousandth of their picture.
        """
        for layer in self.input_hint_block[::2]:
            layer.bias.zero_()
            hint = layer(hint)
            deviation = hint.movedim(1, -1)[hint.abs().amax(dim=1) > 0].std()
            layer.weight /= deviation
            hint = nn.functional.silu(hint / deviation)

    def forward(self, unet: dict[str, torch.Tensor], hint, x, timesteps, context, y) -> dict[str, list[torch.Tensor]]:
        """What it adds to the UNet. hint: (B, 3, 8 H, 8 W), 0 to 1. x and what follows: as the UNet's own."""
        weights = merged(dict(self.named_parameters()), unet)
        return functional_call(network(), weights, (x, hint, timesteps, context, y))


def merged(control: dict[str, torch.Tensor], unet: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A whole ControlNet's weights by the host's names, narrow. control: a Control's state. unet: see Control."""
    weights = {name: tensor for name, tensor in control.items() if name.startswith(OWN)}
    for name in (name for name in network().state_dict() if not name.startswith(OWN)):
        layer, weight = name.removesuffix(".weight"), unet[name]
        if f"{layer}.up" in control:
            weight = weight + (control[f"{layer}.up"] @ control[f"{layer}.down"]).view_as(weight)
        weights[name] = weight
    return weights


def controlled(unet: nn.Module, control: dict[str, list[torch.Tensor]], x, timesteps, context, y, attentions=None):
    """The UNet's prediction with what a Control adds, which is used up. attentions: replacements of attn2 by place."""
    options = {
        # The host adds in place to what the blocks after it need for their gradients.
        "patches": {"input_block_patch_after_skip": [lambda h, _: h.clone()]},
        "patches_replace": {"attn2": attentions or {}},
    }
    return unet(x, timesteps, context=context, y=y, control=control, transformer_options=options)


def control_tensors(compact: dict[str, torch.Tensor], unet: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The whole file, float16. compact: a Control's state. unet: the UNet's weights by the host's names."""
    compact, unet = ({name: tensor.float() for name, tensor in tensors.items()} for tensors in (compact, unet))
    tensors = {}
    for name, tensor in merged(compact, unet).items():
        if name.startswith("input_hint_block."):  # SiLU keeps zeros, so channels of zeros change nothing
            tensor = padded(tensor, *network().get_parameter(name).shape)
        tensors[name] = widened(name, tensor).half()
    return tensors


def main() -> None:
    """Write the file at its full widths: 11 MB."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=HINTS, required=True)
    parser.add_argument("--weights", type=Path, default=OUTPUT, help="the folder of the trained weights")
    parser.add_argument("--output", type=Path, help="by default pocket_KIND.safetensors beside the others")
    options = parser.parse_args()
    file = options.output or OUTPUT / f"pocket_{options.kind}.safetensors"
    compact = load_file(options.weights / f"control_{options.kind}.safetensors")
    save_file(control_tensors(compact, part(load_file(options.weights / "unet.safetensors"), "unet.")), file)
    print(file)


if __name__ == "__main__":
    main()
