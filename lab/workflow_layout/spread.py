"""Moves the parts of a workflow apart until no two boxes overlap; what was aligned stays aligned."""

from collections.abc import Iterable, Mapping

TITLE = 30  # pixels of a node's title bar, which lies above its position
BETWEEN = 40, 40  # pixels that are kept free between two boxes, across and down
MARGIN = 30  # and between a box and the edge of its group

# left, top, width, height
Box = tuple[float, float, float, float]


def spread(workflow: dict, sizes: Mapping[int, tuple[float, float]]) -> None:
    """Move nodes, groups and reroutes of a workflow, in place, so that nodes of these sizes stand free.

    sizes: (width, height with the title bar) by the node's id, in pixels of the canvas. Nothing moves left or up, and
    nothing changes its order along either axis.
    """
    for node in workflow["nodes"]:
        node["size"][0] = max(node["size"][0], round(sizes[node["id"]][0]))
    for axis in (1, 0):  # down first: who stands beside whom depends on it
        _spread_along(axis, workflow, sizes)


def _spread_along(axis: int, workflow: dict, sizes: Mapping[int, tuple[float, float]]) -> None:
    boxes = {node["id"]: _box(node, sizes[node["id"]]) for node in workflow["nodes"]}
    groups = [group["bounding"] for group in workflow["groups"]]
    reroutes = workflow["extra"].get("reroutes", ())
    places = [box[axis] for box in boxes.values()]
    places += [edge for group in groups for edge in (group[axis], group[axis] + group[axis + 2])]
    places += [reroute["pos"][axis] for reroute in reroutes]
    moved = moved_places(places, _distances(axis, list(boxes.values()), groups))
    for node in workflow["nodes"]:
        offset = TITLE if axis else 0
        node["pos"][axis] = moved[boxes[node["id"]][axis]] + offset
    for group in groups:
        first, last = moved[group[axis]], moved[group[axis] + group[axis + 2]]
        group[axis], group[axis + 2] = first, last - first
    for reroute in reroutes:
        reroute["pos"][axis] = moved[reroute["pos"][axis]]


def _box(node: Mapping, size: tuple[float, float]) -> Box:
    left, top = node["pos"]
    return left, top - TITLE, *size


def _distances(axis: int, boxes: list[Box], groups: list) -> Iterable[tuple[float, float, float]]:
    """(place, later place, how far they must be apart at least) along an axis."""
    other = 1 - axis
    for a in boxes:
        for b in boxes:
            beside = a[other] < b[other] + b[other + 2] and b[other] < a[other] + a[other + 2]
            if beside and a[axis] < b[axis]:
                yield a[axis], b[axis], a[axis + 2] + BETWEEN[axis]
        for group in groups:
            if all(group[n] <= a[n] < group[n] + group[n + 2] for n in (0, 1)):
                yield a[axis], group[axis] + group[axis + 2], a[axis + 2] + MARGIN


def moved_places(places: Iterable[float], distances: Iterable[tuple[float, float, float]]) -> dict[float, float]:
    """New places for old ones: no two come closer than they were, nor than `distances` (place, later place, least)."""
    least = {}
    for first, second, distance in distances:
        least.setdefault(second, []).append((first, distance))
    moved, before = {}, None
    for place in sorted(set(places)):
        free = place if before is None else moved[before] + place - before
        moved[place] = round(max([free, *(moved[first] + distance for first, distance in least.get(place, ()))]))
        before = place
    return moved
