"""PhotoMaker's encoders by other hands: transformers' CLIP, diffusers' perceiver, the fuse module in plain torch."""

import re

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import IPAdapterFaceIDPlusImageProjection
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

# The names of PhotoMaker V2's perceiver, as patterns, and diffusers' names for the same.
RENAMED = {
    r"^token_proj\.0": "proj.net.0.proj",
    r"^token_proj\.2": "proj.net.2",
    r"^token_norm": "norm",
    r"^perceiver_resampler\.": "",
    r"^(layers\.\d+)\.0\.norm1": r"\1.ln0",
    r"^(layers\.\d+)\.0\.norm2": r"\1.ln1",
    r"^(layers\.\d+)\.0\.(to_q|to_kv)": r"\1.attn.\2",
    r"^(layers\.\d+)\.0\.to_out": r"\1.attn.to_out.0",
    r"^(layers\.\d+)\.1\.0": r"\1.ff.0",
    r"^(layers\.\d+)\.1\.1": r"\1.ff.1.net.0.proj",
    r"^(layers\.\d+)\.1\.3": r"\1.ff.1.net.2",
}


def fuse_reference(tensors, text, identity):
    """LN(mlp2(mlp1(cat(text, identity)) + text)), mlp2 residual, on the file's own tensors."""

    def layer(name, x, function):
        return function(x, tensors[f"fuse_module.{name}.weight"], tensors[f"fuse_module.{name}.bias"])

    def norm(x, weight, bias):
        return F.layer_norm(x, x.shape[-1:], weight, bias)

    def mlp(name, x):
        hidden = F.gelu(layer(f"{name}.fc1", layer(f"{name}.layernorm", x, norm), F.linear))
        return layer(f"{name}.fc2", hidden, F.linear)

    x = mlp("mlp1", torch.cat([text, identity], dim=-1)) + text
    return layer("layer_norm", mlp("mlp2", x) + x, norm)


def clip_reference(tensors, pixels):
    """What transformers' CLIP makes of pixels: projected, pooled and hidden; sizes read from the tensors."""
    hidden, _, patch, _ = tensors["vision_model.embeddings.patch_embedding.weight"].shape
    config = CLIPVisionConfig(
        hidden_size=hidden,
        intermediate_size=tensors["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=sum(key.endswith("layer_norm1.weight") for key in tensors),
        num_attention_heads=hidden // 64,
        image_size=pixels.shape[-1],
        patch_size=patch,
        projection_dim=tensors["visual_projection.weight"].shape[0],
        attn_implementation="eager",
    )
    with torch.device("meta"):
        clip = CLIPVisionModelWithProjection(config).eval()
    faults = clip.load_state_dict(tensors, strict=False, assign=True)
    assert not faults.missing_keys
    embeddings = clip.vision_model.embeddings  # the one buffer that no file holds
    embeddings.position_ids = torch.arange(embeddings.num_positions)[None]
    hidden = clip.vision_model(pixels)
    return clip.visual_projection(hidden.pooler_output), hidden.pooler_output, hidden.last_hidden_state


def identity_reference(tensors, pixels):
    """V1: cat(projection, projection_2) of the pooled class token."""
    projected, pooled, _ = clip_reference(tensors, pixels)
    return torch.cat([projected, F.linear(pooled, tensors["visual_projection_2.weight"])], dim=-1)


def identity_reference_v2(tensors, pixels, faces):
    """V2: diffusers' perceiver over transformers' CLIP before its last norm; a picture's two tokens side by side."""
    part = {
        key.removeprefix("qformer_perceiver."): tensor
        for key, tensor in tensors.items()
        if key.startswith("qformer_perceiver.")
    }
    width, hidden = part["perceiver_resampler.proj_in.weight"].shape
    inner = part["perceiver_resampler.layers.0.0.to_q.weight"].shape[0]
    with torch.device("meta"):
        perceiver = IPAdapterFaceIDPlusImageProjection(
            embed_dims=width,
            output_dims=width,
            hidden_dims=hidden,
            depth=sum(key.endswith("to_q.weight") for key in part),
            dim_head=128,
            heads=inner // 128,
            num_tokens=2,
            ffn_ratio=part["perceiver_resampler.layers.0.1.1.weight"].shape[0] / width,
            ffproj_ratio=part["token_proj.0.weight"].shape[0] / 512,
        )
    perceiver.shortcut = True
    renamed = {}
    for key, tensor in part.items():
        for theirs, diffusers in RENAMED.items():
            key = re.sub(theirs, diffusers, key)
        if key.endswith("to_kv.weight"):
            renamed[key.replace("to_kv", "to_k")], renamed[key.replace("to_kv", "to_v")] = tensor.chunk(2)
        else:
            renamed[key] = tensor
    perceiver.load_state_dict(renamed, assign=True)
    perceiver.clip_embeds = clip_reference(tensors, pixels)[2][:, None]
    return perceiver.eval()(faces).flatten(0, 1)
