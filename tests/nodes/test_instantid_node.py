"""InstantID Forward Flow as a node: what it makes of its inputs, IdentityNet among ControlNets, what it refuses."""

from types import SimpleNamespace

import comfy.cldm.cldm
import comfy.controlnet
import comfy.t2i_adapter.adapter
import pytest
import torch
from customenhancer.faces.analysis import embed_faces
from customenhancer.host.copied_conds import copy_conds
from customenhancer.identity.identity_net import IdentityNet
from customenhancer.nodes.instantid import InstantIDForwardFlowNode
from helpers.instantid_flow import ASTRONAUT, CROWD, NOBODY
from nodes import ControlNetApplyAdvanced
from standins.instantid_host import predict, sdxl_control_net, text
from standins.photomaker_host import sd15_model


def controls(conditioning) -> list:
    """The ControlNets of a CONDITIONING, the last one first."""
    chain, control = [], conditioning[0][1].get("control")
    while control is not None:
        chain.append(control)
        control = control.previous_controlnet
    return chain


def test_face_and_key_points_both_reach_the_picture(run_instantid, sdxl):
    plain = predict(sdxl, text(1), text(2))
    both = predict(*run_instantid()[:3])
    adapter = predict(*run_instantid(controlnet_strength=0.0)[:3])
    control = predict(*run_instantid(ip_adapter_scale=0.0)[:3])
    drawn = [plain, both, adapter, control]
    assert all((a - b).abs().max() > 1e-3 for n, a in enumerate(drawn) for b in drawn[:n])
    other = predict(*run_instantid(reference_images=CROWD, keypoints_image=ASTRONAUT)[:3])
    assert (other - both).abs().max() > 1e-3


def test_at_strength_0_the_inputs_themselves_come_out(run_instantid, sdxl):
    positive, negative = text(1), text(2)
    out = run_instantid(positive=positive, negative=negative, ip_adapter_scale=0.0, controlnet_strength=0.0)
    assert out[0] is sdxl and out[1] is positive and out[2] is negative
    silent = run_instantid(ip_adapter_scale=0.0, controlnet_strength=1.0, controlnet_start_percent=1.0)
    assert (predict(*silent[:3]) - predict(sdxl, text(1), text(2))).abs().max() == 0


def test_the_models_output_with_plain_conditionings_is_the_pivots_plain_model(run_instantid, sdxl):
    assert torch.equal(predict(run_instantid()[0], text(1), text(2)), predict(sdxl, text(1), text(2)))


def test_cfg_1_leaves_the_negative_prompt_out(run_instantid):
    patched, positive, negative, _ = run_instantid()
    torch.testing.assert_close(
        predict(patched, positive), predict(patched, positive, negative, cfg=1.0), rtol=0, atol=0
    )


def test_a_picture_of_a_batch_is_predicted_as_it_is_alone(run_instantid):
    patched, positive, negative, _ = run_instantid()
    one, three = (predict(patched, positive, negative, batch=batch) for batch in (1, 3))
    torch.testing.assert_close(three[:1], one, rtol=0, atol=3e-4)


