"""Messages that can always be written: whatever comes from outside (names, texts, values) is escaped, and cut short.

A lone surrogate (half a character, as JSON can spell it and an undecodable file name brings it) cannot be written as
UTF-8. The host logs the text of every exception, and such a text ends the thread that runs its prompts.
"""

import reprlib
import traceback

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
