"""What a host leaves behind outside its own folders: nothing."""

from pathlib import Path

from reliability.report import Section

CRITERION = "While all of this runs, no file appears or changes in the user's home folder or in the pack's folder."
# In the checkout: what the version control and Python keep for themselves, and what these checks write.
OWN = {".git", "__pycache__", ".pytest_cache", ".ruff_cache", "output"}


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """{path below the folder: (size, time of change)} of every file."""
    found = {}
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if not OWN & set(relative.parts) and path.is_file():
            stat = path.stat()
            found[relative.as_posix()] = stat.st_size, stat.st_mtime_ns
    return found


def traces(before: dict[str, dict], after: dict[str, dict]) -> Section:
    """Compare snapshots by the name of their place."""
    rows = [("place", "files before", "new or changed")]
    changed = []
    for place, files in before.items():
        new = sorted(name for name, state in after[place].items() if files.get(name) != state)
        changed += new
        rows.append((place, len(files), len(new)))
    notes = [f"New or changed: {', '.join(changed)}."] if changed else []
    return Section("Files left behind", CRITERION, rows, not changed, notes)
