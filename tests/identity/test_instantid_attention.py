"""InstantID's decoupled attention inside the host's SDXL: which layers, how much, for whom, where and when."""

import comfy.model_base
import comfy.model_patcher
import comfy.samplers
import comfy.supported_models
import pytest
import torch
from comfy.ldm.modules import attention
from comfy.patcher_extension import WrappersMP
from comfy_extras.nodes_custom_sampler import DualCFGGuider
from comfy_extras.nodes_perpneg import PerpNegGuider
from customenhancer.identity import instantid_attention
from customenhancer.identity.instantid_attention import (
    KEY,
    Face,
    FaceContext,
    add_decoupled_attention,
    attention_layers,
    face_key,
    put_face,
)
from diffusers.models.attention_processor import Attention, IPAdapterAttnProcessor2_0
from nodes import ConditioningCombine, ConditioningSetArea, ConditioningSetMask
from standins.instantid_host import predict, text
from standins.photomaker_host import SDXL_UNET, sdxl_model

WIDTHS = [64] * 4 + [128] * 50 + [64] * 6 + [128] * 10


@pytest.fixture(scope="module")
def model():
    return sdxl_model(seed=1)


@pytest.fixture(scope="module")
def patched(model):
    return add_decoupled_attention(model, WIDTHS)


def face(seed=1, scale=0.8, start=0.0, end=1.0, mask=None) -> Face:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(1, 16, 2048, generator=generator)
    return Face(tokens, torch.randn(2, 16, sum(WIDTHS), generator=generator) * 3, scale, start, end, mask)


def pair(who: Face, key=None, nobody: Face | None = None):
    """A positive prompt with a face and a negative one with nobody's."""
    key = key or face_key()
    nobody = nobody or face(0, who.scale, who.start_percent, who.end_percent, who.mask)
    return put_face(text(1), who, key), put_face(text(2), nobody, key)


def test_seventy_of_seventy_layers_run_at_sdxls_real_size(monkeypatch, measured):
    """One forward pass of SDXL's own UNet, without memory for its weights, records which layers attend to the face."""
    config = comfy.supported_models.SDXL({**SDXL_UNET, "model_channels": 320})
    with torch.device("meta"):
        network = comfy.model_base.SDXL(config, device=torch.device("meta"))
    real = comfy.model_patcher.ModelPatcher(network, torch.device("meta"), "meta")
    widths = [640] * 4 + [1280] * 50 + [640] * 6 + [1280] * 10
    model = add_decoupled_attention(real, widths)
    ran = []

    def recorded(self, attended, q, layer, columns, extra_options):
        ran.append(((*extra_options["block"], extra_options["block_index"]), q.shape[-1], columns))
        return add_to(self, attended, q, layer, columns, extra_options)

    add_to = instantid_attention.ActiveFace.add_to
    monkeypatch.setattr(instantid_attention.ActiveFace, "add_to", recorded)
    # The CPU's own choice asks how much memory there is.
    monkeypatch.setattr(attention, "optimized_attention", attention.attention_pytorch)
    x = torch.empty(1, 4, 16, 16, device="meta")
    options = {**model.model_options["transformer_options"], "wrappers": model.wrappers, "sigmas": torch.ones(1)}
    options[KEY] = FaceContext(tuple(x.shape), lambda percent: 1e9 if percent <= 0 else 0.0)
    who = Face(torch.empty(1, 16, 2048), torch.empty(2, 16, sum(widths)), 1.0, 0.0, 1.0, None)
    network.diffusion_model(
        x, torch.empty(1, device="meta"), context=torch.empty(1, 77, 2048, device="meta"),
        y=torch.empty(1, 2816, device="meta"), transformer_options=options, **{face_key(): (who,)},
    )  # fmt: skip
    places = {place for place, _, _ in ran}
    measured("InstantID layers that ran in one pass of SDXL's real UNet, of 70", len(places))
    assert len(ran) == len(places) == 70
    assert sum(place[0] == "middle" for place in places) == 10 and ("middle", 0, 9) in places
    assert all(columns.stop - columns.start == width for _, width, columns in ran)
    # Each layer has its own part of the file: in diffusers' order the middle block comes last, in the network earlier.
    assert sorted(columns.start for *_, columns in ran) == [sum(widths[:n]) for n in range(70)]
    assert {columns.start for place, _, columns in ran if place[0] == "middle"} == {
        sum(widths[:n]) for n in range(60, 70)
    }


