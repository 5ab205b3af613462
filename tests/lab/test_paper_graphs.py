"""The graphs that draw the paper's methods: the shipped workflows, changed only in what makes a method."""

import copy
import json

import nodes
import pytest
import torch
from customenhancer.identity.photomaker import load_photomaker
from helpers.paths import CHECKOUT
from helpers.photomaker_flow import run_photomaker
from standins.photomaker import encoder_tensors, lora_tensors
from standins.photomaker_host import sdxl_clip, sdxl_model

from paper.api_graphs import REFERENCE, SAVED, read_graph, titled, with_inputs
from paper.graphs import PERSON_SWAPPED_IN, PROMPT_WITHOUT_PERSON, SHIPPED, curve_drawings, drawings
from paper.jobs import row_of
from paper.methods import (
    DDIM,
    DELAYED,
    DREAMBOOTH,
    FULL_INSTANTID,
    FULL_PHOTOMAKER,
    FUSION,
    INPUT,
    INSTANTID,
    NO_BACKWARD,
    NO_FORWARD,
    PHOTOMAKER,
    SCENE,
    SWAPPED,
)
from paper.protocol import CFG, START_STEP, STEPS, figure_starts
from paper.usual import PAPER

ALL = [method for method in PAPER.methods if method != INPUT]
ABLATION = CHECKOUT / "workflows" / "api" / "customenhancer_ablation.json"


def by_name(methods=ALL, *arguments, **more):
    return {drawing.name: drawing for drawing in drawings(methods, *arguments, **more)}


def unfolded(graph, node_id):
    """All that a node depends on, whatever the ids: a class, its inputs, and there instead of links the same."""
    node = graph[node_id]
    inputs = {
        name: (unfolded(graph, value[0]), value[1]) if isinstance(value, list) else value
        for name, value in node["inputs"].items()
    }
    return node["class_type"], inputs


def picture(graph, title=SAVED):
    """The unfolded graph behind what a node saves."""
    return unfolded(graph, graph[titled(graph, title)]["inputs"]["images"][0])


