"""PhotoMaker's identity encoders: a CLIP vision transformer, each version's projection of it, and the fuse module.

Parameter names and order of operations follow the `id_encoder` part of the files from TencentARC/PhotoMaker. All sizes
come from the file: the published one is a ViT-L/14, but a file of the same layout loads at any size.
"""

from math import isqrt

import comfy.clip_model
import comfy.model_management
import torch

from .perceiver import PerceiverResampler

# The file does not say how many heads its vision transformer has. CLIP's are 64 wide (ViT-L: 16 heads for 1024).
HEAD_WIDTH = 64
# Nor how many V2's perceiver has: TencentARC/PhotoMaker's are 128 wide (16 heads for 2048).
PERCEIVER_HEAD_WIDTH = 128
PERCEIVER = "qformer_perceiver."


class MLP(torch.nn.Module):
    """LayerNorm, linear, GELU, linear: (..., in_width) to (..., width)."""

    def __init__(self, in_width: int, width: int, dtype, device, operations):
        super().__init__()
        self.layernorm = operations.LayerNorm(in_width, dtype=dtype, device=device)
        self.fc1 = operations.Linear(in_width, width, dtype=dtype, device=device)
        self.fc2 = operations.Linear(width, width, dtype=dtype, device=device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (..., in_width). Returns (..., width)."""
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


def _stop_if_interrupted(*_) -> None:
    comfy.model_management.throw_exception_if_processing_interrupted()


class PhotoMakerEncoder(torch.nn.Module):
    """V1. Turns pictures into identity tokens (`forward`) and fuses those into a prompt's class tokens (`fuse_module`).

    state_dict: the file's encoder part, unprefixed; only its shapes and dtype are read here.
    operations: torch.nn, or the host's twin of it that casts weights as they are used.
    tokens_per_image: how many identity tokens `forward` makes from one picture.
    Raises KeyError or IndexError if a tensor that determines a size is missing or has too few dimensions.
    """

    tokens_per_image = 1

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
        for layer in self.vision_model.encoder.layers:  # all pictures go through each at once, which may take long
            layer.register_forward_pre_hook(_stop_if_interrupted)
        self.visual_projection = operations.Linear(hidden, projected, bias=False, **factory)
        self.visual_projection_2 = operations.Linear(hidden, self.width - projected, bias=False, **factory)
        self.fuse_module = FuseModule(self.width, dtype, device, operations)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """pixels: (N, 3, image_size, image_size), normalised as for CLIP. Returns one token per picture, (N, width)."""
        pooled = self.vision_model(pixels)[2]
        return torch.cat([self.visual_projection(pooled), self.visual_projection_2(pooled)], dim=-1)


class IdentityPerceiver(torch.nn.Module):
    """What V2 adds: tokens made from a face's embedding, which then attend to the picture's patches.

    state_dict: the whole encoder part. hidden: width of the vision transformer. width: width of the identity tokens.
    """

    def __init__(self, state_dict: dict[str, torch.Tensor], hidden: int, width: int, device, operations):
        super().__init__()
        inner, self.face_width = state_dict[f"{PERCEIVER}token_proj.0.weight"].shape
        dtype = state_dict[f"{PERCEIVER}token_norm.weight"].dtype
        self.tokens_per_image = state_dict[f"{PERCEIVER}token_proj.2.weight"].shape[0] // width
        factory = {"dtype": dtype, "device": device}
        self.token_proj = torch.nn.Sequential(
            operations.Linear(self.face_width, inner, **factory),
            torch.nn.GELU(),
            operations.Linear(inner, width * self.tokens_per_image, **factory),
        )
        self.token_norm = operations.LayerNorm(width, **factory)
        prefix = f"{PERCEIVER}perceiver_resampler."
        sizes = {key.removeprefix(prefix): tensor for key, tensor in state_dict.items() if key.startswith(prefix)}
        # Its widths are taken from its neighbours, so that a file whose perceiver has other widths is misshapen.
        sizes["proj_in.weight"] = torch.empty(width, hidden, dtype=dtype, device="meta")
        sizes["proj_out.weight"] = torch.empty(width, width, dtype=dtype, device="meta")
        self.perceiver_resampler = PerceiverResampler(sizes, PERCEIVER_HEAD_WIDTH, device, operations)

    def forward(self, faces: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """faces: (N, face_width), raw embeddings. patches: (N, P, hidden). Returns (N, tokens_per_image, width)."""
        tokens = self.token_norm(self.token_proj(faces).unflatten(-1, (self.tokens_per_image, -1)))
        return tokens + self.perceiver_resampler(patches, tokens)


class PhotoMakerV2Encoder(PhotoMakerEncoder):
    """V2. Its identity tokens come from the face's embedding and the patches of the picture.

    The two projections of V1 are in its files as well, but V2 does not use them. Arguments and errors are those of V1;
    face_width: width of the embeddings that it reads.
    """

    def __init__(self, state_dict: dict[str, torch.Tensor], device, operations):
        super().__init__(state_dict, device, operations)
        hidden = self.visual_projection.in_features
        self.qformer_perceiver = IdentityPerceiver(state_dict, hidden, self.width, device, operations)
        self.tokens_per_image = self.qformer_perceiver.tokens_per_image
        self.face_width = self.qformer_perceiver.face_width

    def forward(self, pixels: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
        """pixels: as in V1. faces: (N, face_width), raw embeddings from buffalo_l's recogniser, one per picture.

        Returns (N * tokens_per_image, width), the tokens of each picture one after the other.
        """
        patches = self.vision_model(pixels)[0]
        return self.qformer_perceiver(faces, patches).flatten(0, 1)


def encoder_class(state_dict: dict[str, torch.Tensor]) -> type[PhotoMakerEncoder]:
    """The encoder of the version that these tensors belong to, which their keys alone tell."""
    return PhotoMakerV2Encoder if any(key.startswith(PERCEIVER) for key in state_dict) else PhotoMakerEncoder
