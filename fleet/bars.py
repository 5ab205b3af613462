"""The bars of a run: all jobs, pictures per minute and time left; and a line for each host."""

import sys
import time

from .runner import Runner

SHOWN_HOSTS = 8
EVERY = 15.0  # seconds between lines where there is no terminal


class Bars:
    """Shows how a run stands; `update` as often as one likes. total: the jobs of this run."""

    def __init__(self, total: int):
        self._total, self._started, self._told = total, time.monotonic(), 0.0
        self._bars: dict[str, object] = {}
        self._main = None
        try:
            import tqdm
        except ImportError:
            return
        if sys.stderr.isatty():
            self._tqdm = tqdm.tqdm
            self._main = tqdm.tqdm(total=total, unit=" jobs", position=0, dynamic_ncols=True)

    def update(self, left: int, failed: int, runners: list[Runner]) -> None:
        """Show it. left: jobs that have not ended. failed: that have failed in this run."""
        done = self._total - left
        minutes = (time.monotonic() - self._started) / 60
        told = f"{done / minutes if minutes else 0:.1f} pictures/min" + (f", {failed} failed" if failed else "")
        if self._main is not None:
            self._main.n = done
            self._main.set_postfix_str(told)
            for place, runner in enumerate(runners[:SHOWN_HOSTS], 1):
                self._line(place, runner)
        elif time.monotonic() - self._told >= EVERY or not left:
            self._told = time.monotonic()
            time_left = f", {minutes / done * left:.0f} min left" if done and left else ""
            print(f"{done} of {self._total} jobs, {told}{time_left}", file=sys.stderr, flush=True)
            for runner in runners[:SHOWN_HOSTS]:
                print(f"    {_words(runner)}", file=sys.stderr, flush=True)

    def _line(self, place: int, runner: Runner) -> None:
        name = runner.host.name
        if name not in self._bars:
            self._bars[name] = self._tqdm(total=0, position=place, bar_format="    {desc}", dynamic_ncols=True)
        self._bars[name].set_description_str(_words(runner))

    def close(self) -> None:
        """Leave the terminal as it was."""
        for bar in [*self._bars.values(), self._main]:
            if bar is not None:
                bar.close()


def _words(runner: Runner) -> str:
    shown = runner.shown
    minutes = (time.monotonic() - shown.since) / 60
    rate = f"{shown.done / minutes:.1f}/min" if shown.done and minutes else ""
    parts = [f"{shown.done} done", rate, shown.state, shown.progress if shown.state == "at work" else ""]
    return f"{runner.host.name}: " + ", ".join(filter(None, parts))
