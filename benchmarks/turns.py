"""Contestants in processes of their own, each of which works only while it is told to, so that they can take turns."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from typing import Any

PAUSE = 0.3
"""Seconds between turns: threads of one that still wait for work, by spinning, would take a core from the next."""


class Contestant:
    """Somebody else's turn: a process that takes one whenever it is called, and says what it took."""

    def __init__(self, command: list[Any], threads: int):
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[-threads:]))
        bound = ["taskset", "-c", cores] if shutil.which("taskset") and threads < (os.cpu_count() or 1) else []
        self.command = [*bound, *map(str, command)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(self.command, env=environment, text=True, **pipes)
        self.answer()  # it is ready

    def __call__(self) -> dict[str, float]:
        """Let it take one turn."""
        time.sleep(PAUSE)
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, float]:
        """What it says next."""
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(self.command)}: ended; run it alone to see why")
        answer: dict[str, float] = json.loads(line)
        return answer

    def finish(self) -> None:
        """Let it go on to its end, without turns."""
        self.process.stdin.close()
        if self.process.wait():
            sys.exit(f"{' '.join(self.command)}: failed; run it alone to see why")

    def stop(self) -> None:
        """End it where it stands."""
        self.process.kill()
        self.process.wait()


class Turns:
    """One's own turns: of each, what was counted on the way, and the seconds of the clock and of the processor."""

    def __init__(self) -> None:
        # What else is printed, by whatever library, goes to the person.
        self._answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self._counted: dict[str, float] | None = None

    def begin(self) -> bool:
        """Wait for a turn; False where none will come. Before the first, say that all is ready."""
        if self._counted is None:
            self.say({"ready": True})
        told = sys.stdin.readline()
        self._counted, self._clocks = {}, (time.perf_counter(), time.process_time())
        return bool(told)

    def count(self, **counted: float) -> None:
        """Something was done."""
        assert self._counted is not None
        for name, number in counted.items():
            self._counted[name] = self._counted.get(name, 0) + number

    def end(self) -> None:
        """The turn is over."""
        wall, work = time.perf_counter() - self._clocks[0], time.process_time() - self._clocks[1]
        self.say({**(self._counted or {}), "seconds": wall, "work": work})

    def say(self, what: dict[str, Any]) -> None:
        """Something for who gives the turns."""
        print(json.dumps(what), file=self._answers, flush=True)


class StepTurns:
    """Turns of so many steps of a training, after some that nobody measures; then it goes on to its end without."""

    def __init__(self, turns: Turns, warm: int, steps: int):
        self.turns, self.warm, self.steps = turns, warm, steps
        self.seen, self.over = 0, False

    def step(self, **counted: float) -> None:
        """A step begins, in which this is counted."""
        self.seen += 1
        measured = self.seen - self.warm - 1
        if self.over or measured < 0:
            return
        if measured % self.steps == 0:
            if measured:
                self.turns.end()
            self.over = not self.turns.begin()
        self.turns.count(**counted)


def medians(turns: list[dict[str, float]], counted: str) -> dict[str, float]:
    """Of some turns the medians of what was counted in a second, of the clock and of the processor."""
    return {name: statistics.median(turn[counted] / turn[name] for turn in turns) for name in ("seconds", "work")}
