"""dev.py's Python environment: which commands make it; the packages themselves are what this test runs in."""

import sys

import pytest

from devtools import checkers, environment, processes


@pytest.fixture
def commands(monkeypatch):
    """Record each command instead of running it; those with a word of `failing` in them fail."""
    recorded, failing = [], []

    def run(*command, **_):
        recorded.append(" ".join(map(str, command)))
        return int(any(word in recorded[-1] for word in failing))

    for module in (environment, processes):  # the second for `must`
        monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(environment, "find_uv", lambda: ["uv"])
    return recorded, failing


def test_uv_installs_the_locked_packages_where_it_is_there(commands, tmp_path):
    environment.build_environment(tmp_path, environment.LOCK)
    made, installed = commands[0]
    assert "-m venv --without-pip" in made and installed.startswith("uv pip install --no-deps")


def test_without_uv_it_is_installed_first(commands, tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "find_uv", lambda: None)
    environment.build_environment(tmp_path, environment.LOCK)
    made, bootstrap, installed = commands[0]
    assert "--without-pip" not in made and bootstrap.endswith("uv") and "-m uv pip install" in installed


def test_pip_takes_over_where_uv_fails(commands, tmp_path):
    commands[1].append("uv pip install")
    environment.build_environment(tmp_path, environment.LOCK)
    assert commands[0][-1].endswith(f"-m pip install --no-deps -r {environment.LOCK}")


def test_no_uv_and_no_venv_says_what_to_install(commands, tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "find_uv", lambda: None)
    commands[1].append("-m venv")
    with pytest.raises(processes.SetupError, match="apt install python3-venv"):
        environment.build_environment(tmp_path, environment.LOCK)


def test_a_failing_command_is_named(commands, tmp_path):
    commands[1].append("pip install")
    with pytest.raises(processes.SetupError, match="exit status 1.*pip install"):
        environment.build_environment(tmp_path, environment.LOCK)


def test_an_environment_is_for_one_lock_file_and_one_python(monkeypatch, tmp_path):
    names = []
    monkeypatch.setattr(environment, "ensure", lambda name, *_: names.append(name) or tmp_path / name)
    environment.environment()
    environment.environment()
    monkeypatch.setattr(sys.implementation, "cache_tag", "cpython-399")
    environment.environment()
    (tmp_path / "lock").write_text("another==1.0")
    monkeypatch.setattr(environment, "LOCK", tmp_path / "lock")
    environment.environment()
    assert names[0] == names[1] and len(set(names)) == 3


def test_checkers_that_do_not_install_are_done_without(commands, cache_folder, capsys):
    assert cache_folder in checkers.checkers().parents
    commands[1].append("pip install")
    next(cache_folder.glob("checkers-*/.complete.json")).unlink()  # so that they are installed again
    assert checkers.checkers() is None
    assert "Going on without the checkers of node packs: this command failed" in capsys.readouterr().out
