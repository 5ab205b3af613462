"""The control of an error: what our node was given, in the stock sampler."""

from fuzz.control import control_graph, without_ours

GRAPH = {
    "load": {"class_type": "CheckpointLoaderSimple", "inputs": {}},
    "guider": {"class_type": "PerpNegGuider", "inputs": {"model": ["load", 0]}},
    "odd": {"class_type": "SamplerARVideo", "inputs": {}},
    "ours": {"class_type": "CE_BiMDSampler", "inputs": {}},
    "other": {"class_type": "CE_Other", "inputs": {"model": ["load", 0]}},
}


def test_the_guider_runs_in_the_stock_sampler_and_nothing_of_ours_with_it():
    graph = control_graph(GRAPH, ["guider", 0], {"guider": ["guider", 0]})
    assert graph["control sampled"]["class_type"] == "SamplerCustomAdvanced"
    assert graph["control sampled"]["inputs"]["guider"] == ["guider", 0]
    assert graph["control sampled"]["inputs"]["sampler"] == ["control euler", 0]
    assert "control guider" not in graph and not any(node["class_type"].startswith("CE_") for node in graph.values())


def test_a_stock_sampler_comes_along_and_one_of_ours_does_not():
    def sampler(node_id):
        given = {"guider": ["guider", 0], "sampler": [node_id, 0]}
        return control_graph(GRAPH, ["guider", 0], given)["control sampled"]["inputs"]["sampler"]

    assert sampler("odd") == ["odd", 0] and sampler("ours") == ["control euler", 0]


def test_a_model_gets_a_guider_of_its_own():
    given = {"model": ["load", 0], "positive": ["load", 1], "negative": ["load", 1], "sigmas": ["load", 2]}
    graph = control_graph(GRAPH, ["control guider", 0], given)
    assert graph["control guider"]["inputs"] == {
        "model": ["load", 0],
        "positive": ["load", 1],
        "negative": ["load", 1],
        "cfg": 3.0,
    }


def test_a_stock_sampler_node_keeps_all_but_our_guider_and_sampler():
    given = {"guider": ["other", 0], "sampler": ["odd", 0], "sigmas": ["load", 2], "latent_image": ["load", 3]}
    graph = without_ours({**GRAPH, "sampled": {"class_type": "SamplerCustomAdvanced", "inputs": given}}, "sampled")
    assert graph["control sampled"]["inputs"] == {**given, "guider": ["control guider", 0]}
    assert not any(node["class_type"].startswith("CE_") for node in graph.values())