class TestIdentityNet:
    """The ControlNet reads face tokens; others in the chain read the text, wherever they stand."""

    @pytest.fixture
    def contexts(self, monkeypatch):
        """How many tokens each ControlNet's network was given, by the network."""
        seen = {}
        forward = comfy.cldm.cldm.ControlNet.forward

        def recorded(self, x, hint, timesteps, context, **kwargs):
            seen.setdefault(self, []).append(tuple(context.shape))
            return forward(self, x, hint, timesteps, context, **kwargs)

        monkeypatch.setattr(comfy.cldm.cldm.ControlNet, "forward", recorded)
        return seen

    def test_it_reads_the_tokens_of_each_prompts_face(self, run_instantid, contexts, identity_net):
        patched, positive, negative, _ = run_instantid()
        predict(patched, positive, negative)
        assert contexts == {identity_net.control_model: [(2, 16, 2048)]}

    @pytest.mark.parametrize("after", [False, True])
    def test_other_controlnets_before_and_after_it_read_the_text(
        self, run_instantid, contexts, identity_net, sdxl, after
    ):
        other, hint = sdxl_control_net(seed=9), torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))

        def apply(positive, negative):
            return ControlNetApplyAdvanced().apply_controlnet(positive, negative, other, hint, 0.7, 0.0, 1.0)

        if after:
            patched, *pair, _ = run_instantid()
            pair = apply(*pair)
        else:
            positive, negative = apply(text(1), text(2))
            patched, *pair, _ = run_instantid(positive=positive, negative=negative)
        assert sorted(type(control).__name__ for control in controls(pair[0])) == ["ControlNet", "IdentityNet"]
        both = predict(patched, *pair)
        assert contexts == {
            identity_net.control_model: [(2, 16, 2048)],
            other.control_model: [(2, 77, 2048)],
        }
        assert (both - predict(*run_instantid()[:3])).abs().max() > 1e-3
        assert (both - predict(sdxl, *apply(text(1), text(2)))).abs().max() > 1e-3

    def test_it_equals_the_hosts_controlnet_with_the_tokens_as_its_context(self, run_instantid, identity_net, sdxl):
        """Set up with stock means: the context of the host's own `cross_attn_controlnet`."""
        _, positive, negative, keypoints = run_instantid(ip_adapter_scale=0.0, controlnet_strength=0.6)
        by_hand = []
        for conditioning, plain in ((positive, text(1)), (negative, text(2))):
            (face,) = conditioning[0][1]["model_conds"].values()
            by_hand.append([[plain[0][0], {**plain[0][1], "cross_attn_controlnet": face.tokens}]])
        stock = ControlNetApplyAdvanced().apply_controlnet(*by_hand, identity_net, keypoints, 0.6, 0.0, 1.0)
        patched = run_instantid(ip_adapter_scale=0.0)[0]
        torch.testing.assert_close(predict(patched, positive, negative), predict(sdxl, *stock), rtol=0, atol=1e-5)

    def test_both_prompts_share_it_so_that_the_host_may_batch_them(self, run_instantid):
        _, positive, negative, _ = run_instantid()
        assert positive[0][1]["control"] is negative[0][1]["control"]

    def test_it_acts_between_start_and_end(self, run_instantid, sdxl):
        sigma = sdxl.get_model_object("model_sampling").percent_to_sigma(0.5)
        plain = predict(sdxl, text(1), text(2), sigma=sigma)
        for start, end, acts in ((0.4, 0.6, True), (0.6, 1.0, False), (0.0, 0.4, False)):
            out = run_instantid(ip_adapter_scale=0.0, controlnet_start_percent=start, controlnet_end_percent=end)
            changed = (predict(*out[:3], sigma=sigma) - plain).abs().max()
            assert (changed > 1e-3) if acts else (changed == 0), (start, end)

    def test_the_host_sees_its_weights_and_it_can_be_copied(self, run_instantid, identity_net):
        control = run_instantid()[1][0][1]["control"]
        assert control.get_models() == [identity_net.control_model_wrapped]
        copied = control.copy()
        assert isinstance(copied, IdentityNet) and copied.previous_controlnet is None
        assert copied.get_models() == control.get_models() and copied.inner is not control.inner

    def test_a_copy_for_another_flow_keeps_the_chain_and_shares_no_state_of_sampling(self, run_instantid):
        """Two guiders may be entered with it at once, each with a model of its own."""
        control = run_instantid()[1][0][1]["control"].set_previous_controlnet(sdxl_control_net(seed=9))
        own = copy_conds({"positive": [{"control": control}]})["positive"][0]["control"]
        earlier = control.previous_controlnet
        assert own.previous_controlnet is not earlier and own.inner is not control.inner
        assert own.previous_controlnet.control_model is earlier.control_model
        own.pre_run(SimpleNamespace(model_sampling="theirs"), lambda percent: percent)
        assert own.inner.model_sampling_current == "theirs" and control.inner.model_sampling_current is None
        assert own.get_models() == control.get_models()

    def test_without_the_prepared_model_the_guider_says_what_to_connect(self, run_instantid, sdxl):
        _, positive, negative, _ = run_instantid()
        with pytest.raises(ValueError, match=r"^positive: carries a face of InstantID, .*Connect the model output"):
            predict(sdxl, positive, negative)

    def test_the_controlnet_that_came_in_is_not_changed(self, run_instantid, identity_net):
        before = dict(vars(identity_net))
        predict(*run_instantid()[:3])
        assert vars(identity_net) == before


class TestReferences:
    """Which pictures and which faces count."""

    def faces_of(self, conditioning):
        return next(iter(conditioning[0][1]["model_conds"].values()))

    def test_several_references_count_as_their_mean_and_those_without_a_face_are_left_out(
        self, run_instantid, packs, instantid, caplog
    ):
        pictures = torch.cat([ASTRONAUT, NOBODY, CROWD])
        face = self.faces_of(run_instantid(reference_images=pictures)[1])
        assert [r.getMessage() for r in caplog.records if "reference_images" in r.getMessage()] == [
            "reference_images: no face found in picture 1, which is left out."
        ]
        _, embeddings = embed_faces(packs["antelopev2"], pictures[[0, 2]])
        with torch.no_grad():
            expected, _ = instantid.patcher.model(embeddings.mean(0, keepdim=True))
        torch.testing.assert_close(face.tokens, expected, rtol=0, atol=1e-5)

    def test_order_and_index_choose_the_face(self, run_instantid):
        left, right = (
            run_instantid(reference_images=CROWD, reference_order="left-right", reference_face=n) for n in (0, 1)
        )
        largest = run_instantid(reference_images=CROWD)
        assert torch.equal(self.faces_of(largest[1]).tokens, self.faces_of(right[1]).tokens)
        assert not torch.equal(self.faces_of(left[1]).tokens, self.faces_of(right[1]).tokens)
        assert not torch.equal(left[3], right[3])  # without keypoints_image, its key points too

    def test_key_points_are_those_of_the_first_picture_with_a_face_or_of_the_given_one(self, run_instantid):
        own = run_instantid(reference_images=torch.cat([NOBODY, ASTRONAUT]))[3]
        assert torch.equal(own, run_instantid()[3]) and own.shape == (1, 1280, 1280, 3)
        given = run_instantid(keypoints_image=CROWD, keypoints_order="left-right", keypoints_face=1)[3]
        assert torch.equal(given, run_instantid(reference_images=CROWD)[3])
        assert torch.equal(run_instantid(keypoints_image=given)[3], given)

    def test_key_points_of_another_size_are_resized(self, run_instantid):
        wide = torch.nn.functional.interpolate(run_instantid()[3].movedim(-1, 1), (96, 192)).movedim(1, -1)
        patched, positive, negative, keypoints = run_instantid(keypoints_image=wide)
        assert keypoints.shape == (1, 96, 192, 3)
        assert predict(patched, positive, negative, size=(8, 16)).isfinite().all()


