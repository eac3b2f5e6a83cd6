"""Mutation score: small changes of the sources, drawn by a seed, and which of them tests notice.

``python -m workshop.mutants`` draws as many of each room, plays the room's quick tests on a copy
of the checkout with each, and writes docs/results/mutants.json. Why a survivor may live stands in
survivors.json beside this file.
"""

from __future__ import annotations

import os
import queue
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from lstm_sharp import files
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.flow import tools
from lstm_sharp.terminal import Parser, ended
from workshop import results
from workshop.mutations import Mutation, mutations

ROOT = results.DOCS.parent
KILLED, SURVIVED, NO_CODE = "killed", "survived", "does not compile"
MEMORY = 12 << 30
"""Most bytes of addresses of a process of a mutant's, which may ask for any number."""


@dataclass(frozen=True)
class Room:
    """Sources, and the tests that should notice a change of them."""

    sources: tuple[str, ...]  # patterns
    tests: tuple[str, ...]  # quickest first
    compiled: bool = False  # by a tool whose error means that a mutant is no program


_LEVELS = "tests/rtl/test_levels.py::test_"
_ANY = "tests/rtl/test_any_program.py::test_"
_RAW = "tests/rtl/test_shapes_raw.py::test_"
_MIXED = "tests/rtl/test_formats.py::test_engines_of_all_widths_agree[4]"
_DRIVER = "tests/host/test_driver"
_QUANTIZE = "tests/host/test_quantize_command.py"
ROOMS = {
    "rtl": Room(
        ("hls/rtl/*.sv",),
        (
            *(
                f"{_LEVELS}a_run_tells_that_c_saturated_in_it[rtl-{cell}]"
                for cell in ("lstm", "gru")
            ),
            *(f"{_LEVELS}every_start_value_gives_the_same", f"{_LEVELS}starving_engine_is_told"),
            *(f"{_LEVELS}a_run_leaves_nothing_behind", f"{_LEVELS}rtl_agrees[tiny-stalled]"),
            *(f"{_ANY}each_kind[tiny-rtl]", f"{_ANY}any[rtl-tiny-150-3]"),
            *(f"{_LEVELS}rtl_agrees[tiny-fast]", f"{_RAW}rtl[fast-shapes]"),
            *(f"{_RAW}every_no_op_slot_is_needed[rtl-shapes]", f"{_LEVELS}rtl_agrees[shapes-fast]"),
            *("tests/rtl/test_cocotb.py", _MIXED),
        ),
        compiled=True,
    ),
    "kernel": Room(
        ("hls/kernel/[!v]*.hpp", "hls/kernel/vector_*.hpp"),  # not vitis.hpp
        (
            *(f"{_LEVELS}a_run_tells_that_c_saturated_in_it[csim-{c}]" for c in ("lstm", "gru")),
            *("tests/csim/test_csim.py", f"{_LEVELS}csim_agrees[tiny]"),
            *(f"{_ANY}each_kind[tiny-csim]", f"{_ANY}any[csim-tiny-200-]"),
            *(f"{_RAW}csim[csim-shapes]", f"{_RAW}every_no_op_slot_is_needed[csim-shapes]"),
            *(f"{_LEVELS}csim_agrees[{name}]" for name in ("shapes", "one-column")),
            *("tests/csim/test_ranges.py::test_values_take_every_bit_and_no_more[tiny]", _MIXED),
        ),
        compiled=True,
    ),
    "golden": Room(
        ("host/lstm_sharp/numerics/*.py",),
        (
            *(
                "tests/unit/test_numerics.py",
                "--deselect=tests/unit/test_numerics.py::test_accuracy",
            ),
            *(f"tests/unit/test_{name}.py" for name in ("formats", "quantize", "golden", "train")),
            "tests/unit/test_oracle.py::test_stays[packages]",
            *(f"{_QUANTIZE}::test_{name}" for name in ("tanh_of_the_table", "damaged")),
        ),
    ),
    "compiler": Room(
        ("host/lstm_sharp/compiler/*.py", "host/lstm_sharp/engine/program.py"),
        (
            *(f"tests/unit/test_{name}.py" for name in ("program", "tiling", "launches", "chains")),
            *("tests/unit/test_formats.py", "tests/host/test_package.py::test_damage_is_named"),
            f"{_LEVELS}csim_agrees[tiny]",
            *(f"{_RAW}csim[csim-shapes]", f"{_LEVELS}csim_agrees[shapes]"),
            *(
                f"tests/unit/test_oracle.py::test_stays[{kind}]"
                for kind in ("packages", "programs")
            ),
            "tests/unit/test_perf.py",
            *(
                f"--deselect=tests/unit/test_perf.py::test_{name}"
                for name in ("utilization", "padding", "schedules_of_the_paper", "many")
            ),
        ),
    ),
    "driver": Room(
        ("host/lstm_sharp/driver/*.py", "host/lstm_sharp/board/*.py"),
        (
            *(f"{_DRIVER}_{name}.py" for name in ("owner", "input", "use", "ctrl_c")),
            "tests/host/test_graph_package.py",
            *(
                f"{_DRIVER}.py::test_{name}"
                for name in ("x_in_all_its_forms", "starts_for_mixed_lengths", "another_board")
            ),
            *(
                f"{_DRIVER}_faults.py::test_{what}"
                for what in (
                    *("fault_at_first_sight", "fault_during_a_load", "fault_during_a_run"),
                    "wrong_clock",
                )
            ),
            *(
                f"tests/host/test_selftest.py::test_{what}"
                for what in (
                    *("sound_board_passes", "wrong_bits_fail"),
                    "script_of_a_package_compares_every_bit",
                )
            ),
        ),
    ),
}


