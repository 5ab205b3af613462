"""dev.py's models folders: when they are made again."""

from pathlib import Path

from devtools import models


def test_the_pocket_worlds_folder_is_for_one_set_of_weights_and_of_scripts(monkeypatch, tmp_path):
    names, pocket = [], tmp_path / "pocket"
    monkeypatch.setattr(models, "ensure", lambda name, *_: names.append(name) or tmp_path / name)
    monkeypatch.setattr(models, "POCKET", pocket)
    (pocket / "weights" / "deep").mkdir(parents=True)
    for file in (pocket / "script.py", pocket / "weights" / "one", pocket / "weights" / "deep" / "other"):
        models.pocket_world(Path("python"), Path("comfyui"))
        models.pocket_world(Path("python"), Path("comfyui"))
        file.write_bytes(b"new")
    models.pocket_world(Path("python"), Path("comfyui"))
    assert names[::2] == [*names[1::2], names[-1]] and len(set(names)) == 4
