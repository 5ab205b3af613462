"""The pages for people: links, commands and names in them exist, and their tables agree with what they tell of."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from comfy_config.config_parser import extract_node_configuration
from customenhancer.faces.known_files import ALL
from customenhancer.host.balances import BALANCES
from customenhancer.nodes import CustomEnhancerExtension
from helpers.pages import SHELL, anchors, blocks, commands, links, pictures, prose, read, resolve, table, words
from helpers.paths import CHECKOUT, HOST
from helpers.published import cloned_files, published_files

import dev

README = CHECKOUT / "README.md"
PAGES = [README, *(CHECKOUT / name for name in ("README.zh.md", "SECURITY.md", "CONTRIBUTING.md"))]
PAGES += sorted((CHECKOUT / "docs").glob("*.md"))
RESULTS = CHECKOUT / "lab" / "benchmarks" / "results"
LANGUAGES = {*SHELL, "text", "python", "json", "yaml"}  # of blocks of code
FLEET = CHECKOUT / "fleet"
PROJECT = extract_node_configuration(str(CHECKOUT)).project

for_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def every_command() -> list:
    return [pytest.param(command, id=f"{page.name}: {command}") for page in PAGES for command in commands(page)]


@pytest.fixture
def parse_dev(monkeypatch, tmp_path):
    """Run dev.py's command line up to the point where it would begin to work; return what it would call."""
    called = []
    for name in ("demo", "serve", "test", "bench", "fleet", "rehearse", "cards", "prove"):
        monkeypatch.setattr(dev, name, lambda *arguments, name=name: called.append((name, arguments)) or 0)
    monkeypatch.setattr(dev.signal, "signal", lambda *arguments: None)

    def parse(arguments: list[str]) -> tuple[str, tuple]:
        dev.main([{"DIR": str(tmp_path), "N": "64"}.get(word, word) for word in arguments])
        return called.pop()

    return parse


@for_each_page
def test_every_link_leads_to_a_file_of_the_checkout_and_to_a_heading_in_it(page):
    files = {CHECKOUT / file for file in cloned_files()}
    folders = {parent for file in files for parent in file.parents}
    for target in links(page):
        path, anchor = resolve(page, target), target.partition("#")[2]
        assert path in files | folders, target
        assert not anchor or anchor in anchors(path), target


@for_each_page
def test_every_block_of_code_says_what_it_is(page):
    assert {language for language, _ in blocks(page)} <= LANGUAGES


@pytest.mark.parametrize("command", every_command())
def test_every_command_is_one_that_there_is(command, parse_dev):
    match words(command):
        case ["python3", "dev.py", *arguments] | ["dev.py", *arguments]:
            name, given = parse_dev(arguments)
            of_bench = "paper" if given[1:2] == ("paper",) else "benchmarks"
            folder = {"bench": of_bench, "rehearse": "rehearsal", "cards": "cards", "prove": given[0]}.get(name)
            folder = FLEET if name == "fleet" else folder and CHECKOUT / "lab" / folder
            if folder:  # the rest of the line is for a command line of its own
                parsers = "".join(map(read, sorted(folder.glob("*.py"))))
                assert all(f'"{word}"' in parsers for word in given[-1] if word.startswith("--")), command
        case ["python" | "python3", "fleet" | "custom_nodes/ComfyUI-CustomEnhancer/fleet", "run", jobs, *arguments]:
            source = read(FLEET / "command.py")
            assert all(f'"{word}"' in source for word in arguments if word.startswith("--")), command
            assert jobs == "jobs.yaml" or (CHECKOUT / jobs).is_file()
        case ["python", "lab", module, *arguments]:
            source = read(CHECKOUT / "lab" / f"{module.replace('.', '/')}.py")
            assert all(f'"{word}"' in source for word in arguments if word.startswith("--")), command
        case ["python3" | "python", script, *arguments]:
            source = read(CHECKOUT / script)
            assert all(f'"{word}"' in source for word in arguments if word.startswith("--"))
            assert all((CHECKOUT / word).is_file() for word in arguments if word.startswith("workflows/"))
        case ["comfy", "run", "--workflow", workflow, *_]:
            assert (CHECKOUT / workflow).is_file()
        case ["git", "clone", "--depth", "1", address]:
            assert address == PROJECT.urls.repository
        case ["comfy", "node", "install", name]:
            assert name == PROJECT.name
        case ["pip", "install", "-r", "ComfyUI-CustomEnhancer/requirements.txt"]:
            pass
        case ["pip", "install", requirement]:
            assert requirement in read(CHECKOUT / "requirements.txt").splitlines()
        case ["cd", "ComfyUI/custom_nodes"] | ["sha256sum" | "shasum" | "certutil", *_]:
            pass
        case _:
            pytest.fail(f"unknown: {command}")


