"""The pocket world's two text encoders: CLIP-L and CLIP-G whose states are zero beyond the first 64 numbers.

In the file they are three layers at SDXL's widths, 768 and 1280, as a stock loader and PhotoMaker's token rule want
them. What is zero there is left out here, so training them costs next to nothing beside the UNet. The third layer adds
nothing: SDXL's UNet reads the states after the second.
"""

import pocket.comfyui  # noqa: F401  # isort: skip  first: it loads the host

import torch
from comfy.sdxl_clip import SDXLTokenizer
from torch import nn

WIDTH, HIDDEN, TOKENS, VOCABULARY, LAYERS = 64, 512, 77, 49408, 3
FULL_WIDTHS = {"l": 768, "g": 1280}
EPSILON = 1e-5
END = 49407
POSITION_DEVIATION = 0.3


def token_ids(texts: list[str]) -> torch.Tensor:
    """SDXL's token ids of prompts, (B, 2, 77): for CLIP-L and CLIP-G, which pad otherwise. 75 tokens at most."""
    tokenizer = SDXLTokenizer()
    ids = []
    for text in texts:
        chunks = tokenizer.tokenize_with_weights(text)
        ids.append([[token for token, *_ in chunks[name][0]] for name in FULL_WIDTHS])
    return torch.tensor(ids, dtype=torch.int32)


class PaddedLayerNorm(nn.Module):
    """What a LayerNorm of `full_width` does to a state that is zero but for `width` numbers, as its own weights are."""

    def __init__(self, full_width: int, width: int = WIDTH):
        super().__init__()
        self.full_width = full_width
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., width), the same out."""
        mean = x.sum(dim=-1, keepdim=True) / self.full_width
        variance = x.square().sum(dim=-1, keepdim=True) / self.full_width - mean.square()
        return (x - mean) / (variance + EPSILON).sqrt() * self.weight + self.bias


class Layer(nn.Module):
    """A CLIP layer of one head, under the names of CLIP-L's file."""

    def __init__(self, full_width: int, activation):
        super().__init__()
        self.layer_norm1, self.layer_norm2 = PaddedLayerNorm(full_width), PaddedLayerNorm(full_width)
        self.self_attn = nn.ModuleDict(
            {name: nn.Linear(WIDTH, WIDTH) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
        )
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(WIDTH, HIDDEN), "fc2": nn.Linear(HIDDEN, WIDTH)})
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, WIDTH), the same out."""
        states = self.layer_norm1(x)
        q, k, v = (self.self_attn[name](states) for name in ("q_proj", "k_proj", "v_proj"))
        x = x + self.self_attn["out_proj"](nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True))
        return x + self.mlp["fc2"](self.activation(self.mlp["fc1"](self.layer_norm2(x))))


class Encoder(nn.Module):
    """One text encoder. known: how many tokens it has a trained embedding for."""

    def __init__(self, name: str, known: int):
        super().__init__()
        full_width = FULL_WIDTHS[name]
        self.token_embedding, self.position_embedding = nn.Embedding(known, WIDTH), nn.Embedding(TOKENS, WIDTH)
        nn.init.normal_(self.position_embedding.weight, std=POSITION_DEVIATION)
        activation = _quick_gelu if name == "l" else nn.functional.gelu
        self.layers = nn.ModuleList(Layer(full_width, activation) for _ in range(LAYERS - 1))
        self.final_layer_norm = PaddedLayerNorm(full_width)

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """Indices (B, T) of known tokens to states (B, T, WIDTH)."""
        x = self.token_embedding(indices) + self.position_embedding.weight
        for layer in self.layers:
            x = layer(x)
        return x


class TextEncoders(nn.Module):
    """Both encoders. vocabulary: (K,) the ids of the tokens that captions are made of, ascending."""

    def __init__(self, vocabulary: torch.Tensor):
        super().__init__()
        self.register_buffer("vocabulary", vocabulary)
        self.l, self.g = (Encoder(name, len(vocabulary)) for name in FULL_WIDTHS)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids (B, 2, 77), all of the vocabulary, to the context (B, 77, 2 WIDTH) and the pooled (B, WIDTH)."""
        indices = torch.searchsorted(self.vocabulary, ids)
        states_l, states_g = self.l(indices[:, 0]), self.g(indices[:, 1])
        ends = (ids[:, 1] == END).int().argmax(dim=-1)
        pooled = self.g.final_layer_norm(states_g[torch.arange(len(ids)), ends])
        return torch.cat([states_l, states_g], dim=-1), pooled


def _quick_gelu(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(1.702 * x)
