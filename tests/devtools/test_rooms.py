"""The rooms of the house: what each may import, and that nodes/ holds nodes."""

import ast
import sys

import pytest
from helpers.paths import CHECKOUT

ROOMS = ("resinversion", "bimd", "baselines", "drawing", "faces", "identity", "host", "nodes")
# Which other rooms a room may import.
BELOW = {
    "resinversion": set(),
    "bimd": {"resinversion"},
    "baselines": {"resinversion"},
    "drawing": set(),
    "faces": set(),
    "identity": {"faces"},
    "host": {"resinversion", "bimd", "baselines"},
    "nodes": {"resinversion", "bimd", "baselines", "drawing", "faces", "identity", "host"},
}
STANDARD = sys.stdlib_module_names
USED_BY_THE_FLEET = {"PIL", "pyarrow", "ray", "tqdm", "websocket", "yaml"}  # where they are
TORCH_ONLY = ("resinversion", "bimd", "baselines")
OPTIONAL = {
    "insightface",
    "onnxruntime",
    "cv2",
    "diffusers",
    "transformers",
    "skimage",
    "onnx",
}  # optional, or slow to import


def files(room):
    return sorted((CHECKOUT / room).rglob("*.py"))


def imports(file):
    """(module, whether it is another room's) of each import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0], False
        elif isinstance(node, ast.ImportFrom) and node.level == 2:
            yield from (((node.module or alias.name).split(".")[0], True) for alias in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_downwards(room):
    found = {module for file in files(room) for module, ours in imports(file) if ours}
    assert found <= BELOW[room]


@pytest.mark.parametrize("room", TORCH_ONLY)
def test_the_mathematics_imports_torch_only(room):
    found = {module for file in files(room) for module, ours in imports(file) if not ours}
    assert found - sys.stdlib_module_names == {"torch"}


def test_the_fleet_needs_python_alone_and_nothing_of_the_pack():
    """It runs by its own folder, on machines without ComfyUI; ComfyUI's keeper runs in ComfyUI's process."""
    for file in files("fleet"):
        found = list(imports(file))
        assert not [module for module, ours in found if ours], file
        assert {module for module, _ in found} <= STANDARD | USED_BY_THE_FLEET | {"fleet"}, file
        top = ast.parse(file.read_text(encoding="utf-8")).body
        names = {alias.name.split(".")[0] for node in top if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module.split(".")[0] for node in top if isinstance(node, ast.ImportFrom) and node.level == 0}
        assert not names & USED_BY_THE_FLEET, file


def test_the_command_line_needs_python_alone_and_of_the_checkout_the_fleet():
    for file in [CHECKOUT / "dev.py", *files("devtools")]:
        found = list(imports(file))
        assert not [module for module, ours in found if ours], file
        assert {module for module, _ in found} <= STANDARD | {"devtools", "fleet"}, file


@pytest.mark.parametrize("room", ROOMS)
def test_no_optional_package_is_imported_at_the_top_of_a_file(room):
    for file in files(room):
        top = ast.parse(file.read_text(encoding="utf-8")).body
        names = {alias.name.split(".")[0] for node in top if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module.split(".")[0] for node in top if isinstance(node, ast.ImportFrom) and node.level == 0}
        assert not names & OPTIONAL, file


@pytest.mark.parametrize("room", ROOMS)
def test_the_face_packages_are_imported_by_the_one_helper_that_explains_what_is_missing(room):
    for file in files(room):
        assert not {"insightface", "onnxruntime", "cv2"} & {module for module, _ in imports(file)}, file


def test_only_the_entry_point_and_tests_import_nodes():
    others = [file for room in (*ROOMS, "fleet", "lab", "devtools") if room != "nodes" for file in files(room)]
    for file in others:
        assert "customenhancer.nodes" not in file.read_text(encoding="utf-8"), file
        assert ("nodes", True) not in imports(file), file


def node_classes(file):
    classes = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    return [node for node in classes if any(ast.unparse(base) == "CheckedNode" for base in node.bases)]


def test_every_file_of_nodes_but_the_shared_inputs_holds_a_node():
    for file in files("nodes"):
        assert node_classes(file) or file.name in ("__init__.py", "inputs.py"), file


def test_node_classes_are_named_after_their_ids():
    ids = {
        node.name: next(word.value for word in ast.walk(node) if str(getattr(word, "value", "")).startswith("CE_"))
        for file in files("nodes")
        for node in node_classes(file)
    }
    assert len(ids) >= 30
    assert ids == {name: f"CE_{name[: -len('Node')]}" for name in ids if name.endswith("Node")}


def test_no_two_classes_have_one_name():
    names = [
        node.name
        for room in ROOMS
        for file in files(room)
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]
    assert len(names) == len(set(names))


def test_the_paper_is_on_two_short_pages():
    pages = [file for room in ("resinversion", "bimd") for file in files(room)]
    assert sum(len(page.read_text(encoding="utf-8").splitlines()) for page in pages) <= 400
