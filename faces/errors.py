"""The errors that identity methods share, one function per family: each names the input, what is wrong, what to do."""

from collections.abc import Iterable

MOST_NAMES = 20  # of files, in a message
MOST_NUMBERS = 20  # of pictures, in a message


def no_face(name: str, where: str, remedy: str, index: int = 0) -> ValueError:
    """The error for a face that was looked for and not found.

    name: the input with the pictures. where: what was searched. index: number of the face that was asked for, from 0.
    """
    return ValueError(f"{name}: {which_face(index)} found in {where}. {remedy}")


def no_face_in_any(name: str, count: int, index: int = 0) -> ValueError:
    """`no_face` for an input of reference pictures, none of which shows the face. count: of its pictures."""
    remedy = "Use photographs with one clear face, seen from the front, that fills a good part of each."
    return no_face(name, f"any of its {count} picture(s)", remedy, index)


def no_face_in_picture(name: str, number: int, passing: str, index: int = 0) -> ValueError:
    """`no_face` for one picture of a batch, where the node's input no_face offers pass_through.

    number: of the picture, from 0. passing: what pass_through does with it, as in "leaves it unchanged".
    """
    remedy = f"Use a picture with a larger, clearer face, or set no_face to pass_through, which {passing}."
    return no_face(name, f"picture {number}", remedy, index)


def which_face(index: int) -> str:
    """What messages call a face that was not found, before their verb. index: its number, from 0."""
    return f"no face number {index}, counted from 0," if index else "no face"


def which_pictures(numbers: list[int]) -> str:
    """Some pictures of a batch for a message: "picture 3", or "pictures 0, 3". numbers: from 0, at least one."""
    named = ", ".join(map(str, numbers[:MOST_NUMBERS]))
    more = f" and {len(numbers) - MOST_NUMBERS} more" if len(numbers) > MOST_NUMBERS else ""
    return f"pictures {named}{more}" if len(numbers) > 1 else f"picture {named}"


def file_not_found(name: str, file: str, places: Iterable, remedy: str, found: Iterable[str]) -> FileNotFoundError:
    """The error for a model file, or a folder of them, that is in none of the places.

    name: the input that chose it. remedy: of a KnownFile. found: what is there to choose instead.
    """
    there = f"Files to choose from: {names_found(found)}."
    return FileNotFoundError(f"{name}: {file} is not in {' or '.join(map(str, places))}. {remedy} {there}")


def names_found(found: Iterable[str]) -> str:
    """Names of files for a message: the first MOST_NAMES of them, and how many more there are."""
    names = list(found)
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES]) or 'none found'}{more}"


def cannot_load(name: str, files: str, error: Exception, remedy: str, otherwise: str = "") -> ValueError:
    """The error for damaged face models. error: of what reads them; otherwise: the reason where that is mute."""
    # On one line and without its full stop: ONNX Runtime's messages may end in a line break.
    reason = " ".join(str(error).split()).rstrip(".") or otherwise
    return ValueError(f"{name}: {files} cannot be loaded: {reason}. {remedy}")


def wrong_file(name: str, path: str, kind: str, fault: str, expected: str, contents: dict, remedy: str) -> ValueError:
    """The error for a file that can be read and holds something else.

    name: the input that chose it. kind: what it should be. fault: why it is not. expected: the keys of that kind.
    contents: the file's, of which the first keys are shown.
    """
    first = ", ".join(map(str, list(contents)[:3])) or "nothing"
    return ValueError(f"{name}: {path} is not {kind}: {fault}. Expected: {expected}; it begins with {first}. {remedy}")
