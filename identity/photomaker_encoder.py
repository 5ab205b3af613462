"""PhotoMaker V1's identity encoder: a CLIP vision transformer with two projections, and the fuse module.

Parameter names and order of operations follow the `id_encoder` part of the files from TencentARC/PhotoMaker. All sizes
come from the file: the real one is a ViT-L/14, but a file of the same layout loads at any size.
"""

from math import isqrt

import comfy.clip_model
import torch

# The file does not say how many heads its vision transformer has. CLIP's are 64 wide (ViT-L: 16 heads for 1024).
HEAD_WIDTH = 64


class MLP(torch.nn.Module):
    """LayerNorm, linear, GELU, linear: (..., in_width) to (..., width)."""

    def __init__(self, in_width: int, width: int, dtype, device, operations):
        super().__init__()
        self.layernorm = operations.LayerNorm(in_width, dtype=dtype, device=device)
        self.fc1 = operations.Linear(in_width, width, dtype=dtype, device=device)
        self.fc2 = operations.Linear(width, width, dtype=dtype, device=device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(torch.nn.functional.gelu(self.fc1(self.layernorm(x))))


class FuseModule(torch.nn.Module):
    """Writes an identity into the text embedding of a class token (the paper's stacked ID embedding)."""

    def __init__(self, width: int, dtype, device, operations):
        super().__init__()
        self.mlp1 = MLP(2 * width, width, dtype, device, operations)
        self.mlp2 = MLP(width, width, dtype, device, operations)
        self.layer_norm = operations.LayerNorm(width, dtype=dtype, device=device)

    def forward(self, text: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        """text, identity: (..., width). Returns LN(mlp2(x) + x) with x = mlp1(cat(text, identity)) + text."""
        fused = self.mlp1(torch.cat([text, identity], dim=-1)) + text
        return self.layer_norm(self.mlp2(fused) + fused)


class PhotoMakerEncoder(torch.nn.Module):
    """From pictures to identity embeddings (`forward`), and from those into a prompt's class tokens (`fuse_module`).

    state_dict: the file's encoder part, unprefixed; only its shapes and dtype are read here.
    operations: torch.nn, or the host's twin of it that casts weights as they are used.
    Raises KeyError or IndexError where a tensor that carries a size is missing or has too few dimensions.
    """

    def __init__(self, state_dict: dict[str, torch.Tensor], device, operations):
        super().__init__()
        patch_embedding = state_dict["vision_model.embeddings.patch_embedding.weight"]
        positions = state_dict["vision_model.embeddings.position_embedding.weight"].shape[0]
        layers = {key.split(".")[3] for key in state_dict if key.startswith("vision_model.encoder.layers.")}
        hidden, patch, dtype = patch_embedding.shape[0], patch_embedding.shape[3], patch_embedding.dtype
        projected = state_dict["visual_projection.weight"].shape[0]

        self.image_size = isqrt(positions - 1) * patch
        self.width = state_dict["fuse_module.layer_norm.weight"].shape[0]
        config = {
            "model_type": "clip_vision_model",
            "hidden_act": "quick_gelu",
            "num_channels": patch_embedding.shape[1],
            "hidden_size": hidden,
            "intermediate_size": state_dict["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
            "num_hidden_layers": len(layers),
            "num_attention_heads": hidden // HEAD_WIDTH if hidden % HEAD_WIDTH == 0 else 1,
            "patch_size": patch,
            "image_size": self.image_size,
        }
        factory = {"dtype": dtype, "device": device}
        self.vision_model = comfy.clip_model.CLIPVision(config, dtype, device, operations)
        self.visual_projection = operations.Linear(hidden, projected, bias=False, **factory)
        self.visual_projection_2 = operations.Linear(hidden, self.width - projected, bias=False, **factory)
        self.fuse_module = FuseModule(self.width, dtype, device, operations)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """pixels: (N, 3, image_size, image_size), normalised as for CLIP. Returns a vector per picture, (N, width)."""
        pooled = self.vision_model(pixels)[2]
        return torch.cat([self.visual_projection(pooled), self.visual_projection_2(pooled)], dim=-1)


def shape_faults(state_dict: dict[str, torch.Tensor]) -> list[str]:
    """Names of the tensors that are missing, surplus or of another shape than the encoder of these sizes has.

    Raises what PhotoMakerEncoder raises.
    """
    with torch.device("meta"):
        encoder = PhotoMakerEncoder(state_dict, "meta", torch.nn)
    expected = {key: tensor.shape for key, tensor in encoder.state_dict().items()}
    found = {key: tensor.shape for key, tensor in state_dict.items()}
    return sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
