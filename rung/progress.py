"""What runs, what is done and about how long the rest takes, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rung.benchmark import Trial
from rung.trial import Outcome

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class Progress:
    """Live on a terminal, else plain lines. mode: "auto", "plain" or "none"."""

    def __init__(
        self, plan: Sequence[Trial], found: dict[Trial, Outcome], jobs: int, mode: str
    ) -> None:
        self.total, self.kept = len(plan), len(found)
        self.done, self.jobs, self.mode = len(found), jobs, mode
        self.left = [t for t in plan if t not in found]
        self.running: dict[Trial, float] = {}
        self.seconds: dict[tuple[str, str], list[float]] = {}
        for trial, outcome in found.items():
            self._learn(trial, outcome.cost.get("fit_s"))
        self.bar: Bar | None = None

    def __enter__(self) -> Progress:
        if self.mode == "auto" and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self.bar = Progress(
                TextColumn("{task.completed:.0f}/{task.total:.0f} trials"),
                BarColumn(bar_width=24),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
                console=Console(stderr=True),
                transient=True,
            )
            self.bar.start()
            self.task = self.bar.add_task("starting", total=self.total, completed=self.done)
        elif self.kept:
            self.say(f"{self.kept} of {self.total} trials were done before")
        return self

    def __exit__(self, *raised: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def say(self, line: str) -> None:
        if self.bar is not None:
            self.bar.update(self.task, description=line)
        elif self.mode != "none":
            print(line, file=sys.stderr, flush=True)

    def started(self, trial: Trial) -> None:
        self.running[trial] = time.perf_counter()
        if self.bar is not None:
            self.say(self._status())

    def finished(self, trial: Trial, status: str, seconds: float) -> None:
        self.done += 1
        self.left.remove(trial)
        self.running.pop(trial, None)
        self._learn(trial, seconds if status == "ok" else None)
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done)
            self.say(self._status())
        elif self.mode != "none":
            state = "" if status == "ok" else f" {status}"
            self.say(f"{self.done}/{self.total} {trial} {seconds:.1f} s{state}{self._eta()}")

    def _learn(self, trial: Trial, seconds: float | None) -> None:
        if seconds is not None:
            self.seconds.setdefault((trial.dataset, trial.rung), []).append(seconds)

    def _status(self) -> str:
        return ", ".join(str(t) for t in tuple(self.running)) + self._eta()

    def _eta(self) -> str:
        """About how long the rest takes, from what the same rung took before."""
        known = [s for took in self.seconds.values() for s in took]
        if not known or not self.left:
            return ""
        now = time.perf_counter()
        rest = 0.0
        for trial in self.left:
            took = self.seconds.get((trial.dataset, trial.rung), known)
            rest += max(sum(took) / len(took) - (now - self.running.get(trial, now)), 0.0)
        return f", about {rest / self.jobs:.0f} s left"
