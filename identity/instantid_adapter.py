"""InstantID's adapter: a resampler from a face embedding to tokens, and each attention layer's keys and values of them.

Parameter names follow `ip-adapter.bin` of instantX-research/InstantID. All sizes come from the file.
"""

import torch

from .perceiver import QueryResampler

# The file does not say how many attention heads its resampler has. InstantID's are 64 wide (20 heads for 1280).
HEAD_WIDTH = 64


class InstantIDAdapter(torch.nn.Module):
    """The file's `image_proj` and `ip_adapter` parts as one module.

    image_proj, ip_adapter: the two parts, unprefixed; only shapes and dtype are read here. operations: torch.nn, or
    the host's twin of it that casts weights as they are used.
    Raises KeyError, IndexError or ValueError if a tensor that determines a size is missing or misshapen.
    """

    def __init__(self, image_proj: dict, ip_adapter: dict, device, operations):
        super().__init__()
        self.image_proj = QueryResampler(image_proj, HEAD_WIDTH, device, operations)
        self.embedding_width = image_proj["proj_in.weight"].shape[1]
        self.token_width = image_proj["proj_out.weight"].shape[0]
        numbers = sorted({int(key.split(".")[0]) for key in ip_adapter})
        keys = [ip_adapter[f"{number}.to_k_ip.weight"] for number in numbers]
        self.ip_adapter = torch.nn.ModuleDict(
            {
                str(number): torch.nn.ModuleDict(
                    {
                        name: operations.Linear(*reversed(key.shape), bias=False, dtype=key.dtype, device=device)
                        for name in ("to_k_ip", "to_v_ip")
                    }
                )
                for number, key in zip(numbers, keys, strict=True)
            }
        )
        # One per attention layer, in the file's order.
        self.widths = [key.shape[0] for key in keys]

    def forward(self, embedding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """From raw face embeddings (B, 512), float32, to what the attention layers read.

        Returns the tokens (B, 16, 2048), and every layer's keys and values of them side by side in the order of
        `widths`, (B, 2, 16, sum of widths).
        """
        tokens = self.image_proj(embedding)
        keys_values = [
            torch.cat([layer[name](tokens) for layer in self.ip_adapter.values()], dim=-1)
            for name in ("to_k_ip", "to_v_ip")
        ]
        return tokens, torch.stack(keys_values, dim=1)
