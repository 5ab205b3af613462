"""The ecosystem's own checkers find nothing: comfy-lint, comfy-import-guard, comfy-test and comfy-cli, all offline."""

import json
import os
import subprocess
import zipfile
from pathlib import Path

import demo
import pytest
from helpers.host_client import Host
from helpers.paths import HOST
from helpers.published import cloned_files, copy_files, published_files
from PIL import Image

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost")


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """Run one of the checkers in a folder, with a home of its own and nothing told to anyone; returns what it did."""
    if "CUSTOMENHANCER_CHECKERS" not in os.environ:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up("CUSTOMENHANCER_CHECKERS names no folder of the checkers: python3 dev.py test does, if they install")
    commands = Path(os.environ["CUSTOMENHANCER_CHECKERS"])
    home = str(tmp_path_factory.mktemp("home"))
    variables = {**os.environ, "HOME": home, "USERPROFILE": home, "DO_NOT_TRACK": "1", "PYTHONUTF8": "1"}

    def check(folder, name, *arguments):
        command = [commands / name, *arguments]
        return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=300)

    return check


def commit(folder):
    """Make a git repository of a folder."""
    for arguments in (["init", "-q"], ["add", "--all", "--force"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*GIT, *arguments], cwd=folder, check=True)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The pack as a clone of its repository."""
    folder = copy_files(cloned_files(), tmp_path_factory.mktemp("clone"))
    commit(folder)
    return folder


@pytest.fixture(scope="module")
def lint(check, server, tmp_path_factory):
    """comfy-lint on API prompts, by name, against what a real server says of its nodes."""
    folder = tmp_path_factory.mktemp("prompts")

    def lint(prompts):
        for name, prompt in prompts.items():
            (folder / name).write_text(json.dumps(prompt), encoding="utf-8")
        (folder / "object_info").write_bytes(Host(server.url).get("/object_info"))
        return check(folder, "comfy-lint", "--strict", "--schema-cache", "object_info", *prompts)

    return lint


def on_the_server(server, file):
    """A shipped prompt with the names of the stand-ins and of pictures that the server has."""
    prompt = demo.load_workflow(file, real_models=False)
    for node in prompt.values():
        if node["class_type"] == "LoadImage":
            node["inputs"]["image"] = Host(server.url).upload("person.png", Image.new("RGB", (64, 64)))
    return prompt


def test_comfy_lint_finds_nothing_in_the_shipped_prompts(lint, server):
    done = lint({path.name: on_the_server(server, path.name) for path in demo.WORKFLOWS.glob("*.json")})
    assert done.returncode == 0, done.stdout + done.stderr


def test_comfy_lint_finds_an_input_that_a_node_does_not_have(lint, server):
    prompt = on_the_server(server, "customenhancer_photomaker.json")
    prompt[demo.find(prompt, "CE_ResInversion")]["inputs"]["guidance"] = 5.0
    done = lint({"wrong.json": prompt})
    assert done.returncode == 1 and "extraneous-input" in done.stdout


def test_comfy_import_guard_finds_all_that_the_pack_uses_of_the_host(check, tmp_path):
    """It reads a host's files from a git repository, and the packs from a folder custom_nodes."""
    host = tmp_path / "cache" / "ComfyUI"
    for file in HOST.rglob("*.py"):
        if "custom_nodes" not in file.parts:
            (host / file.relative_to(HOST)).parent.mkdir(parents=True, exist_ok=True)
            (host / file.relative_to(HOST)).write_bytes(file.read_bytes())
    commit(host)
    pack = copy_files(published_files(), tmp_path / "custom_nodes" / "pack")

    def guard():
        places = ["--comfy-dir", tmp_path, "--cache-dir", tmp_path / "cache"]
        return check(tmp_path, "comfy-import-guard", "check", "--offline", "--strict", "--target", "HEAD", *places)

    done = guard()
    assert done.returncode == 0 and "1 safe, 0 warn" in done.stdout, done.stdout + done.stderr
    with open(pack / "host" / "checks.py", "a", encoding="utf-8") as file:
        file.write("\nfrom comfy.samplers import gone\n")
    assert guard().returncode == 1


def test_comfy_tests_static_levels_pass(check, tmp_path):
    pack = copy_files(published_files(), tmp_path)
    done = check(tmp_path, "comfy-test", "lint", "--strict", pack)
    assert done.returncode == 0, done.stdout + done.stderr
    (pack / "host" / "wrong.py").write_text("import torch\n\ntorch.zeros(1).cuda()\n", encoding="utf-8")
    assert check(tmp_path, "comfy-test", "lint", "--strict", pack).returncode == 1


def test_comfy_clis_validation_passes_without_a_warning(check, clone):
    done = check(clone, "comfy", "--skip-prompt", "node", "validate")
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "All validation checks passed" in said and "warning" not in said.lower(), said


def test_comfy_cli_packs_what_the_registrys_archive_is_meant_to_hold(check, clone):
    done = check(clone, "comfy", "--skip-prompt", "node", "pack")
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(clone / "node.zip") as archive:
        assert set(archive.namelist()) == published_files()
