"""What the bench does where its command line does not say: for the paper's tables, and on the pocket world."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.loading import RESULTS
from host_server import CHECKOUT
from paper.methods import DDIM, DELAYED, DREAMBOOTH, FULL_INSTANTID, FUSION, INSTANTID, IP_ADAPTER, TITLES
from paper.places import Sample
from paper.protocol import FIGURE_SCALES, SIZE, STEPS, figure_starts

OUTPUT = CHECKOUT / "output" / "paper"
POCKET_SIDE = 128
POCKET_STARTS = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0)  # MSS in shares of the steps; at 1 the forward flow is off
OWN_GRAPH = {DREAMBOOTH, IP_ADAPTER}


@dataclass(frozen=True)
class Usual:
    """results: for page, numbers and plots of a whole run. starts: from steps to figure 10's MSS. The rest: options."""

    name: str
    results: Path
    size: int
    steps: int
    methods: Sequence[str]
    starts: Callable[[int], list[int]]
    scales: Sequence[float]
    curve_sample: Sample


PAPER = Usual(
    name="paper",
    results=OUTPUT,
    size=SIZE,
    steps=STEPS,
    methods=[method for method in TITLES if method not in OWN_GRAPH | {DELAYED, DDIM, FUSION}],
    starts=figure_starts,
    scales=FIGURE_SCALES,
    curve_sample=Sample(),
)
# InstantID has to be asked for: its jobs fail where a scene has no face, and then no method's picture counts.
POCKET = Usual(
    name="pocket",
    results=RESULTS,
    size=POCKET_SIDE,
    steps=15,
    methods=[method for method in TITLES if method not in OWN_GRAPH | {INSTANTID, FULL_INSTANTID}],
    starts=lambda steps: sorted({round(share * steps) for share in POCKET_STARTS}),
    scales=(1.0, 2.0),
    curve_sample=Sample(4, 4, 1),
)


def settle(options: argparse.Namespace) -> None:
    """Put what the command line leaves open in its place, and make its folders absolute."""
    usual = POCKET if options.pocket else PAPER
    for name in ("size", "steps", "scales", "curve_sample"):
        if getattr(options, name) is None:
            setattr(options, name, getattr(usual, name))
    options.starts = usual.starts(options.steps) if options.starts is None else options.starts
    options.graph, options.set = dict(options.graph), dict(options.set)
    options.methods = list(dict.fromkeys([*(options.methods or usual.methods), *options.graph]))
    options.name = options.name or usual.name + ("-sample" if options.sample != Sample() else "")
    if options.results is None:  # only the whole run writes over what is committed
        options.results = usual.results if options.name == usual.name else OUTPUT
    options.results, options.work = options.results.resolve(), (options.work or OUTPUT / options.name).resolve()
