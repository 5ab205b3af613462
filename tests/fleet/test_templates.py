"""What a job is: its id, what it shares with others, and the graph that its host gets."""

import copy
import uuid

import pytest
from helpers.prompts import node

from fleet.errors import FleetError
from fleet.files import Hashes, ModelFiles, Pictures
from fleet.template import Template


def titled(title, class_type, **inputs):
    return {**node(class_type, **inputs), "_meta": {"title": title}}


GRAPH = {
    "model": titled("Model", "CheckpointLoaderSimple", ckpt_name="sdxl.safetensors"),
    "person": titled("Person", "LoadImage", image="person.png"),
    "text": titled("Prompt", "CLIPTextEncode", clip=["model", 1], text="a man"),
    "noise": titled("Seed", "RandomNoise", noise_seed=1),
    "schedule": titled("Schedule", "BasicScheduler", model=["model", 0], steps=10, denoise=1.0),
    "scene": titled("Scene", "SamplerCustomAdvanced", noise=["noise", 0], guider=["text", 0], sigmas=["schedule", 0]),
    "swap": titled("Swap", "CE_FaceSwap", image=["scene", 0], reference=["person", 0]),
    "inversion": titled("Inversion", "CE_ResInversion", latent_image=["swap", 0], sigmas=["schedule", 0]),
    "lora": titled("LoRA", "LoraLoader", model=["model", 0], lora_name="style.safetensors"),
}
ROW = {"Prompt.text": "a woman", "Seed.noise_seed": 2, "Person.image": "bob.png"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bob.png").write_bytes(b"bob")
    (tmp_path / "ann.png").write_bytes(b"ann")
    return tmp_path


def template(folder, columns, graph=GRAPH, models=None):
    hashes = Hashes()
    return Template(graph, columns, folder, Pictures(hashes), ModelFiles(models, hashes))


def job(folder, row, graph=GRAPH, models=None):
    made = template(folder, list(row), graph, models)
    return made.job(made.values(row))


def test_an_id_is_a_uuid_5_and_the_same_every_time(folder):
    first = job(folder, ROW)
    assert uuid.UUID(first.id).version == 5 and str(uuid.UUID(first.id)) == first.id
    assert job(folder, ROW) == first


@pytest.mark.parametrize("change", [{"Prompt.text": "a man"}, {"Seed.noise_seed": 3}, {"Person.image": "ann.png"}])
def test_whatever_changes_the_pictures_changes_the_id(folder, change):
    assert job(folder, ROW | change).id != job(folder, ROW).id


def test_the_bytes_of_a_picture_count_and_not_its_name(folder):
    before = job(folder, ROW).id
    (folder / "same.png").write_bytes(b"bob")
    assert job(folder, ROW | {"Person.image": "same.png"}).id == before
    (folder / "bob.png").write_bytes(b"another picture")
    assert job(folder, ROW).id != before


def test_an_id_does_not_depend_on_what_is_a_column_and_what_stands_in_the_graph(folder):
    graph = copy.deepcopy(GRAPH)
    graph["text"]["inputs"]["text"] = "a woman"
    row = {name: value for name, value in ROW.items() if name != "Prompt.text"}
    assert job(folder, row, graph) == job(folder, ROW)


def test_titles_and_labels_do_not_count(folder):
    graph = copy.deepcopy(GRAPH)
    graph["scene"]["_meta"]["title"] = "Another title"
    assert job(folder, ROW | {"label.method": "ours"}, graph) == job(folder, ROW)


@pytest.mark.parametrize("values", [(1, 1.0), (1, True), (0, False)])
def test_equal_values_of_other_types_are_other_jobs(folder, values):
    made = template(folder, ["Schedule.denoise"])
    first, second = (made.job((value,)).id for value in values)
    assert first != second


def test_text_in_a_table_becomes_what_the_input_is(folder):
    made = template(folder, ["Schedule.steps", "Schedule.denoise", "Prompt.text"])
    values = made.values({"Schedule.steps": "20", "Schedule.denoise": "0.5", "Prompt.text": "20"})
    assert values == (20, 0.5, "20")
    assert made.resolved(values)["schedule"]["inputs"]["steps"] == 20


def test_what_two_people_share_is_the_scene(folder):
    bob, ann = (job(folder, ROW | {"Person.image": name}) for name in ("bob.png", "ann.png"))
    assert [stage.calls for stage in bob.stages] == [10, 11]
    assert bob.stages[0] == ann.stages[0] and bob.stages[1] != ann.stages[1]


def test_what_fewest_columns_decide_comes_first(folder):
    graph = copy.deepcopy(GRAPH)
    graph["inversion"]["inputs"]["latent_image"] = ["person", 0]  # of the person alone
    of_person, of_scene = job(folder, ROW, graph).stages
    assert (of_person.calls, of_scene.calls) == (11, 10)


def test_the_models_of_a_job_are_all_that_it_names(folder):
    before = job(folder, ROW).models
    assert job(folder, ROW | {"Seed.noise_seed": 7, "Person.image": "ann.png"}).models == before
    assert job(folder, ROW | {"LoRA.lora_name": "other.safetensors"}).models != before
    assert job(folder, ROW | {"Model.ckpt_name": "other.ckpt"}).models != before


def test_the_bytes_of_a_model_count_where_its_folder_is_known(folder):
    models = folder / "models"
    for name, content in (("checkpoints/sdxl.safetensors", b"1"), ("loras/sub/style.safetensors", b"2")):
        (models / name).parent.mkdir(parents=True)
        (models / name).write_bytes(content)
    known = job(folder, ROW, models=models)
    assert known.id != job(folder, ROW).id
    (models / "checkpoints/sdxl.safetensors").write_bytes(b"another")
    assert job(folder, ROW, models=models).id != known.id


def test_a_face_pack_is_its_folder(folder):
    files = folder / "models" / "insightface" / "models" / "buffalo_l"
    files.mkdir(parents=True)
    (files / "w600k_r50.onnx").write_bytes(b"1")
    models = ModelFiles(folder / "models", Hashes())
    assert models.fingerprint("buffalo_l") and not models.fingerprint("antelopev2")


def test_the_host_gets_a_picture_by_its_hash(folder):
    made = template(folder, list(ROW))
    name = made.resolved(made.values(ROW))["person"]["inputs"]["image"]
    assert name == "fleet/81b637d8fcd2c6da6359e6963113a1170de795e4b725b84d1e0b4cfd9ec58ce9.png"
    assert GRAPH["person"]["inputs"]["image"] == "person.png"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"Prompt.txt": "x"}, "'Prompt.txt': there is no such input"),
        ({"text": "x"}, "'text': there is no such input. A column is `node title.input`, or `label.NAME`"),
        ({"Person.image": "none.png"}, "'Person.image': .*none.png: cannot be read"),
        ({"Seed.noise_seed": "many"}, "'Seed.noise_seed': 'many' is no number"),
    ],
)
def test_a_column_that_leads_nowhere_is_told(folder, row, says):
    with pytest.raises(FleetError, match=says):
        job(folder, row)


def test_two_nodes_of_one_title_are_told(folder):
    graph = copy.deepcopy(GRAPH)
    graph["second"] = titled("Prompt", "CLIPTextEncode", text="x")
    with pytest.raises(FleetError, match="'Prompt.text': 2 inputs have that name"):
        job(folder, ROW, graph)


def test_a_circle_is_told(folder):
    graph = {"a": titled("A", "A", x=["b", 0]), "b": titled("B", "B", x=["a", 0])}
    with pytest.raises(FleetError, match="run in a circle"):
        job(folder, {}, graph)


def test_a_models_folder_that_is_none_is_refused(folder):
    with pytest.raises(FleetError, match="--models .*none: is no folder"):
        ModelFiles(folder / "none", Hashes())