def test_the_files_numbers_name_the_layers_that_diffusers_names(model):
    """Numbers 1, 3: input 4; 9 to 27: input 7; 49 to 107: output 0 to 2; 121 to 139: the middle block."""
    order = [place for place, _ in attention_layers(model)]
    number = {place: 2 * n + 1 for n, place in enumerate(order)}
    assert [number["input", 4, n] for n in range(2)] == [1, 3]
    assert [number["input", 5, n] for n in range(2)] == [5, 7]
    assert [number["input", 7, n] for n in range(10)] == list(range(9, 28, 2))
    assert [number["input", 8, n] for n in range(10)] == list(range(29, 48, 2))
    for block, first in ((0, 49), (1, 69), (2, 89)):
        assert [number["output", block, n] for n in range(10)] == list(range(first, first + 20, 2))
    for block, first in ((3, 109), (4, 113), (5, 117)):
        assert [number["output", block, n] for n in range(2)] == [first, first + 2]
    assert [number["middle", 0, n] for n in range(10)] == list(range(121, 140, 2))


@pytest.mark.parametrize("scale", [0.8, 1.0])
@torch.no_grad()
def test_one_block_equals_diffusers_decoupled_attention(scale, measured):
    """The host's block with our replacement, against diffusers' attention with its IP-Adapter processor."""
    width, heads, generator = 640, 10, torch.Generator().manual_seed(8)

    def linear(n_out, n_in):
        return torch.randn(n_out, n_in, generator=generator) * n_in**-0.5

    weights = {"to_q": linear(width, width), "to_k": linear(width, 2048), "to_v": linear(width, 2048)}
    key, value, out = linear(width, 2048), linear(width, 2048), linear(width, width)
    reference = Attention(width, cross_attention_dim=2048, heads=heads, dim_head=64, bias=False)
    reference.load_state_dict(
        {**{f"{name}.weight": weight for name, weight in weights.items()}, "to_out.0.weight": out,
         "to_out.0.bias": torch.zeros(width)}
    )  # fmt: skip
    processor = IPAdapterAttnProcessor2_0(width, 2048, num_tokens=(16,), scale=scale)
    processor.load_state_dict({"to_k_ip.0.weight": key, "to_v_ip.0.weight": value})
    reference.set_processor(processor)
    x, context = torch.randn(2, 30, width, generator=generator), torch.randn(2, 77, 2048, generator=generator)
    tokens = torch.randn(2, 16, 2048, generator=generator)
    expected = reference(x, encoder_hidden_states=(context, [tokens[:, None]]))

    parts = [
        Face(tokens[n : n + 1], torch.stack([tokens[n] @ key.T, tokens[n] @ value.T]), scale, 0.0, 1.0, None)
        for n in range(2)
    ]
    faces = [instantid_attention.ActiveFace(who, slice(n, n + 1), (2, 4, 5, 6), x) for n, who in enumerate(parts)]
    layer = attention.CrossAttention(width, 2048, heads, 64)
    replacement = instantid_attention.DecoupledAttention(layer, slice(0, width), faces)
    attended = replacement(x @ weights["to_q"].T, context @ weights["to_k"].T, context @ weights["to_v"].T, {})
    ours = attended @ out.T
    measured(f"InstantID attention block at scale {scale}, against diffusers", (ours - expected).abs().max())
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)


def test_a_conditioning_without_a_face_gets_the_plain_model(model, patched):
    for cfg_off in (False, True):
        prompts = (text(1),) if cfg_off else (text(1), text(2))
        assert torch.equal(predict(patched, *prompts), predict(model, *prompts))


