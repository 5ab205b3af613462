"""Every node's schema as the host hands it out, against tests/nodes/schema.json: it guards people's saved workflows.

A saved workflow holds node ids, links by socket, and widget values by position; an API job holds input names and relies
on defaults. A difference here breaks them, unless it only adds an optional input behind the others, or a node. Where
a change is meant, write the file anew, read its diff, and say in the commit what becomes of saved workflows:

    CUSTOMENHANCER_WRITE_SCHEMA=1 python3 dev.py test -k test_schema

Tooltips and descriptions are left out: their wording is free.
"""

import asyncio
import difflib
import json
import os
from pathlib import Path

import customenhancer
import folder_paths
import pytest

FILE = Path(__file__).with_name("schema.json")
SAVED = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
NODE_KEYS = "display_name", "category", "output_node", "is_input_list", "experimental", "deprecated"


def inputs_of(info: dict) -> list[dict]:
    """A node's inputs in the order of its widgets: name, type, whether it is required, and all options but the tooltip.

    info: the node's entry in the host's /object_info.
    """
    return [
        {"name": name, "type": io_type, "required": group == "required"}
        | {key: value for options in more for key, value in options.items() if key != "tooltip"}
        for group in ("required", "optional")
        for name, (io_type, *more) in info["input"].get(group, {}).items()
    ]


def outputs_of(info: dict) -> list[dict]:
    """A node's outputs in their order: name, type, and whether it is a list."""
    columns = info["output_name"], info["output"], info["output_is_list"]
    return [dict(zip(("name", "type", "is_list"), row, strict=True)) for row in zip(*columns, strict=True)]


def schema_of(info: dict) -> dict:
    """All of a node that a saved workflow may rely on."""
    return {
        **{key: info[key] for key in NODE_KEYS},
        "inputs": inputs_of(info),
        "outputs": outputs_of(info),
        "hidden": sorted(info["input"].get("hidden", {})),
    }


def text_of(schemas: dict[str, dict]) -> str:
    """Schemas as sorted JSON with one line per input and output, so that a diff shows each whole."""
    nodes = []
    for node_id, schema in sorted(schemas.items()):
        lines = []
        for key, value in schema.items():
            if value and isinstance(value[0] if isinstance(value, list) else value, dict):
                rows = ",\n".join(f"      {json.dumps(row, ensure_ascii=False)}" for row in value)
                lines.append(f'    "{key}": [\n{rows}\n    ]')
            else:
                lines.append(f'    "{key}": {json.dumps(value, ensure_ascii=False)}')
        nodes.append(f'  "{node_id}": {{\n' + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(nodes) + "\n}\n"


@pytest.fixture(scope="module")
def schemas(tmp_path_factory):
    """Every node's schema by node id, on a disk without models and recordings: choices that list files are empty."""
    empty = str(tmp_path_factory.mktemp("empty"))
    with pytest.MonkeyPatch.context() as patch:
        for folder, (_, extensions) in list(folder_paths.folder_names_and_paths.items()):
            patch.setitem(folder_paths.folder_names_and_paths, folder, ([empty], extensions))
        patch.setattr(folder_paths, "filename_list_cache", {})
        patch.setattr(folder_paths, "input_directory", empty)
        patch.setattr(folder_paths, "output_directory", empty)

        async def infos():
            extension = await customenhancer.comfy_entrypoint()
            return [node.GET_NODE_INFO_V1() for node in await extension.get_node_list()]

        found = {info["name"]: schema_of(info) for info in asyncio.run(infos())}
    if os.environ.get("CUSTOMENHANCER_WRITE_SCHEMA"):
        FILE.write_text(text_of(found), encoding="utf-8", newline="\n")
        pytest.skip(f"wrote {FILE}")
    return found


def test_no_node_is_missing_or_unrecorded(schemas):
    assert sorted(schemas) == sorted(SAVED)


@pytest.mark.parametrize("node_id", sorted(SAVED))
def test_a_nodes_schema_is_the_recorded_one(schemas, node_id):
    saved, found = (
        text_of({key: value for key, value in all_of.items() if key == node_id}).splitlines()
        for all_of in (SAVED, schemas)
    )
    diff = "\n".join(difflib.unified_diff(saved, found, "schema.json", "the pack", n=0, lineterm=""))
    assert not diff, f"{node_id} differs from what saved workflows know:\n{diff}"