def test_nothing_that_came_in_and_no_random_state_is_changed(run_instantid, sdxl, instantid):
    positive, negative = text(1), text(2)
    kept = [dict(conditioning[0][1]) for conditioning in (positive, negative)]
    options = {key: dict(value) for key, value in sdxl.model_options.items()}
    weights = {key: value.clone() for key, value in instantid.patcher.model.state_dict().items()}
    random = torch.get_rng_state()
    out = run_instantid(positive=positive, negative=negative)
    predict(*out[:3])
    assert [conditioning[0][1] for conditioning in (positive, negative)] == kept
    assert sdxl.model_options == options and not sdxl.wrappers
    assert all(torch.equal(value, weights[key]) for key, value in instantid.patcher.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


def t2i_adapter():
    return comfy.controlnet.T2IAdapter(comfy.t2i_adapter.adapter.Adapter_light(), 3, 8, "nearest-exact")


BAD = {
    "buffalo_l": (r"^face_analysis: its recogniser is .*w600k_r50.onnx.* InstantID .*antelopev2", {}),
    "SD1.5": (r"^model: InstantID works with SDXL alone, and this is BaseModel", {"model": sd15_model}),
    "no face": (r"^reference_images: no face found in any", {"reference_images": lambda: NOBODY}),
    "empty key points": (
        r"^keypoints_image: no face found in picture 0, and it is not a key-point",
        {"keypoints_image": lambda: torch.zeros(1, 64, 64, 3)},
    ),
    "T2I-Adapter": (r"^control_net: T2IAdapter is not an IdentityNet", {"control_net": t2i_adapter}),
    "Control-LoRA": (
        r"^control_net: ControlLora is not an IdentityNet",
        {"control_net": lambda: comfy.controlnet.ControlLora({})},
    ),
    "Union": (
        r"^control_net: this is a Union ControlNet, not",
        {"control_net": lambda: sdxl_control_net(union_controlnet_num_control_type=6)},
    ),
    "ControlNet of SD1.5": (
        r"^control_net: its context is 768 wide, but .* 2048 wide.*ordinary ControlNet",
        {"control_net": lambda: sdxl_control_net(context_dim=768)},
    ),
    "small ControlNet": (
        r"^control_net: its shape \(3 attention layers, 32 channels\) is not that of model \(34, 32\)",
        {
            "control_net": lambda: sdxl_control_net(
                transformer_depth=[0, 0, 0, 0, 1, 1], transformer_depth_middle=1, transformer_depth_output=None
            )
        },
    ),
    "mask of zeros": (r"^mask: is 0 everywhere", {"mask": lambda: torch.zeros(1, 8, 8)}),
    "adapter ends before it starts": (
        r"^ip_adapter_start_percent: 0.6 comes after ip_adapter_end_percent, 0.5",
        {"ip_adapter_start_percent": lambda: 0.6, "ip_adapter_end_percent": lambda: 0.5},
    ),
    "control ends before it starts": (
        r"^controlnet_start_percent: 1 comes after controlnet_end_percent, 0",
        {"controlnet_start_percent": lambda: 1.0, "controlnet_end_percent": lambda: 0.0},
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused(run_instantid, packs, what):
    message, inputs = BAD[what]
    inputs = {name: make() for name, make in inputs.items()} or {"face_analysis": packs["buffalo_l"]}
    with pytest.raises(ValueError, match=message):
        run_instantid(**inputs)


def test_defaults_are_the_papers_and_optional():
    schema = {node_input.id: node_input for node_input in InstantIDForwardFlowNode.define_schema().inputs}
    required = [name for name, node_input in schema.items() if not node_input.optional]
    assert required == ["model", "positive", "negative", "instantid", "control_net", "face_analysis"]
    assert schema["ip_adapter_scale"].default == schema["controlnet_strength"].default == 0.8
    assert all(node_input.tooltip for node_input in schema.values())
    outputs = [output.display_name for output in InstantIDForwardFlowNode.define_schema().outputs]
    assert outputs == ["model", "positive", "negative", "keypoints"]