def test_scale_0_is_the_plain_model_and_more_is_more(model, patched):
    plain = predict(model, text(1), text(2))
    assert (predict(patched, *pair(face(scale=0.0))) - plain).abs().max() == 0
    changes = [(predict(patched, *pair(face(scale=scale))) - plain).abs().mean() for scale in (0.1, 0.4, 0.8)]
    assert 1e-4 < changes[0] < changes[1] < changes[2]


def test_each_half_of_the_guidance_takes_its_own_face(patched):
    """Both prompts in one call of the network, as the host does it, equal the two in calls of their own."""
    who, nobody = face(3), face(4)
    positive, negative = pair(who, nobody=nobody)
    cond, uncond = predict(patched, positive), predict(patched, negative)
    torch.testing.assert_close(predict(patched, positive, negative), uncond + 5 * (cond - uncond), rtol=0, atol=2e-4)


def test_batches_take_the_face_for_every_picture(patched):
    positive, negative = pair(face())
    together = predict(patched, positive, negative, batch=3)
    noise = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    assert together.shape == noise.shape
    first = predict(patched, positive, negative, batch=1)
    alone = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    assert torch.equal(alone[0], noise[0])
    torch.testing.assert_close(together[:1], first, rtol=0, atol=2e-4)


@pytest.mark.parametrize(("start", "end", "acts"), [(0.0, 1.0, True), (0.0, 0.1, False), (0.9, 1.0, False)])
def test_the_adapter_acts_between_start_and_end(model, patched, start, end, acts):
    plain = predict(model, text(1), text(2))
    changed = (predict(patched, *pair(face(start=start, end=end))) - plain).abs().max()
    assert (changed > 1e-3) if acts else (changed == 0)


def test_start_and_end_follow_the_models_own_schedule(model, patched):
    sigma = model.get_model_object("model_sampling").percent_to_sigma(0.5)
    plain = predict(model, text(1), text(2), sigma=sigma)
    for start, end, acts in ((0.5, 1.0, True), (0.0, 0.5, True), (0.501, 1.0, False), (0.0, 0.499, False)):
        changed = (predict(patched, *pair(face(start=start, end=end)), sigma=sigma) - plain).abs().max()
        assert (changed > 1e-3) if acts else (changed == 0), (start, end)


