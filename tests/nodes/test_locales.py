"""What the nodes are called in each language: locales/ against the schemas, and the Chinese against the English.

ComfyUI reads locales/<language>/nodeDefs.json and main.json, and its frontend shows what stands there in place of the
schema's own words. The English file is written from the schemas; after a change of their words, write it anew and
change the Chinese with it:

    CUSTOMENHANCER_WRITE_LOCALES=1 python3 dev.py test -k test_locales

Saved workflows and API prompts hold ids, which no language changes. The frontend does not translate the choices of an
input, so they stay English, and the Chinese tooltip says what each means.
"""

import json
import os
import re
import shutil

import folder_paths
import pytest
from app.custom_node_manager import CustomNodeManager
from helpers.locales import LANGUAGES, LOCALES, main_words, node_words
from helpers.schemas import SCHEMAS

# Names that Chinese users of ComfyUI read in Latin letters, in ComfyUI's own Chinese as well.
LATIN_NAMES = {"CLIP", "CFG", "ControlNet", "InstantID", "Latent", "PhotoMaker", "Sigmas", "VAE"}


def english(schema) -> dict:
    """A schema's words in the layout of nodeDefs.json."""
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": {
            entry.id: {"name": entry.display_name or entry.id, "tooltip": entry.tooltip} for entry in schema.inputs
        },
        "outputs": {
            str(index): {"name": output.display_name, "tooltip": output.tooltip}
            for index, output in enumerate(schema.outputs)
        },
    }


def written(name: str, words: dict) -> dict:
    """The content of locales/en/`name`, written anew from `words` if that is asked for."""
    file = LOCALES / "en" / name
    if os.environ.get("CUSTOMENHANCER_WRITE_LOCALES"):
        file.write_text(json.dumps(words, ensure_ascii=False, indent=2) + "\n", encoding="utf-8", newline="\n")
    return json.loads(file.read_text(encoding="utf-8"))


def flat(words: dict, path: tuple = ()) -> dict[tuple, str]:
    """Every text by the keys that lead to it."""
    texts = {}
    for key, value in words.items():
        texts |= flat(value, (*path, key)) if isinstance(value, dict) else {(*path, key): value}
    return texts


def pairs(node_id: str) -> list[tuple[tuple, str, str]]:
    """Each text of a node: where it stands, in English, in Chinese."""
    translated = flat(node_words("zh")[node_id])
    return [(path, text, translated[path]) for path, text in flat(node_words("en")[node_id]).items()]


def code_in(text: str) -> set[str]:
    """The numbers, identifiers, file names and patterns in a text: what no translation may change."""
    tokens = {token.strip(".:+-") for token in re.findall(r"[\w%*<>.:/+-]+", text, re.ASCII)}
    return {token for token in tokens if re.search(r"[\d_%*<>/:]|\w{2}\.\w{2}", token, re.ASCII)}


def is_chinese(text: str) -> bool:
    """Whether a text has Chinese characters."""
    return re.search("[\u4e00-\u9fff]", text) is not None


def categories() -> set[str]:
    """The names of all levels of the node menu that the pack adds."""
    return {level for schema in SCHEMAS.values() for level in schema.category.split("/")}


def test_the_english_files_are_the_schemas_words():
    assert written("nodeDefs.json", {name: english(schema) for name, schema in sorted(SCHEMAS.items())}) == {
        name: english(schema) for name, schema in SCHEMAS.items()
    }
    menu = {"nodeCategories": {level: level for level in sorted(categories())}}
    assert written("main.json", menu) == menu


def test_every_text_is_there_in_both_languages_and_none_is_left_over(measured):
    wanted = flat({name: english(schema) for name, schema in SCHEMAS.items()})
    for language in LANGUAGES:
        assert {path for path, text in flat(node_words(language)).items() if text} == set(wanted)
        assert set(flat(main_words(language))) == {("nodeCategories", level) for level in categories()}
    ends = {kind: {path[:3] for path in wanted if path[1] == kind} for kind in ("inputs", "outputs")}
    there = [{path[:3] for path, text in flat(node_words(language)).items() if text} for language in LANGUAGES]
    done = sum(all(end in found for found in there) for kind in ends.values() for end in kind)
    assert done == sum(len(schema.inputs) + len(schema.outputs) for schema in SCHEMAS.values())
    measured(
        f"% of {len(ends['inputs'])} inputs and {len(ends['outputs'])} outputs in both languages",
        100 * done / sum(map(len, ends.values())),
    )


@pytest.mark.parametrize("node_id", SCHEMAS)
def test_nothing_is_left_untranslated(node_id):
    for path, text, translated in pairs(node_id):
        assert is_chinese(translated) or (path[-1] == "name" and translated in LATIN_NAMES), path
        assert not re.search(r"[\u4e00-\u9fff）”][,.:;?!]|[,.:;?!] ?[\u4e00-\u9fff]", translated), (
            f"{path}: a European stop"
        )
        assert translated.endswith("。") == text.endswith("."), path


@pytest.mark.parametrize("node_id", SCHEMAS)
def test_numbers_and_identifiers_are_the_same(node_id):
    """The Chinese may name an input or a choice by its id where the English describes it: choices stay English."""
    inputs = SCHEMAS[node_id].inputs
    own = {entry.id for entry in inputs} | {output.display_name for output in SCHEMAS[node_id].outputs}
    own |= {option for entry in inputs for option in getattr(entry, "options", None) or ()}
    for path, text, translated in pairs(node_id):
        if path[-1] in ("tooltip", "description"):
            assert code_in(text) <= code_in(translated), path
            assert code_in(translated) - code_in(text) <= own, path


@pytest.mark.parametrize("node_id", SCHEMAS)
def test_the_tooltip_names_each_choice_that_the_english_names(node_id):
    translated = node_words("zh")[node_id]["inputs"]
    for entry in SCHEMAS[node_id].inputs:
        for option in getattr(entry, "options", None) or ():
            named = re.search(rf"\b{re.escape(option)}\b", entry.tooltip)
            assert not named or option in translated[entry.id]["tooltip"], f"{entry.id}: {option}"


@pytest.mark.parametrize("node_id", SCHEMAS)
def test_nodes_are_called_by_their_chinese_names(node_id):
    names = {schema.display_name: node_words("zh")[other]["display_name"] for other, schema in SCHEMAS.items()}
    assert len(set(names.values())) == len(names)
    for path, text, translated in pairs(node_id):
        for name in sorted(names, key=len, reverse=True):  # Load Face Swapper before Load Face
            assert name not in text or names[name] in translated, f"{path}: {name} is {names[name]}"
            text = text.replace(name, "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_frontend_shows_the_words_as_they_stand(language):
    """It reads names and descriptions as message patterns, in which these characters mean something."""
    for path, text in flat(node_words(language)).items():
        assert path[-1] == "tooltip" or not re.search(r"[{}@|]", text), path


def test_comfyui_hands_out_what_stands_in_the_files(tmp_path, monkeypatch):
    shutil.copytree(LOCALES, tmp_path / "ComfyUI-CustomEnhancer" / "locales")
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "custom_nodes", ([str(tmp_path)], set()))
    translations = CustomNodeManager().build_translations()
    assert set(translations) == set(LANGUAGES)
    for language, found in translations.items():
        assert found == {**main_words(language), "nodeDefs": node_words(language)}