@for_each_page
def test_every_flag_is_one_that_there_is(page):
    ours = [
        CHECKOUT / "dev.py",
        FLEET / "command.py",
        *(CHECKOUT / "lab").rglob("__main__.py"),
        *(CHECKOUT / "api_examples").glob("*.py"),
    ]
    known = "".join(map(read, [*ours, HOST / "comfy" / "cli_args.py"])) + '"--wait"'  # comfy-cli's
    for flag in re.findall(r"`(--[a-z][a-z0-9-]*)[^`]*`", prose(page)):
        assert f'"{flag}"' in known, flag


def workflow_name(path: Path) -> str:
    """What the template browser calls a workflow: an app's file ends in .app.json."""
    return path.stem.removesuffix(".app")


def workflow_names() -> set[str]:
    return {workflow_name(path) for path in (CHECKOUT / "workflows").glob("*.json")}


def display_names() -> set[str]:
    nodes = asyncio.run(CustomEnhancerExtension().get_node_list())
    return {node.define_schema().display_name for node in nodes}


@for_each_page
def test_what_is_in_italics_is_a_node_a_workflow_or_a_choice(page):
    """A node is called by its own name or by its title in the workflows."""
    stock = "".join(map(read, [HOST / "nodes.py", *sorted((HOST / "comfy_extras").glob("*.py"))]))
    known = display_names() | BALANCES.keys() | workflow_names()
    for path in (CHECKOUT / "workflows" / "api").glob("*.json"):
        known |= {node["_meta"]["title"] for node in json.loads(read(path)).values()}
    known = {name.casefold() for name in known}
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    for found in re.findall(r"(?<![*\\\w])\*(?![\s*])([^*]+?)\*(?![*\w])", text):
        name = " ".join(found.split())
        assert name.casefold() in known or f'"{name}"' in stock, name


def test_the_first_picture_stands_on_the_first_screen():
    before = read(README).split("## Install")[0]
    assert len(before.splitlines()) <= 40 and re.search(r"!\[|<img ", before)


def test_the_first_picture_of_ones_own_is_two_screens_away_at_most():
    """Two screens hold about 600 words. Nobody reads the links of the models table, nor what pictures are made of."""
    text, heading = read(README), "## The main workflows"
    assert heading in text and len(re.sub(r"\(http[^)]*\)|<img [^>]*>", "", text.split(heading)[0]).split()) <= 600


def test_the_first_picture_names_what_the_app_shows():
    (path,) = (CHECKOUT / "workflows").glob("CustomEnhancer PhotoMaker V2*.json")
    workflow = json.loads(read(path))
    nodes = {node["id"]: node["inputs"] for node in workflow["nodes"]}
    shown = workflow["extra"]["linearData"]["inputs"]
    labels = [entry["label"] for node, name, *_ in shown for entry in nodes[node] if entry["name"] == name]
    steps = read(README).split("## Your first picture")[1].split("\n## ")[0]
    told = re.findall(r"\bA?t \*\*(.+?)\*\*|Change \*\*(.+?)\*\*", steps)
    assert len(told) == 3
    assert all(any(label.startswith(max(pair)) for label in labels) for pair in told), labels


