"""The adapter: tokens of a person, which every cross-attention attends to beside the text."""

import torch
from comfy.ldm.modules.attention import optimized_attention

BLOCKS = [("input", n) for n in (4, 5, 7, 8)] + [("middle", 0)] + [("output", n) for n in range(6)]


class IdentityAttention:
    """Replaces one block's cross-attention, on the conditional rows alone. tokens: (T, 2048)."""

    def __init__(self, tokens, strength):
        self.tokens = tokens
        self.strength = strength

    def __call__(self, q, k, v, extra_options):
        heads = extra_options["n_heads"]
        out = optimized_attention(q, k, v, heads)
        conditional = torch.tensor([1.0 - flag for flag in extra_options["cond_or_uncond"]]).to(q)
        rows = conditional.repeat_interleave(len(q) // len(conditional)).reshape(-1, 1, 1)
        tokens = self.tokens[:, : q.shape[-1]].expand(len(q), -1, -1)
        return out + self.strength * rows * optimized_attention(q, tokens, tokens, heads)

    def to(self, *args, **kwargs):
        """The host moves patches that can be moved."""
        self.tokens = self.tokens.to(*args, **kwargs)
        return self


class SharpenedSelfAttention:
    """An attn1 patch: queries a little longer, so that self-attention is sharper."""

    def __call__(self, q, k, v, extra_options):
        return q * 1.1, k, v


class ApplyIdentity:
    """A MODEL that draws the person number `person`."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": ("MODEL",),
                "person": ("INT", {"default": 0, "min": 0, "max": 0xFFFFFFFF}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0}),
            }
        }

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "apply"
    CATEGORY = "third_party"

    def apply(self, model, person, strength):
        """Clone and patch."""
        tokens = torch.randn(4, 2048, generator=torch.Generator().manual_seed(person))
        patched = model.clone()
        for block in BLOCKS:
            patched.set_model_attn2_replace(IdentityAttention(tokens, strength), *block)
        patched.set_model_attn1_patch(SharpenedSelfAttention())
        return (patched,)