@dataclass(frozen=True)
class Mutant:
    """A file of the checkout with one change."""

    room: str
    path: str  # from the checkout's root
    mutation: Mutation
    text: str  # of the file, before

    @property
    def entry(self) -> dict[str, Any]:
        """What results say of it."""
        line, change = self.mutation.line(self.text), self.mutation.told(self.text)
        return {"room": self.room, "file": self.path, "line": line, "change": change}


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant."""

    verdict: str
    by: str  # the test that killed it
    seconds: float


def drawn(name: str, room: Room, seed: int) -> Iterator[Mutant]:
    """Draw all mutants of a room, in an order that the seed decides; each kind as often."""
    rng, kinds = random.Random(f"{seed} {name}"), dict[str, list[Mutant]]()
    for path in (path for pattern in room.sources for path in sorted(ROOT.glob(pattern))):
        text = path.read_text(encoding="utf-8")
        for mutation in mutations(path, text):
            mutant = Mutant(name, str(path.relative_to(ROOT)), mutation, text)
            kinds.setdefault(mutation.kind, []).append(mutant)
    while kinds:
        kind = rng.choice(sorted(kinds))
        yield kinds[kind].pop(rng.randrange(len(kinds[kind])))
        if not kinds[kind]:
            del kinds[kind]


class Tree:
    """A copy of the checkout, in which one mutant at a time is tried.

    Args:
        folder: does not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        left_out = shutil.ignore_patterns(
            ".git", ".venv", "build", "dist", ".*_cache", ".hypothesis"
        )
        shutil.copytree(ROOT, folder, ignore=left_out)
        self.folder = folder

    def tests(self, tests: Sequence[str], seconds: float | None = None, processes: int = 0) -> str:
        """Run tests up to the first that fails, and return pytest's line on it, or nothing.

        Args:
            tests: pytest's names of them.
            seconds: the most that they may take, else "timeout" failed.
            processes: that share them, else it is this one's only child.

        Raises:
            ToolError: there are no such tests, or no pytest.
        """
        found = [str(self.folder / "host"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        env = os.environ | {"PYTHONPATH": os.pathsep.join(found).strip(os.pathsep), "CI": "1"}
        temporary = self.folder / "build" / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        # Bytecode is told by time and size: a mutant may have both of the file that it was
        env |= {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(temporary)}
        options = (
            "-x",
            "-q",
            f"-n{processes}",
            "--no-header",
            "--tb=no",
            "-pno:cacheprovider",
            "--no-skips",
        )
        with subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as process:
            resource.prlimit(process.pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
            try:
                said, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                return "timeout"
            finally:  # simulators too
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        failed = re.search(r"^(?:FAILED|ERROR) (.+)", said, re.MULTILINE)
        if failed or process.returncode == 0:
            return failed[1] if failed else ""
        if process.returncode < 0 or "while loading conftest" in said:
            return "crash"
        raise ToolError(f"pytest ran no tests, {' '.join(tests)[:120]}: {tools.complaint(said)}")

    def try_(self, mutant: Mutant, room: Room, seconds: float) -> Verdict:
        """Tell what becomes of a mutant, and leave the tree as it was."""
        began, path = time.monotonic(), self.folder / mutant.path
        stat = path.stat()
        path.write_text(mutant.mutation.applied(mutant.text), encoding="utf-8")
        try:
            failed = self.tests(self.nearest(room, path.stem), seconds)
        finally:
            path.write_text(mutant.text, encoding="utf-8")
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
            self.refresh()
        verdict = KILLED if failed else SURVIVED
        if room.compiled and "ToolError: " in failed:
            verdict = NO_CODE
        return Verdict(verdict, failed.split(" - ")[0], round(time.monotonic() - began, 1))

    def nearest(self, room: Room, stem: str) -> list[str]:
        """Order a room's tests: first those that speak most of a module, where it is Python."""

        def spoken(test: str) -> int:
            file = self.folder / test.split("::")[0]
            return -file.read_text(encoding="utf-8").count(stem) if file.is_file() else 0

        return sorted(room.tests, key=spoken) if not room.compiled else [*room.tests]

    def refresh(self) -> None:
        """Have the engines that the sources as they are were built to."""
        shutil.rmtree(self.folder / "build", ignore_errors=True)
        shutil.copytree(self.folder.parent / "built", self.folder / "build")


def hunt(
    name: str,
    room: Room,
    trees: Sequence[Tree],
    seed: int,
    count: int,
    known: dict[tuple[object, ...], Verdict],
) -> Iterator[tuple[Mutant, Verdict]]:
    """Try mutants of a room until so many compile.

    Args:
        name: of the room.
        room: its sources and tests.
        trees: each tries one mutant at a time.
        seed: of the draw.
        count: mutants, beside those that do not compile.
        known: verdicts of mutants that need not be tried, by the values of their entries.

    Raises:
        UsageError: the tests fail on the sources as they are.
    """
    mutants, decided, free = drawn(name, room, seed), 0, queue.SimpleQueue[Tree]()
    for tree in trees:
        free.put(tree)
    seconds = 0.0

    def try_(mutant: Mutant) -> tuple[Mutant, Verdict]:
        tree = free.get()
        try:
            return mutant, tree.try_(mutant, room, seconds)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(trees)) as pool:
        pending: set[Future[tuple[Mutant, Verdict]]] = set()
        while True:
            for mutant in mutants if decided + len(pending) < count else ():
                if verdict := known.get(tuple(mutant.entry.values())):
                    decided += verdict.verdict != NO_CODE
                    yield mutant, verdict
                else:
                    seconds = seconds or _most_seconds(name, room, trees)
                    pending.add(pool.submit(try_, mutant))
                if decided + len(pending) >= count:
                    break
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                decided += future.result()[1].verdict != NO_CODE
                yield future.result()


def _most_seconds(name: str, room: Room, trees: Sequence[Tree]) -> float:
    """Run a room's tests on the sources as they are; return what they may take on a mutant."""
    began, first = time.monotonic(), trees[0]
    failed = first.tests(room.tests, processes=len(trees))
    if failed:
        raise UsageError(f"{name}: {failed} fails on the sources as they are; mend that first")
    built = first.folder.parent / "built"
    shutil.rmtree(built, ignore_errors=True)
    shutil.copytree(first.folder / "build", built, ignore=shutil.ignore_patterns("tmp"))
    for tree in trees:
        tree.refresh()
    return 30 + 2 * len(trees) * (time.monotonic() - began)


def reasons() -> dict[str, str]:
    """Read why survivors may live, by file and change."""
    found: dict[str, str] = files.read_json(Path(__file__).with_name("survivors.json"))
    return found


def reason(entry: dict[str, Any]) -> str:
    """Tell why a survivor may live; nothing where it shows what no test sees."""
    return reasons().get(f"{entry['file']}: {entry['change']}", "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, try, tell and write."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--rooms", default=",".join(ROOMS), help="as rtl,golden; default: all")
    parser.add_argument("--count", type=int, default=40, help="mutants of each room that compile")
    parser.add_argument("--seed", type=int, default=1, help="of the draw")
    parser.add_argument("--resume", action="store_true", help="keep verdicts that are known")
    parser.add_argument("--again", action="store_true", help="resume, but try survivors again")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args(arguments)
    names = asked.rooms.split(",")
    if unknown := [name for name in names if name not in ROOMS]:
        parser.error(f"no room {unknown[0]!r}: {', '.join(ROOMS)}")
    if asked.count < 1 or asked.workers < 1:
        parser.error("--count and --workers are at least 1")
    return ended(lambda: _score(names, asked))


def _score(names: Sequence[str], asked: Any) -> int:
    old = results.read("mutants")["mutants"] if _path().is_file() else []
    keeps = asked.resume or asked.again
    known = {_key(e): _verdict(e) for e in old if keeps and not (asked.again and _lives(e))}
    found = [entry for entry in old if entry["room"] not in names]
    os.nice(5)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn())
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as folder,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        trees = [Tree(Path(folder, f"tree-{n}")) for n in range(asked.workers)]
        task = progress.add_task("mutants", total=len(names) * asked.count)
        for name in names:
            progress.update(task, description=f"mutants of {name}, seed {asked.seed}")
            for mutant, verdict in hunt(name, ROOMS[name], trees, asked.seed, asked.count, known):
                found.append({**mutant.entry, **asdict(verdict)})
                progress.advance(task, verdict.verdict != NO_CODE)
                if verdict.verdict == SURVIVED:
                    progress.console.print(
                        shown(found[-1]), markup=False, highlight=False, soft_wrap=True
                    )
                found.sort(key=lambda e: (list(ROOMS).index(e["room"]), e["file"], e["line"]))
                seen = {_key(entry) for entry in found}
                left = [entry for entry in old if keeps and _key(entry) not in seen]
                results.write("mutants", {"seed": asked.seed, "mutants": [*found, *left]})
    print(results.markdown(table(found)))
    unexplained = [entry for entry in found if _lives(entry) and not reason(entry)]
    for entry in unexplained:
        print(shown(entry))
    return 0


def _path() -> Path:
    return results.DOCS / "results" / "mutants.json"


def _key(entry: dict[str, Any]) -> tuple[object, ...]:
    return tuple(entry[name] for name in ("room", "file", "line", "change"))


def _verdict(entry: dict[str, Any]) -> Verdict:
    return Verdict(entry["verdict"], entry["by"], entry["seconds"])


def _lives(entry: dict[str, Any]) -> bool:
    return bool(entry["verdict"] == SURVIVED)


def shown(entry: dict[str, Any]) -> str:
    """Show a mutant in a line."""
    return f"{entry['verdict']}: {entry['file']}:{entry['line']}: {entry['change']}"


def table(entries: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Count mutants by room, with a row of all."""
    head = "room|mutants|killed|survived|of those with a reason|score|without those|no code"
    rows = [head.split("|")]
    for name in [*ROOMS, "all"]:
        mine = [entry for entry in entries if name in (entry["room"], "all")]
        seen = Counter(entry["verdict"] for entry in mine)
        killed, survived = seen[KILLED], seen[SURVIVED]
        excused = sum(bool(reason(entry)) for entry in mine if _lives(entry))
        if total := killed + survived:
            cells = [total, killed, survived, excused, f"{killed / total:.1%}"]
            cells += [f"{killed / max(1, total - excused):.1%}", seen[NO_CODE]]
            rows.append([name, *map(str, cells)])
    return rows


if __name__ == "__main__":
    sys.exit(main())
