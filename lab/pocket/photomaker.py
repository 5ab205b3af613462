"""PhotoMaker V2 for the pocket world's model: its identity encoder, its LoRA, and the file that the loader takes.

python lab pocket.photomaker --output FILE     needs photomaker.safetensors, writes it as models/photomaker wants it

Trained here is the part that meets what is not zero in the text's states (text.py); `photomaker_tensors` puts it into
the real file's names and widths, with zeros elsewhere. Zero there are also the vision transformer and all that would
read it: these identity tokens know of a person what buffalo_l's embedding of each reference picture says.
"""

import pocket.comfyui  # noqa: F401  # isort: skip  first: it loads the host

import argparse
from pathlib import Path

import torch
from comfy.sdxl_clip import SDXLTokenizer
from customenhancer.identity import photomaker_encoder
from safetensors.torch import load_file, save_file
from torch import nn

from pocket import kept
from pocket.face_models import EMBEDDING
from pocket.kept import OUTPUT
from pocket.text import FULL_WIDTHS, TOKENS, WIDTH, PaddedLayerNorm, TextEncoders

TEXT, FULL = 2 * WIDTH, sum(FULL_WIDTHS.values())  # widths of a text state, here and in the file
TOKENS_PER_IMAGE, PROJECTION, HIDDEN, RANK = 2, 256, 512, 16
CLASS_WORDS = ("woman", "man", "person")
# Of what the file has and nothing reads. Heads of the vision transformer are 64 wide, of the perceiver 128.
VISION, PATCH, POSITIONS, ATTENTION, PROJECTED = 64, 32, 50, 128, 768


class MLP(photomaker_encoder.MLP):
    """The pack's, with layers of its own: (..., width) to (..., TEXT). full_width: of the LayerNorm in the file."""

    def __init__(self, width: int, full_width: int):
        nn.Module.__init__(self)
        self.layernorm = PaddedLayerNorm(full_width, width)
        self.fc1, self.fc2 = nn.Linear(width, HIDDEN), nn.Linear(HIDDEN, TEXT)


class FuseModule(photomaker_encoder.FuseModule):
    """The pack's, with layers of its own: text and identity (..., TEXT) to the same."""

    def __init__(self):
        nn.Module.__init__(self)
        self.mlp1, self.mlp2 = MLP(2 * TEXT, 2 * FULL), MLP(TEXT, FULL)
        self.layer_norm = PaddedLayerNorm(FULL, TEXT)


class Resampler(nn.Module):
    """The perceiver without its attention, which adds nothing."""

    def __init__(self):
        super().__init__()
        feed_forward = nn.Sequential(
            PaddedLayerNorm(FULL, TEXT), nn.Linear(TEXT, HIDDEN, bias=False), nn.GELU(), nn.Linear(HIDDEN, TEXT, False)
        )
        self.layers = nn.ModuleList([nn.ModuleList([nn.Identity(), feed_forward])])
        self.proj_out, self.norm_out = nn.Linear(TEXT, TEXT), PaddedLayerNorm(FULL, TEXT)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(..., TEXT), the same out."""
        _, feed_forward = self.layers[0]
        return self.norm_out(self.proj_out(tokens + feed_forward(tokens)))


class Perceiver(nn.Module):
    """From faces to identity tokens."""

    def __init__(self):
        super().__init__()
        self.token_proj = nn.Sequential(
            nn.Linear(EMBEDDING, PROJECTION), nn.GELU(), nn.Linear(PROJECTION, TOKENS_PER_IMAGE * TEXT)
        )
        self.token_norm, self.perceiver_resampler = PaddedLayerNorm(FULL, TEXT), Resampler()

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Embeddings (..., 512) as buffalo_l gives them: (..., TOKENS_PER_IMAGE, TEXT)."""
        tokens = self.token_norm(self.token_proj(faces).unflatten(-1, (TOKENS_PER_IMAGE, TEXT)))
        return tokens + self.perceiver_resampler(tokens)


