"""Inception v3 as FID takes it: TensorFlow's network of 2015, in torchvision's blocks."""

from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.inception import Inception3

SIDE, FEATURES, CLASSES = 299, 2048, 1008
AVERAGING = ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7b")
average = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
maximum = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)


class Inception(nn.Module):
    """(B, 3, H, W), 0 .. 1, to the last pooling's features, (B, FEATURES). file: TensorFlow's weights for PyTorch.

    TensorFlow's network differs from torchvision's in its pools: averages do not count the padding, and the last block
    takes the maximum.
    """

    def __init__(self, file: Path | None = None):
        super().__init__()
        self.network = Inception3(num_classes=CLASSES, aux_logits=False, init_weights=False)
        if file is not None:
            self.network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
        for name in AVERAGING:
            _pool_by(average, self.network.get_submodule(name))
        _pool_by(maximum, self.network.Mixed_7c)
        self.network.fc = nn.Identity()
        self.eval()

    def forward(self, pictures: Tensor) -> Tensor:
        """Features. The pictures are resized without a crop, bilinearly and with antialiasing, as torchmetrics does."""
        small = F.interpolate(255 * pictures, (SIDE, SIDE), mode="bilinear", antialias=True)
        return self.network((small - 128) / 128)


def _pool_by(pool, block: nn.Module) -> None:
    """Let a block's last branch see what `pool` makes of the block's input, in place of torchvision's average."""
    seen = []
    block.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    block.branch_pool.register_forward_pre_hook(lambda *_: (pool(seen.pop()),))
