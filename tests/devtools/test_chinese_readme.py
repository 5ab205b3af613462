"""The Chinese README beside the English: as far as can be told without reading, it says the same, and in Chinese."""

import re

import pytest
from helpers.pages import commands, pictures, prose, read, words
from helpers.paths import CHECKOUT

ENGLISH, CHINESE = CHECKOUT / "README.md", CHECKOUT / "README.zh.md"


@pytest.mark.parametrize("part", ["#+ ", "- ", r"\| ", r"\d\. ", "```"])
def test_it_has_as_many_headings_points_rows_and_blocks(part):
    english, chinese = (len(re.findall(f"^ *{part}", read(page), re.MULTILINE)) for page in (ENGLISH, CHINESE))
    assert english == chinese > 0


def test_the_commands_are_the_same():
    english, chinese = ([words(command) for command in commands(page)] for page in (ENGLISH, CHINESE))
    assert english == chinese


def test_the_pictures_are_the_same():
    assert pictures(ENGLISH) == pictures(CHINESE)


@pytest.mark.parametrize("pattern", [r"\]\(([^)\s]+)\)", r"`([^`\n]+)`", r"\d+(?:\.\d+)*"])
def test_links_code_and_numbers_are_the_same(pattern):
    """Each page also links to the other."""
    english, chinese = (set(re.findall(pattern, read(page))) for page in (ENGLISH, CHINESE))
    assert english - {CHINESE.name} == chinese - {ENGLISH.name}


def test_it_links_to_the_english_at_the_top():
    assert f"]({ENGLISH.name})" in read(CHINESE).split("\n## ")[0]


def test_nothing_is_left_in_english():
    """But what the screen shows in English, in bold or quotes."""
    text = re.sub(r"`[^`\n]*`|“[^”]*”|\*\*[^*]*\*\*|\([^)\n]*\)|<img [^>]*>", "", prose(CHINESE))
    assert not re.findall(r"(?:[A-Za-z]{2,} ){3}", text.replace("CustomEnhancer for ComfyUI", ""))


def test_each_emphasis_ends():
    """Markdown does not end one between a full-width stop and a Chinese character."""
    for emphasised in re.findall(r"\*\*([^*\n]+)\*\*", read(CHINESE)):
        assert emphasised[0].isalnum() and emphasised[-1].isalnum(), emphasised