class LoRA(nn.Module):
    """On every weight of the UNet's attentions, by diffusers' names. unet: the UNet's weights by the host's names."""

    def __init__(self, unet: dict[str, torch.Tensor]):
        super().__init__()
        self.places = lora_places()
        for name, place in self.places.items():
            outputs, inputs = unet[place].shape
            pair = reach(self, name)
            pair.down, pair.up = nn.Linear(inputs, RANK, bias=False), nn.Linear(RANK, outputs, bias=False)
            nn.init.normal_(pair.down.weight, std=inputs**-0.5)
            nn.init.zeros_(pair.up.weight)

    def forward(self, unet: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Those of these weights that it changes, changed."""
        pairs = {place: self.get_submodule(name) for name, place in self.places.items()}
        return {place: unet[place] + pair.up.weight @ pair.down.weight for place, pair in pairs.items()}


class PhotoMaker(nn.Module):
    """All that is trained; its state's names are the file's. unet: see LoRA. text_scale: of the class words' states.

    The fuse module begins by giving back about the text state that it is given.
    """

    def __init__(self, unet: dict[str, torch.Tensor], text_scale: float = 1.0):
        super().__init__()
        self.id_encoder = nn.ModuleDict({"qformer_perceiver": Perceiver(), "fuse_module": FuseModule()})
        self.lora_weights = LoRA(unet)
        for module in self.id_encoder.modules():
            if isinstance(module, PaddedLayerNorm):  # unit variance of what is not zero
                nn.init.constant_(module.weight, (TEXT / FULL) ** 0.5)
        with torch.no_grad():
            self.id_encoder["fuse_module"].layer_norm.weight *= text_scale

    def forward(self, text: TextEncoders, ids: torch.Tensor, faces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Context (B, 77, TEXT) and pooled text (B, WIDTH) of prompts with a person in them, as the node makes them.

        ids: (B, 2, 77), a class word in each. faces: (B, R, 512), the embeddings of R reference pictures.
        """
        identity = self.id_encoder["qformer_perceiver"](faces).flatten(1, 2)
        copies, places = identity.shape[1], class_places(ids)
        context, pooled = text(repeat_token(ids, places, copies))
        where = torch.arange(len(ids))[:, None], places[:, None] + torch.arange(copies)
        fused = self.id_encoder["fuse_module"](context[where], identity)
        return context.index_put(where, fused), pooled


def class_places(ids: torch.Tensor) -> torch.Tensor:
    """Where in prompts (B, 2, 77) the class word stands: (B,). Raises ValueError for a prompt without one."""
    tokenizer = SDXLTokenizer()
    words = [tokenizer.tokenize_with_weights(word)["l"][0][1][0] for word in CLASS_WORDS]
    found = torch.isin(ids[:, 0], torch.tensor(words, dtype=ids.dtype))
    if not found.any(dim=1).all():
        raise ValueError(f"ids: a prompt names none of {', '.join(CLASS_WORDS)}, so there is no place for the identity")
    return found.int().argmax(dim=1)


def repeat_token(ids: torch.Tensor, places: torch.Tensor, copies: int) -> torch.Tensor:
    """Prompts (B, 2, 77) with the token at places (B,) there so many times; what stands at the end falls out."""
    columns = torch.arange(TOKENS)
    sources = columns - (columns - places[:, None]).clamp(0, copies - 1)
    return ids.gather(2, sources[:, None].expand_as(ids))


def lora_places() -> dict[str, str]:
    """The UNet's attention weights by the names of their LoRA in the file."""
    blocks = {"mid_block.attentions.0": "middle_block.1"}
    for level in (1, 2):
        for index in range(2):
            blocks[f"down_blocks.{level}.attentions.{index}"] = f"input_blocks.{3 * level + 1 + index}.1"
        for index in range(3):
            blocks[f"up_blocks.{2 - level}.attentions.{index}"] = f"output_blocks.{3 * (2 - level) + index}.1"
    return {
        f"unet.{name}.transformer_blocks.0.{attention}.processor.{weight}_lora": (
            f"{block}.transformer_blocks.0.{attention}.{weight}{'.0' if weight == 'to_out' else ''}.weight"
        )
        for name, block in blocks.items()
        for attention in ("attn1", "attn2")
        for weight in ("to_q", "to_k", "to_v", "to_out")
    }


def reach(root: nn.Module, name: str) -> nn.Module:
    """The module of this dotted name below root; what is missing on the way is made."""
    for part in name.split("."):
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root._modules[part]
    return root


def photomaker_tensors(compact: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The whole file, the two parts as prefixes of its keys, float16. compact: a PhotoMaker's state."""
    tensors = {f"id_encoder.{name}": torch.zeros(shape) for name, shape in _encoder_shapes().items()}
    for name, tensor in compact.items():
        if name.startswith("lora_weights."):
            inputs = FULL if _reads_text(name) else tensor.shape[1]
            tensors[name] = torch.zeros(len(tensor), inputs)
        where = [_places(*lengths) for lengths in zip(tensor.shape, tensors[name].shape, strict=True)]
        tensors[name][torch.meshgrid(*where, indexing="ij")] = tensor.float()
    return {name: tensor.half() for name, tensor in tensors.items()}


def _reads_text(name: str) -> bool:
    return name.endswith(("attn2.processor.to_k_lora.down.weight", "attn2.processor.to_v_lora.down.weight"))


def _places(length: int, full: int) -> torch.Tensor:
    """Where numbers of a text state, or of some one after another, stand in the file's; anything else comes first."""
    states = full // FULL
    if length != states * TEXT:
        return torch.arange(length)
    state = torch.cat([torch.arange(WIDTH), FULL_WIDTHS["l"] + torch.arange(WIDTH)])
    return (FULL * torch.arange(states)[:, None] + state).flatten()


def _encoder_shapes() -> dict[str, tuple[int, ...]]:
    """Name and shape of everything in the file's id_encoder."""
    embeddings, layer = "vision_model.embeddings", "vision_model.encoder.layers.0"
    shapes = {
        f"{embeddings}.class_embedding": (VISION,),
        f"{embeddings}.patch_embedding.weight": (VISION, 3, PATCH, PATCH),
        f"{embeddings}.position_embedding.weight": (POSITIONS, VISION),
        **_norm("vision_model.pre_layrnorm", VISION),
        **_norm(f"{layer}.layer_norm1", VISION),
        **_norm(f"{layer}.layer_norm2", VISION),
        **_linear(f"{layer}.mlp.fc1", VISION, VISION),
        **_linear(f"{layer}.mlp.fc2", VISION, VISION),
        **_norm("vision_model.post_layernorm", VISION),
        "visual_projection.weight": (PROJECTED, VISION),
        "visual_projection_2.weight": (FULL - PROJECTED, VISION),
    }
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        shapes |= _linear(f"{layer}.self_attn.{name}", VISION, VISION)
    for name, inputs in (("mlp1", 2 * FULL), ("mlp2", FULL)):
        shapes |= _norm(f"fuse_module.{name}.layernorm", inputs)
        shapes |= _linear(f"fuse_module.{name}.fc1", inputs, FULL) | _linear(f"fuse_module.{name}.fc2", FULL, FULL)
    resampler = "qformer_perceiver.perceiver_resampler"
    attention, feed_forward = f"{resampler}.layers.0.0", f"{resampler}.layers.0.1"
    return shapes | {
        **_norm("fuse_module.layer_norm", FULL),
        **_linear("qformer_perceiver.token_proj.0", EMBEDDING, PROJECTION),
        **_linear("qformer_perceiver.token_proj.2", PROJECTION, TOKENS_PER_IMAGE * FULL),
        **_norm("qformer_perceiver.token_norm", FULL),
        **_linear(f"{resampler}.proj_in", VISION, FULL),
        **_norm(f"{attention}.norm1", FULL),
        **_norm(f"{attention}.norm2", FULL),
        f"{attention}.to_q.weight": (ATTENTION, FULL),
        f"{attention}.to_kv.weight": (2 * ATTENTION, FULL),
        f"{attention}.to_out.weight": (FULL, ATTENTION),
        **_norm(f"{feed_forward}.0", FULL),
        f"{feed_forward}.1.weight": (HIDDEN, FULL),
        f"{feed_forward}.3.weight": (FULL, HIDDEN),
        **_linear(f"{resampler}.proj_out", FULL, FULL),
        **_norm(f"{resampler}.norm_out", FULL),
    }


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def main() -> None:
    """Write the file at its full widths: 45 MB."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=OUTPUT, help="the folder of the trained weights")
    parser.add_argument("--output", type=Path, default=OUTPUT / kept.PHOTOMAKER)
    options = parser.parse_args()
    save_file(photomaker_tensors(load_file(options.weights / "photomaker.safetensors")), options.output)
    print(options.output)


if __name__ == "__main__":
    main()