def test_the_readme_wants_the_comfyui_that_the_metadata_wants():
    wanted = PROJECT.supported_comfyui_version.removeprefix(">=")
    assert set(re.findall(r"(\d+\.\d+\.\d+) or newer", read(README))) == {wanted}


def test_the_models_table_is_the_list_of_known_files():
    rows = table(README, "Models")
    told = [(*re.fullmatch(r"\[`(.*)`\]\((.*)\)", file).groups(), folder, law) for file, _, folder, law, _ in rows]
    assert told == [(file.name, file.link, f"`{file.folder}/`", file.licence) for file in ALL]


def test_the_readme_shows_the_main_workflows():
    shown = [source for source in pictures(README) if source.startswith("workflows/")]
    names = ["CustomEnhancer PhotoMaker", "CustomEnhancer PhotoMaker V2", "CustomEnhancer InstantID"]
    names += ["CustomEnhancer LoRA", "CustomEnhancer photo edit"]
    assert [workflow_name(Path(source)) for source in shown] == names


def test_what_the_archive_leaves_out_is_documents_alone():
    """An installed README shows its pictures; pages, benchmarks and the guide for contributors are read online."""
    files = published_files()
    assert set(pictures(README)) <= files
    left_out = {resolve(README, target).relative_to(CHECKOUT).as_posix() for target in links(README)} - files
    assert {path.split("/")[0] for path in left_out} <= {"docs", "CONTRIBUTING.md"}
    assert "SECURITY.md" in files and f"({PROJECT.urls.repository})" in read(README)


def test_the_page_of_nodes_names_each_once_with_its_help():
    told = re.findall(r"\[([^\]]+)\]\(\.\./web/docs/(\w+)\.md\)", read(CHECKOUT / "docs" / "nodes.md"))
    schemas = [node.define_schema() for node in asyncio.run(CustomEnhancerExtension().get_node_list())]
    assert sorted(told) == sorted((schema.display_name, schema.node_id) for schema in schemas)


def test_the_page_of_workflows_names_each_once_with_its_files():
    rows = re.findall(r"^\| \*(.+?)\* \| .* \| (.*) \|$", read(CHECKOUT / "docs" / "workflows.md"), re.MULTILINE)
    told = {name: set(re.findall(r"`(.+?)`", files)) for name, files in rows}
    packs = {file.name.removesuffix(".zip") for file in ALL if file.name.endswith(".zip")}
    needed = {}
    for path in (CHECKOUT / "workflows").glob("*.json"):
        values = [value for node in json.loads(read(path))["nodes"] for value in node.get("widgets_values") or []]
        names = {value for value in values if isinstance(value, str)}
        files = {name for name in names if name.endswith((".safetensors", ".bin", ".onnx"))} | packs & names
        needed[workflow_name(path)] = files - {ALL[0].name}
    assert told == needed and len(rows) == len(needed)


def test_the_page_of_settings_tells_the_balances():
    rows = table(CHECKOUT / "docs" / "settings.md", "Scene or Identity")
    told = {name: (float(share.split("%")[0]), int(step)) for name, share, step in rows}
    assert told == {name: (100 * balance.start, balance.start_step(50)) for name, balance in BALANCES.items()}
    text = " ".join(read(CHECKOUT / "docs" / "settings.md").split())
    for name, balance in BALANCES.items():
        assert re.search(rf"\*{name}\*,?(?: is)? {balance.start_step(15)}\b", text), name


def test_the_page_of_settings_tells_the_pocket_worlds_curves():
    found = {}
    for point in json.loads(read(RESULTS / "pocket.json"))["curve"]:
        if point["method"] == "customenhancer-photomaker":
            numbers = found.setdefault(str(point["start_step"]), {})
            numbers[point["forward_scale"]] = [f"{point[name]['mean']:.1f}" for name in ("similarity", "background")]
    rows = table(CHECKOUT / "docs" / "settings.md", "The starting step")
    assert {step: told for step, *told in rows} == {step: two[1.0] + two[2.0] for step, two in found.items()}


