"""The perceiver resampler of identity models: a few latents attend to a sequence of features, layer by layer.

Parameter names follow the files of TencentARC/PhotoMaker (V2) and instantX-research/InstantID.
"""

import comfy.model_management
import torch
from comfy.ldm.modules.attention import optimized_attention_for_device


class PerceiverAttention(torch.nn.Module):
    """Latents attend to features and to themselves.

    width: of features and latents. inner: of all heads together. head_width: of one, which no tensor's shape tells.
    """

    def __init__(self, width: int, inner: int, head_width: int, dtype, device, operations):
        super().__init__()
        factory = {"dtype": dtype, "device": device}
        self.heads = inner // head_width
        self.norm1 = operations.LayerNorm(width, **factory)
        self.norm2 = operations.LayerNorm(width, **factory)
        self.to_q = operations.Linear(width, inner, bias=False, **factory)
        self.to_kv = operations.Linear(width, 2 * inner, bias=False, **factory)
        self.to_out = operations.Linear(inner, width, bias=False, **factory)

    def forward(self, features: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """features: (B, S, width). latents: (B, T, width). Returns (B, T, width)."""
        latents = self.norm2(latents)
        key, value = self.to_kv(torch.cat([self.norm1(features), latents], dim=1)).chunk(2, dim=-1)
        attention = optimized_attention_for_device(latents.device, small_input=True)
        return self.to_out(attention(self.to_q(latents), key, value, self.heads))


def feed_forward(width: int, hidden: int, dtype, device, operations) -> torch.nn.Sequential:
    """LayerNorm, linear, GELU, linear, without biases: (..., width) to (..., width)."""
    factory = {"dtype": dtype, "device": device}
    return torch.nn.Sequential(
        operations.LayerNorm(width, **factory),
        operations.Linear(width, hidden, bias=False, **factory),
        torch.nn.GELU(),
        operations.Linear(hidden, width, bias=False, **factory),
    )


class PerceiverResampler(torch.nn.Module):
    """(B, S, features) and (B, T, width) latents to (B, T, output) tokens.

    state_dict: the file's part for this module, unprefixed; only its shapes and dtype are read. head_width: of the
    attention. operations: torch.nn, or the host's twin of it that casts weights as they are used.
    Raises KeyError or IndexError if a tensor that determines a size is missing or has too few dimensions.
    """

    def __init__(self, state_dict: dict[str, torch.Tensor], head_width: int, device, operations):
        super().__init__()
        width, features = state_dict["proj_in.weight"].shape
        output, dtype = state_dict["proj_out.weight"].shape[0], state_dict["proj_in.weight"].dtype
        inner, hidden = state_dict["layers.0.0.to_q.weight"].shape[0], state_dict["layers.0.1.1.weight"].shape[0]
        depth = len({key.split(".")[1] for key in state_dict if key.startswith("layers.")})
        factory = {"dtype": dtype, "device": device, "operations": operations}
        self.proj_in = operations.Linear(features, width, dtype=dtype, device=device)
        self.layers = torch.nn.ModuleList(
            torch.nn.ModuleList(
                [PerceiverAttention(width, inner, head_width, **factory), feed_forward(width, hidden, **factory)]
            )
            for _ in range(depth)
        )
        self.proj_out = operations.Linear(width, output, dtype=dtype, device=device)
        self.norm_out = operations.LayerNorm(output, dtype=dtype, device=device)

    def forward(self, features: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """features: (B, S, features). latents: (B, T, width). Returns (B, T, output)."""
        features = self.proj_in(features)
        for attention, feed in self.layers:
            latents = attention(features, latents) + latents
            latents = feed(latents) + latents
        return self.norm_out(self.proj_out(latents))


class QueryResampler(PerceiverResampler):
    """InstantID's `image_proj`: its latents are parameters of its own. An embedding (B, features) to (B, T, output)."""

    def __init__(self, state_dict: dict[str, torch.Tensor], head_width: int, device, operations):
        super().__init__(state_dict, head_width, device, operations)
        latents = state_dict["latents"]
        self.latents = torch.nn.Parameter(torch.empty(latents.shape, dtype=latents.dtype, device=device))

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """embedding: (B, features), float32. Returns (B, T, output)."""
        latents = comfy.model_management.cast_to_device(self.latents, embedding.device, embedding.dtype)
        return super().forward(embedding[:, None], latents.expand(len(embedding), -1, -1))
