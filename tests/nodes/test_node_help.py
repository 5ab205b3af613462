"""The node help pages of web/docs, one for each node and language, true to its schema.

The frontend asks for <node id>/<language>.md and then for <node id>.md. The English page is the latter, so that it is
also the page of every language that has none of its own.
"""

import re

import pytest
from customenhancer import WEB_DIRECTORY
from helpers.locales import LANGUAGES, node_words
from helpers.paths import CHECKOUT
from helpers.schemas import SCHEMAS

PAGES = CHECKOUT / WEB_DIRECTORY / "docs"
# What a page says in each language: its headings, a choice, a default, the end of the type, and the place in the paper.
WORDS = {
    "en": ("Inputs", "Outputs", "choice", ", default `{}`", ". ", "Paper: section I"),
    "zh": ("输入", "输出", "选项", "，默认 `{}`", "。", "论文：第 I"),
}
pages = pytest.mark.parametrize(("node_id", "language"), [(name, tag) for name in SCHEMAS for tag in LANGUAGES])


def page_of(node_id: str, language: str) -> str:
    """A node's help page."""
    file = f"{node_id}.md" if language == "en" else f"{node_id}/{language}.md"
    return (PAGES / file).read_text(encoding="utf-8")


def rows(page: str, heading: str) -> dict[str, tuple[str, str]]:
    """The table below a heading: what it calls each id, and what it says of it."""
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| (?:([^`|]+) )?`(\w+)` \| (.+) \|$", section, re.MULTILINE)
    return {name: (title, text) for title, name, text in found}


def test_each_node_has_its_pages_and_no_page_is_left_over():
    wanted = {f"{name}.md" for name in SCHEMAS} | {f"{name}/zh.md" for name in SCHEMAS}
    assert {page.relative_to(PAGES).as_posix() for page in PAGES.rglob("*") if page.is_file()} == wanted


@pages
def test_the_page_lists_the_schemas_inputs_and_outputs(node_id, language):
    schema = SCHEMAS[node_id]
    words = node_words(language)[node_id]
    page = page_of(node_id, language)
    input_heading, output_heading, choice, default_words, stop, _ = WORDS[language]
    assert page.startswith(f"# {words['display_name']}\n")
    inputs = rows(page, input_heading)
    assert list(inputs) == [entry.id for entry in schema.inputs]
    for entry in schema.inputs:
        title, text = inputs[entry.id]
        assert title == ("" if language == "en" else words["inputs"][entry.id]["name"])
        kind = choice if entry.get_io_type() == "COMBO" else entry.get_io_type()
        default = getattr(entry, "default", None)
        assert text.startswith(kind + ("" if default is None else default_words.format(default)) + stop)
    outputs = rows(page, output_heading)
    assert list(outputs) == [output.display_name for output in schema.outputs]
    for index, output in enumerate(schema.outputs):
        title, text = outputs[output.display_name]
        assert title == ("" if language == "en" else words["outputs"][str(index)]["name"])
        assert text.startswith(f"{output.io_type}{stop}")


@pages
def test_the_page_tells_the_paper_section(node_id, language):
    assert re.search(rf"^{WORDS[language][-1]}", page_of(node_id, language), re.MULTILINE)


@pytest.mark.parametrize("node_id", SCHEMAS)
def test_the_chinese_page_says_what_the_english_says(node_id):
    """As far as can be told without reading: parts, points, code, links and numbers, point by point."""
    english, chinese = (page_of(node_id, language) for language in ("en", "zh"))
    texts = [(english, chinese)]
    for part in ("## ", "- ", "| ", "    "):
        points = [[line for line in page.splitlines() if line.startswith(part)] for page in (english, chinese)]
        assert len(points[0]) == len(points[1]), f"lines that begin with {part!r}"
        texts += zip(*points, strict=True) if part == "- " else ()
    for told, translated in texts:
        for what in (r"`[^`]+`", r"\]\(([^)]+)\)", r"\d+(?:\.\d+)?"):
            assert set(re.findall(what, told)) <= set(re.findall(what, translated)), translated


@pytest.mark.parametrize("node_id", SCHEMAS)
def test_the_chinese_page_is_chinese_throughout(node_id):
    page = page_of(node_id, "zh")
    for line in page.splitlines():
        assert re.search("[\u4e00-\u9fff]", line) or not re.search("[A-Za-z]{2} [A-Za-z]{2}", line), line
    # Markdown would not end an emphasis between a full-width stop and a Chinese character.
    for emphasised in re.findall(r"(?<![\\*])\*{1,2}([^*\n]+)(?<!\\)\*", page):
        assert emphasised[0].isalnum() and emphasised[-1].isalnum(), emphasised