class TestMask:
    """A mask limits what attending to the face adds; a mask of ones is none."""

    def test_a_mask_of_ones_changes_no_bit(self, patched):
        plain = predict(patched, *pair(face()))
        for shape in ((1, 100, 60), (100, 60), (1, 8, 8)):
            assert torch.equal(predict(patched, *pair(face(mask=torch.ones(shape)))), plain)

    def test_a_mask_of_zeros_gives_the_plain_model(self, model, patched):
        assert torch.equal(predict(patched, *pair(face(mask=torch.zeros(1, 64, 64)))), predict(model, text(1), text(2)))

    @pytest.mark.parametrize("size", [(8, 8), (64, 64), (37, 113)])
    def test_a_layer_adds_inside_the_mask_alone_at_any_size(self, monkeypatch, patched, size):
        added = []
        add_to = instantid_attention.ActiveFace.add_to

        def recorded(self, attended, q, layer, columns, extra_options):
            result = add_to(self, attended, q, layer, columns, extra_options)
            height, width = extra_options["activations_shape"][-2:]
            change = (result - attended)[self.rows].abs().amax(-1).reshape(-1, height, width)
            added.append(change[0] > 0)
            return result

        monkeypatch.setattr(instantid_attention.ActiveFace, "add_to", recorded)
        mask = torch.zeros(1, *size)
        mask[:, :, (size[1] + 1) // 2 :] = 1
        predict(patched, put_face(text(1), face(mask=mask), face_key()), size=(16, 16))
        assert len(added) == 70
        for change in added:
            half = change.shape[1] // 2
            assert not change[:, : half - 1].any() and change[:, half + 1 :].all()

    def test_an_area_sees_its_own_part_of_the_mask(self, patched):
        """The area's network is shown the right half of the picture alone, and the mask's right half there is 1."""
        (area,) = ConditioningSetArea().append(text(1), width=64, height=128, x=64, y=0, strength=1.0)
        mask = torch.zeros(1, 128, 128)
        mask[:, :, 64:] = 1
        masked = predict(patched, put_face(area, face(mask=mask), face_key()), size=(16, 16))
        whole = predict(patched, put_face(area, face(), face_key()), size=(16, 16))
        assert torch.equal(masked, whole)
        other = predict(patched, put_face(area, face(mask=1 - mask), face_key()), size=(16, 16))
        assert torch.equal(other, predict(patched, area, size=(16, 16)))

    def test_each_picture_of_a_batch_has_its_own_mask(self, patched):
        masks = torch.stack([torch.zeros(8, 8), torch.ones(8, 8)])
        positive = put_face(text(1), face(mask=masks), face_key())
        drawn = predict(patched, positive, batch=2)
        torch.testing.assert_close(drawn[:1], predict(patched, text(1), batch=2)[:1], rtol=0, atol=1e-5)
        unmasked = predict(patched, put_face(text(1), face(), face_key()), batch=2)
        torch.testing.assert_close(drawn[1:], unmasked[1:], rtol=0, atol=1e-5)


def test_masked_conditionings_take_each_its_own_face(patched):
    """Two people by the stock nodes: each face in its half; the same by hand from each one alone."""
    left = torch.zeros(1, 8, 8)
    left[:, :, :4] = 1
    prompts = [put_face(text(n), face(n), face_key()) for n in (1, 2)]
    halves = [
        ConditioningSetMask().append(prompt, mask, "default", 1.0)[0]
        for prompt, mask in zip(prompts, (left, 1 - left), strict=True)
    ]
    both = predict(patched, ConditioningCombine().combine(*halves)[0])
    expected = torch.cat([predict(patched, prompts[0])[..., :4], predict(patched, prompts[1])[..., 4:]], dim=-1)
    torch.testing.assert_close(both, expected, rtol=0, atol=2e-4)


def test_two_faces_on_one_conditioning_both_act(model, patched):
    one, other = face(1), face(2)
    positive = put_face(put_face(text(1), one, face_key()), other, face_key())
    swapped = put_face(put_face(text(1), other, face_key()), one, face_key())
    drawn = predict(patched, positive)
    torch.testing.assert_close(predict(patched, swapped), drawn, rtol=0, atol=2e-4)
    for single in (one, other):
        assert (predict(patched, put_face(text(1), single, face_key())) - drawn).abs().max() > 1e-3
    again = add_decoupled_attention(patched, WIDTHS)
    assert again is patched  # a second node does not count the first one's face twice


def test_an_area_of_the_positive_prompt_leaves_the_negative_one_its_own_face(patched):
    """For guidance the host copies the positive's area, all but its model_conds, to the negative prompt."""
    positive, negative = pair(face(3), nobody=face(4))
    (area,) = ConditioningSetArea().append(positive, width=32, height=64, x=0, y=0, strength=1.0)
    seen = []

    class Look(instantid_attention.ActiveFace):
        def __init__(self, who, *args):
            seen.append(who.keys_values[0, 0, 0].item())
            super().__init__(who, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instantid_attention, "ActiveFace", Look)
        predict(patched, area, negative)
    mine, nobodys = (each[0][1]["model_conds"] for each in (positive, negative))
    mine, nobodys = (next(iter(conds.values())).keys_values[0, 0, 0].item() for conds in (mine, nobodys))
    # Only the area is shown the positive prompt; the negative one is asked about it and about the whole picture.
    assert seen.count(mine) == 1 and seen.count(nobodys) >= 1


@pytest.mark.parametrize("kind", ["DualCFG", "PerpNeg"])
def test_guiders_that_count_their_conditionings_otherwise_give_each_its_own_face(patched, kind):
    """Their first conditioning is not the positive one: nothing goes by position."""
    positive, negative = pair(face(3), nobody=face(4))
    middle = text(7)
    seen = {}
    for name, cond in (("positive", positive), ("negative", negative), ("middle", middle)):
        seen[name] = predict(patched, cond)
    sigma = 2.0
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    drawn = []

    class Look(comfy.samplers.Sampler):
        def sample(self, model_wrap, sigmas, extra_args, callback, noise, *args, **kwargs):
            drawn.append(model_wrap(noise * sigma, torch.full((1,), sigma), **extra_args))
            return drawn[0]

    if kind == "DualCFG":
        guider = DualCFGGuider.execute(patched, positive, middle, negative, 3.0, 2.0, "regular").result[0]
        expected = seen["negative"] + 2 * (seen["middle"] - seen["negative"]) + 3 * (seen["positive"] - seen["middle"])
    else:
        guider = PerpNegGuider.execute(patched, positive, negative, middle, 3.0, 1.0).result[0]
        pos, neg = seen["positive"] - seen["middle"], seen["negative"] - seen["middle"]
        perpendicular = neg - (neg * pos).sum() / pos.norm() ** 2 * pos
        expected = seen["middle"] + 3 * (pos - perpendicular)
    guider.sample(noise, torch.zeros_like(noise), Look(), torch.tensor([sigma, 0.0]), seed=0)
    torch.testing.assert_close(drawn[0], expected, rtol=0, atol=1e-3)


class TestOtherPacks:
    """What another pack put on a layer is called and added to, in the MODEL that came in and nowhere else."""

    @pytest.mark.parametrize("index", [None, 0])
    @pytest.mark.parametrize("theirs_first", [True, False])
    def test_a_replacement_is_chained(self, model, index, theirs_first):
        called = []

        def theirs(q, k, v, extra_options):
            called.append(extra_options["block"])
            return q * 0.5

        upstream = model.clone()
        upstream.set_model_attn2_replace(theirs, "middle", 0, index)
        if theirs_first:
            ours = add_decoupled_attention(upstream, WIDTHS)
        else:
            ours = add_decoupled_attention(model, WIDTHS).clone()
            ours.set_model_attn2_replace(theirs, "middle", 0, index)
        alone = predict(upstream, text(1))
        assert called == [("middle", 0)] * (10 if index is None else 1)
        assert torch.equal(predict(ours, text(1)), alone)
        assert (predict(ours, put_face(text(1), face(), face_key())) - alone).abs().max() > 1e-3
        replaced = upstream.model_options["transformer_options"]["patches_replace"]["attn2"]
        assert list(replaced.values()) == [theirs]

    def test_attention_patches_and_weight_patches_act_as_before(self, model):
        upstream = model.clone()
        upstream.set_model_attn2_patch(lambda n, context, value, extra_options: (n, context * 0.5, value * 0.5))
        upstream.set_model_attn2_output_patch(lambda n, extra_options: n * 0.9)
        name = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight"
        upstream.add_patches({name: (torch.ones(128, 2048) * 0.01,)})
        ours = add_decoupled_attention(upstream, WIDTHS)
        assert torch.equal(predict(ours, text(1), text(2)), predict(upstream, text(1), text(2)))
        assert not torch.equal(predict(ours, *pair(face())), predict(upstream, text(1), text(2)))

    def test_the_model_and_the_conditioning_that_came_in_are_not_changed(self, model):
        options = {"pooled_output": torch.zeros(1, 1280), "model_conds": {"theirs": object()}}
        conditioning = [[torch.zeros(1, 77, 2048), options]]
        before = dict(options), dict(options["model_conds"])
        transformer_options = dict(model.model_options["transformer_options"])
        random = torch.get_rng_state()
        out = put_face(conditioning, face(), face_key())
        patched = add_decoupled_attention(model, WIDTHS)
        assert out[0][1]["model_conds"].keys() > {"theirs"}
        assert (dict(options), options["model_conds"]) == before
        assert patched is not model and not model.wrappers.get(WrappersMP.CALC_COND_BATCH)
        assert model.model_options["transformer_options"] == transformer_options
        assert torch.equal(torch.get_rng_state(), random)


def test_an_adapter_for_another_model_is_refused(model):
    with pytest.raises(
        ValueError, match=r"^instantid: made for 11 attention layers of widths \[640\], and model has 70"
    ):
        add_decoupled_attention(model, [640] * 11)
