"""Whether a guider's MODEL and its CONDITIONINGs belong together: a graph can connect the one and forget the other.

An identity method often has two parts, one in the MODEL and one in the CONDITIONING, and each part by itself samples
without a word. So a part may speak for itself: an entry of a CONDITIONING's options or of its `model_conds` by a method
`missing_in(model)`, a wrapper of a MODEL by a method `missing_from(conds)`. Both return what to tell the user, or "",
and raise ValueError where what is missing can only be a mistake.
"""

from itertools import chain

from .control_family import check_control_family


def check_wiring(guider, name: str | None, forward: bool = False) -> list[str]:
    """What a GUIDER's MODEL and CONDITIONINGs lack of each other, to tell the user, a sentence or two each.

    name: of the input that the guider came from; None if it was built from inputs that bear the conditionings' own
    names. forward: whether it is a forward flow, which is there for the identity; any other may use a personalised
    MODEL without one. A guider of a class that keeps no conditionings as the host's do is not judged.
    Raises ValueError where it would ignore an identity without a word, and what `check_control_family` does.
    """
    check_control_family(guider, name)
    model, conditionings = guider.model_patcher, getattr(guider, "original_conds", {})
    found = []
    for conditioning, conds in conditionings.items():
        place = f"{name}: its {conditioning}" if name else f"{conditioning}:"
        entries = (entry for cond in conds for entry in (*cond.values(), *cond.get("model_conds", {}).values()))
        found += [f"{place} {text}" for text in _told(entries, "missing_in", model)]
    if forward and conditionings:
        wrappers = chain.from_iterable(chain.from_iterable(kind.values()) for kind in model.wrappers.values())
        found += [f"{name}: {text}" for text in _told(wrappers, "missing_from", [*chain(*conditionings.values())])]
    return list(dict.fromkeys(found))


def _told(parts, method: str, other) -> list[str]:
    return [text for part in parts if hasattr(part, method) and (text := getattr(part, method)(other))]