def test_the_readme_tells_the_pocket_worlds_similarities():
    methods = json.loads(read(RESULTS / "pocket.json"))["methods"]
    told = re.findall(r"\((\d+) to (\d+), cosine × 100\).*?\((\d+)\)", read(README), re.DOTALL)
    names = ("CustomEnhancer (P.M.)", "PhotoMaker", "After face swap")
    assert told == [tuple(f"{methods[name]['similarity']['mean']:.0f}" for name in names)]


def test_the_page_of_performance_tells_the_benchmark():
    found = json.loads(read(RESULTS / "inversion-pocket-cpu.json"))["rows"]
    rows = {row["method"]: row for row in found if (row["steps"], row["cfg"]) == (50, 5.0)}
    for method, *told in table(CHECKOUT / "docs" / "performance.md", "Inversion methods"):
        counts = [rows[method][name] for name in ("guider_calls", "forwards", "backwards")]
        numbers = [f"{rows[method][name]:.3g}" for name in ("ratio", "max_error")]
        assert told == [*map(str, counts), *numbers], method


def test_the_page_of_performance_tells_what_stands_beside_the_benchmarks_table():
    found, text = json.loads(read(RESULTS / "inversion-pocket-cpu.json")), read(CHECKOUT / "docs" / "performance.md")
    (inversion,) = (one["ratio"] for one in found["res_inversion_over_ddim"] if one["cfg"] == 5)
    assert f"takes {inversion:.3g} times as long as DDIM inversion" in text
    assert f"as long as the stock euler: {found['bimd_over_euler']['ratio']:.3g} times" in text
    assert f"10 a call were {found['batched_recording']['speed_up']['10']:.2g} times as fast" in text


def test_the_page_of_performance_tells_the_fleet():
    text, speed = read(CHECKOUT / "docs" / "performance.md"), json.loads(read(RESULTS / "fleet-speed.json"))
    ratios = {what: found for what, found in speed.items() if isinstance(found, dict) and "mean" in found}
    rows = table(CHECKOUT / "docs" / "performance.md", "Many hosts")
    told = [f"{found['mean']:.2f} ({found['low']:.2f} … {found['high']:.2f})" for found in ratios.values()]
    assert [ratio for _, ratio in rows] == told and len(told) == 4
    assert f"{speed['jobs']} jobs of {speed['steps']} steps" in text and f"{speed['rounds']} rounds" in text
    simulated = json.loads(read(RESULTS / "fleet-simulation.json"))
    assert simulated["jobs done"] == simulated["ends of jobs"] == simulated["jobs"] == 1_000_000
    assert f"{100 * simulated['utilisation']:.1f} % of their time" in text
    assert f"planned and run in {simulated['seconds to plan and run']:.0f} seconds" in text
    assert f"{simulated['memory at most, MiB']:.0f} MiB" in text


def test_the_pages_tell_the_rehearsal():
    result = read(CHECKOUT / "lab" / "rehearsal" / "results" / "cpu-fp16-128px-2-steps.md")
    peaks = re.search(r"^\| peak memory, GiB, all \| (.*)$", result, re.MULTILINE)[1]
    told = re.findall(r"(\d+\.\d)(?: GiB)?\s+with", read(CHECKOUT / "docs" / "performance.md"))
    assert told == re.findall(r"(\d+\.\d) \(", peaks)[1:]
    errors = re.findall(r"^\| the same, computing in \w+ \| (\S+) ", result, re.MULTILINE)
    assert len(errors) == 3
    assert f"off by at most {max(errors, key=float)} of a latent unit" in read(CHECKOUT / "docs" / "method.md")
