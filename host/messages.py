"""Messages that can always be written: whatever comes from outside (names, texts, values) is escaped, and cut short.

A lone surrogate (half a character, as JSON can spell it and an undecodable file name brings it) cannot be written as
UTF-8. The host logs the text of every exception, and such a text ends the thread that runs its prompts.
"""

import reprlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import comfy.model_management

MOST_CHARACTERS = 60  # of a value that a message repeats

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = MOST_CHARACTERS


def escaped(text: str) -> str:
    """The text with all that UTF-8 cannot hold as backslash escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def shown(value) -> str:
    """A value from outside as a message repeats it: its repr, cut short."""
    try:
        return escaped(_short.repr(value))
    except ValueError:  # an int of more digits than Python writes
        return "a number of thousands of digits"


def writable(error: Exception) -> Exception:
    """The very exception, if the host can log it and all that it was raised from; else one with the text escaped."""
    try:
        "".join(traceback.format_exception(error)).encode()
    except UnicodeEncodeError:
        return ValueError(escaped(str(error))).with_traceback(error.__traceback__)
    return error


# What code raises that met something which it did not expect. Memory errors and interrupts are the host's to handle.
UNEXPECTED = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError)


@contextmanager
def sampled(name: str) -> Iterator[None]:
    """While guiders that came by the input `name` are sampled: raises RuntimeError, by that name, if that fails.

    Their models, conditioning and patches are others' code: what it raises says nothing of the graph.
    """
    try:
        yield
    except UNEXPECTED as error:
        if comfy.model_management.is_oom(error):
            raise
        raise RuntimeError(
            f"{name}: sampling failed inside ({type(error).__name__}: {error}). If it fails in SamplerCustomAdvanced "
            "too, its model, conditioning and patches do not fit together."
        ) from error
