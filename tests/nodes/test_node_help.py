"""The node help pages of web/docs: one for each node, true to its schema."""

import asyncio
import re

import pytest
from customenhancer import WEB_DIRECTORY
from customenhancer.nodes import CustomEnhancerExtension
from helpers.paths import CHECKOUT

PAGES = CHECKOUT / WEB_DIRECTORY / "docs"
SCHEMAS = {schema.node_id: schema for schema in (
    node.define_schema() for node in asyncio.run(CustomEnhancerExtension().get_node_list())
)}  # fmt: skip


def rows(page: str, heading: str) -> dict[str, str]:
    """The table below a heading: what it says of each name."""
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE))


def test_each_node_has_a_page_and_no_page_is_left_over():
    assert {page.stem for page in PAGES.glob("*.md")} == set(SCHEMAS)


@pytest.mark.parametrize("node_id", SCHEMAS)
def test_the_page_lists_the_schemas_inputs_and_outputs(node_id):
    schema = SCHEMAS[node_id]
    page = (PAGES / f"{node_id}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {schema.display_name}\n")
    inputs = rows(page, "Inputs")
    assert list(inputs) == [entry.id for entry in schema.inputs]
    for entry in schema.inputs:
        io_type = entry.get_io_type()
        kind = "choice" if io_type == "COMBO" else io_type
        default = getattr(entry, "default", None)
        assert inputs[entry.id].startswith(f"{kind}. " if default is None else f"{kind}, default `{default}`. ")
    outputs = rows(page, "Outputs")
    assert list(outputs) == [output.display_name for output in schema.outputs]
    for output in schema.outputs:
        assert outputs[output.display_name].startswith(f"{output.io_type}. ")


@pytest.mark.parametrize("node_id", SCHEMAS)
def test_the_page_tells_the_paper_section(node_id):
    page = (PAGES / f"{node_id}.md").read_text(encoding="utf-8")
    assert re.search(r"^Paper: section I", page, re.MULTILINE)