def with_the_scenes_own_prompt(graph):
    """A shipped PhotoMaker workflow in which the scene's text is a node of its own."""
    graph = copy.deepcopy(graph)
    clip = graph[titled(graph, "Prompt")]["inputs"]["clip"]
    graph["scene's"] = {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": clip}}
    graph[titled(graph, "Stock SDXL")]["inputs"]["positive"] = ["scene's", 0]
    return graph


class TestGraphs:
    def test_the_full_methods_are_the_shipped_workflows(self):
        found = by_name()
        assert picture(found[FULL_INSTANTID].graph) == picture(read_graph(SHIPPED[INSTANTID]))
        shipped = with_the_scenes_own_prompt(read_graph(SHIPPED[PHOTOMAKER]))
        for title in found[FULL_PHOTOMAKER].outputs:
            assert picture(found[FULL_PHOTOMAKER].graph, title) == picture(shipped, title)

    def test_the_parts_left_out_are_those_of_the_shipped_ablation(self):
        """That has PhotoMaker V1, and its numbers where the others have the balance "paper"."""
        shipped = with_the_scenes_own_prompt(read_graph(ABLATION))
        analysis, numbers = [titled(shipped, "Face analysis"), 0], {"start_step": START_STEP, "forward_scale": 1}
        shipped[titled(shipped, "Prompt")]["inputs"]["face_analysis"] = analysis
        shipped[titled(shipped, "PhotoMaker file")]["inputs"]["photomaker_name"] = "photomaker-v2.bin"
        found = by_name()
        for name, decoded in (
            (FULL_PHOTOMAKER, "Full method"),
            (NO_FORWARD, "Without the forward flow"),
            (NO_BACKWARD, "Without the backward flow"),
        ):
            columns = {f"Pivot and forward flow.{name}": value for name, value in numbers.items()}
            columns |= {} if name == NO_BACKWARD else {"Backward flow.backward_scale": 1}
            graph = with_inputs(found[name].graph, columns)
            assert picture(graph) == unfolded(shipped, titled(shipped, decoded)), name

    def test_the_models_alone_are_sampled_as_the_scene_is_from_its_noise(self):
        found = by_name()
        for alone, full in ((PHOTOMAKER, FULL_PHOTOMAKER), (INSTANTID, FULL_INSTANTID)):
            sampled, scene = (self.node(found[name].graph, "Sample the scene")[1] for name in (alone, full))
            for name in ("noise", "sampler", "sigmas", "latent_image"):
                assert sampled[name] == scene[name]
            assert self.node(found[full].graph, "Stock SDXL") == scene["guider"][0]
            expected = self.node(found[full].graph, "Forward flow: identity")
            if alone == INSTANTID:  # its own key points: those of the reference
                del expected[1]["model"][0][1]["keypoints_image"]
                for text in ("positive", "negative"):
                    del expected[1][text][0][1]["keypoints_image"]
            assert sampled["guider"] == (expected, 0)
            classes = {node["class_type"] for node in found[alone].graph.values()}
            assert not classes & {"CE_FaceSwap", "CE_ResInversion", "CE_TripleFlowGuider"}

    @staticmethod
    def node(graph, title):
        return unfolded(graph, titled(graph, title))

    def test_figure_10_changes_start_and_scale_alone(self):
        curve = {drawing.name: drawing for drawing in curve_drawings(ALL, [0, 30], [1.0, 2.0])}
        assert len(curve) == 8
        for method in (FULL_PHOTOMAKER, FULL_INSTANTID):
            drawing = curve[f"{method}-from-30-by-2"]
            assert (drawing.start_step, drawing.forward_scale, drawing.outputs) == (30, 2, {SAVED: method})
            inputs = drawing.graph[titled(drawing.graph, "Pivot and forward flow")]["inputs"]
            assert (inputs["start_step"], inputs["forward_scale"]) == (30, 2)
            full = by_name()[method].graph
            inputs |= {
                name: full[titled(full, "Pivot and forward flow")]["inputs"][name]
                for name in ("start_step", "forward_scale")
            }
            assert picture(drawing.graph) == picture(full)

    def test_the_fusion_changes_who_is_swapped_in_alone(self):
        full, fusion = (curve_drawings([method], [30])[0].graph for method in (FULL_PHOTOMAKER, FUSION))
        swap, other = titled(fusion, "Swap the face in"), titled(fusion, PERSON_SWAPPED_IN)
        assert fusion[swap]["inputs"]["reference"] == [other, 0]
        fusion[swap]["inputs"]["reference"] = [titled(fusion, REFERENCE), 0]
        assert picture(fusion) == picture(full)

    def test_the_delayed_identity_is_the_full_methods_guider_on_the_scenes_noise(self):
        found = by_name([FULL_PHOTOMAKER, PHOTOMAKER, DELAYED])
        full, alone, delayed = (found[name].graph for name in (FULL_PHOTOMAKER, PHOTOMAKER, DELAYED))
        (_, alone), (_, delayed) = (self.node(graph, "Sample the scene") for graph in (alone, delayed))
        assert delayed.pop("guider") == (self.node(full, "Pivot and forward flow"), 0) != alone.pop("guider")
        assert delayed == alone

    def test_ddim_inversion_stands_between_swap_and_eulers_sampling(self):
        full, ddim = (by_name([FULL_PHOTOMAKER, DDIM])[name].graph for name in (FULL_PHOTOMAKER, DDIM))
        (_, expected), (_, sampled) = (self.node(graph, "Sample the three flows") for graph in (full, ddim))
        assert sampled["sampler"] == (self.node(full, "Sampler"), 0)
        (kind, inputs), output = sampled["latent_image"]
        (_, exact), same_output = expected["latent_image"]
        assert kind == "CE_DDIMInversion" and output == same_output == 1
        assert inputs == {name: exact[name] for name in ("guider", "sigmas", "latent_image")}
        assert all(sampled[name] == expected[name] for name in ("guider", "sigmas", "noise"))

    def test_every_link_leads_to_a_node_and_every_node_to_a_picture(self):
        several = drawings([*ALL, DELAYED, DDIM], batches=True) + curve_drawings([*ALL, FUSION], [0], batches=True)
        for drawing in several:
            graph = drawing.graph
            sources = {
                value[0] for node in graph.values() for value in node["inputs"].values() if isinstance(value, list)
            }
            saved = {titled(graph, title) for title in drawing.outputs}
            assert sources <= graph.keys() and graph.keys() == sources | saved
            assert all(graph[node_id]["class_type"] == "SaveImage" for node_id in saved)

    def test_the_workflows_settings_are_the_protocols(self):
        for file in SHIPPED.values():
            graph = read_graph(file)
            assert {node["inputs"]["cfg"] for node in graph.values() if "cfg" in node["inputs"]} == {CFG}
            assert graph[titled(graph, "Schedule")]["inputs"]["steps"] == STEPS
        assert figure_starts(STEPS) == [0, 10, 20, 30, 40] and figure_starts(20) == [0, 4, 8, 12, 16]

    def test_what_is_asked_for_later_leaves_earlier_jobs_as_they_are(self):
        few, many = by_name([FULL_PHOTOMAKER, INSTANTID]), by_name()
        assert few.items() <= many.items()

    def test_scene_and_swap_alone_do_without_the_rest(self):
        (both,) = drawings([SWAPPED, SCENE])
        (scene,) = drawings([SCENE])
        assert set(both.outputs.values()) == {SWAPPED, SCENE} and list(scene.outputs.values()) == [SCENE]
        assert "CE_FaceSwap" in str(both.graph) and "CE_ResInversion" not in str(both.graph)
        assert "CE_FaceSwap" not in str(scene.graph)

    def test_settings_go_into_every_graph_that_has_the_input(self):
        for drawing in drawings(ALL, columns={"Schedule.steps": 7, "Swap the face in.paste": "box", "No node.x": 1}):
            schedule = drawing.graph[titled(drawing.graph, "Schedule")]["inputs"]
            assert schedule["steps"] == 7 and '"paste": "face"' not in json.dumps(drawing.graph)

    def test_a_method_without_a_graph_is_refused_by_name(self):
        with pytest.raises(ValueError, match="dreambooth.*--graph dreambooth=FILE"):
            drawings([DREAMBOOTH])


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Stand-ins: MODEL, CLIP and PhotoMaker."""
    path = tmp_path_factory.mktemp("photomaker") / "photomaker-v1.bin"
    torch.save({"id_encoder": encoder_tensors(seed=11), "lora_weights": lora_tensors(seed=12)}, path)
    return sdxl_model(), sdxl_clip(), load_photomaker(str(path))


@pytest.mark.parametrize("number", [1, 15, 38])
def test_the_scenes_own_prompt_is_encoded_as_photomakers_customization_free_output(parts, place, number):
    model, clip, photomaker = parts
    row = row_of(place(prompt=number), by_name()[FULL_PHOTOMAKER])
    images = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        free = run_photomaker(model, clip, photomaker, images, row["Prompt.text"])[2]
        (own,) = nodes.CLIPTextEncode().encode(clip, row[f"{PROMPT_WITHOUT_PERSON}.text"])
    assert len(free) == len(own) == 1
    assert torch.equal(free[0][0], own[0][0])
    assert torch.equal(free[0][1]["pooled_output"], own[0][1]["pooled_output"])


class TestGraphsOfOnesOwn:
    @pytest.fixture
    def own(self, tmp_path):
        """Writes the shipped InstantID workflow, changed."""

        def write(change):
            graph = read_graph(SHIPPED[INSTANTID])
            change(graph)
            (tmp_path / "own.json").write_text(json.dumps(graph))
            return tmp_path / "own.json"

        return write

    def test_it_takes_a_methods_place(self, own, place):
        file = own(lambda graph: None)
        found = by_name([FULL_PHOTOMAKER, "mine"], own={FULL_PHOTOMAKER: file, "mine": file})
        assert found.keys() == {FULL_PHOTOMAKER, "mine"}
        row = row_of(place(), found["mine"])
        assert row["label.method"] == "mine" and row["Seed of the scene.noise_seed"] == 5
        assert row["Reference person.image"].endswith("ann/0.png")

    def test_fields_in_its_texts_are_filled_in(self, own, place):
        def change(graph):
            graph[titled(graph, "Prompt")]["inputs"]["text"] = "sks, {prompt}"
            graph[titled(graph, "InstantID file")]["inputs"]["instantid_name"] = "people/{identity}.safetensors"
            del graph[titled(graph, "Reference person")]

        (drawing,) = drawings([DREAMBOOTH], own={DREAMBOOTH: own(change)})
        row = row_of(place("bob"), drawing)
        assert row["Prompt.text"] == "sks, " + place().prompt.text("woman")
        assert row["InstantID file.instantid_name"] == "people/bob.safetensors"
        assert "Reference person.image" not in row

    @pytest.mark.parametrize("title", ["Prompt", "Seed of the scene", "Reference person", "Save the final picture"])
    def test_one_without_a_title_is_refused_by_file_and_title(self, own, title):
        def change(graph):
            graph[titled(graph, title)]["_meta"]["title"] = "Another"

        with pytest.raises(ValueError, match=rf'own\.json: no nodes have the title "{title}"'):
            drawings([DREAMBOOTH], own={DREAMBOOTH: own(change)})

    def test_two_nodes_of_one_title_are_refused(self, own):
        def change(graph):
            graph["1"]["_meta"]["title"] = "Prompt"

        with pytest.raises(ValueError, match='2 nodes have the title "Prompt"'):
            drawings([DREAMBOOTH], own={DREAMBOOTH: own(change)})

    @pytest.mark.parametrize("content", ["{", "[]", '{"nodes": []}', '{"1": 2}'])
    def test_what_is_no_api_graph_is_refused_by_name(self, tmp_path, content):
        (tmp_path / "own.json").write_text(content)
        with pytest.raises(ValueError, match=r"own\.json"):
            drawings([DREAMBOOTH], own={DREAMBOOTH: tmp_path / "own.json"})
