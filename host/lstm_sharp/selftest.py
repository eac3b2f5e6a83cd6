"""``python -m lstm_sharp.selftest PACKAGE``: is this board fit for this package?

Each check says PASS or why not. After a failure one .zip holds what a bug report needs.
"""

from __future__ import annotations

import io
import json
import sys
import traceback
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lstm_sharp import files, package
from lstm_sharp.compiler.distances import insert_nops
from lstm_sharp.compiler.launches import Call
from lstm_sharp.driver import proof
from lstm_sharp.driver.accelerator import Accelerator
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Instruction, Op, Program
from lstm_sharp.engine.registers import ENGINE
from lstm_sharp.errors import BoardError, LstmSharpError, ToolError, UsageError
from lstm_sharp.flow import jobs
from lstm_sharp.numerics.formats import C_BITS
from lstm_sharp.package import Package
from lstm_sharp.runtime import deploy
from lstm_sharp.terminal import Parser, ended, say

_BUNDLE = "lstm-sharp-selftest.zip"


class Selftest:
    """The checks, in an order in which each needs only what those before it have shown."""

    accelerator: Accelerator | None = None

    def __init__(self, overlay: Path, held: Package) -> None:
        self.overlay, self.held = overlay, held
        self.lines: list[str] = []

    @property
    def board(self) -> Accelerator:
        """The accelerator, once ``identity`` has opened it."""
        assert self.accelerator is not None
        return self.accelerator

    def run(self) -> bool:
        """Run the checks up to the first that fails; return whether none does.

        A check returns what it saw and raises what is wrong.

        Raises:
            UsageError: no board or no overlay to test.
        """
        for name, check in (
            ("identity, by a null program", self.identity),
            ("registers", self.registers),
            ("clock", self.clock),
            ("loopback of a state through DMAs and engine", self.loopback),
            ("test vectors", self.vectors),
        ):
            try:
                self.say(f"PASS  {name}: {check()}")
            except Exception as error:  # the board's own, pynq's and the kernel's: all are reported
                if self.accelerator is None and isinstance(error, (UsageError, ToolError)):
                    raise  # no pynq, no such file: nothing has been tested
                self.say(f"FAIL  {name}: {error}")
                if not isinstance(error, LstmSharpError):
                    self.say(traceback.format_exc())
                return False
        return True

    def say(self, line: str) -> None:
        """Print a line, or a traceback's, and keep it for the bundle."""
        for part in line.splitlines():
            say(part, most=10_000)
        self.lines.append(line)

    def identity(self) -> str:
        """Open the overlay and ask the engine who it is."""
        self.accelerator = Accelerator(self.overlay)
        self.accelerator.load(self.held)
        return f"{self.held.cfg.name} ({self.held.cfg.digest}), weights loaded"

    def registers(self) -> str:
        """Write and read back the whole program window and the interrupt enables."""
        engine, window = self.board.runner.engine, ENGINE["Memory_program"]
        drawn = np.random.default_rng(1).integers(0, 1 << 32, window.size // 4, np.uint32)
        for words in (drawn, ~drawn):
            engine.write_program(words)
            read = [engine.read(window.offset + 4 * n) for n in range(len(words))]
            _same("word of the program window", np.array(read, np.uint32), words)
        return f"{len(drawn)} words of the window, each bit both ways"

    def clock(self) -> str:
        """Hold cycles counted against time taken."""
        seen = self.board.runner.check_clock(self.held.cfg)
        return f"{seen:.1f} MHz seen, {self.held.cfg.clock_mhz} wanted"

    def loopback(self) -> str:
        """Send a state in by one DMA, and have it sent back through the other."""
        run, sent = loopback(self.held.cfg)
        found = self.board.runner.execute(run).h_bytes
        _same("byte", np.asarray(found), sent)
        return f"{len(sent)} bytes"

    def vectors(self) -> str:
        """Run the package's vectors, and hold the sv engine's cycle counter against the model."""
        self.board.reset()  # the weights again, after the window was scribbled upon
        wrong, cycles = proof.prove(self.board, self.held)
        if wrong:
            raise BoardError(wrong)
        made, kind = self.held.vectors, self.board.runner.engine_kind
        count, steps = made.x.shape[:2]
        plans = [stage.plan for stage in self.board.stages(steps, made.half)]
        told = sum(
            deploy.own_cycles(plans, Call((steps,) * made.half, state, True, self.board.host))[0]
            for state in (False, True)
        )
        if kind == "sv" and cycles != told:
            raise BoardError(
                f"bits are right, but {cycles} cycles were counted and {told} predicted: the "
                "streams stall; look at the memory ports' width and clock"
            )
        return f"{count} sequences, every bit; {cycles} cycles, {told} predicted ({kind})"

    def bundle(self, out: Path) -> None:
        """Write what a bug report needs."""
        texts = {
            "log.txt": "\n".join(self.lines),
            "versions.json": json.dumps(proof.versions(), indent=2),
            "package.json": json.dumps(self.held.about, indent=2),
            "registers.txt": self._registers(),
        }
        hwh = self.overlay.with_suffix(".hwh")
        if hwh.is_file():
            texts[hwh.name] = files.read_text(hwh)
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in texts.items():
                archive.writestr(name, text)
        files.write_bytes(out, whole.getvalue())

    def _registers(self) -> str:
        if self.accelerator is None:
            return "the overlay was not opened"
        try:
            read = [f"{name} {self.board.runner.engine.get(name):#010x}" for name in ENGINE]
            return "\n".join([self.board.runner.describe(), *read])
        except Exception as error:  # a bus that does not answer must not cost the bundle
            return f"registers cannot be read: {error}"


def _same(what: str, seen: np.ndarray, want: np.ndarray) -> None:
    """Raise where two arrays first differ, if they do."""
    if (seen != want).any():
        raise BoardError(proof.first_difference(what, seen, want))


def loopback(cfg: Config) -> tuple[jobs.Run, np.ndarray]:
    """Make a run that loads one chain's state of the largest layer and gives it back.

    Returns:
        The run, and the bytes that must come back: those that go in.
    """
    rows = cfg.blocks * cfg.passes
    both = [Instruction(op=op, rows=rows) for op in (Op.LOAD_STATE, Op.GIVE_STATE)]
    program = Program(tuple(insert_nops(cfg, both, "elementwise")))
    beats = np.zeros((rows * cfg.lanes, cfg.stream_bits // 32), np.int32)
    for half, bits in enumerate((cfg.fmt.activation_bits, C_BITS)):
        most = 1 << (bits - 1)
        beats[:, half] = np.random.default_rng(half).integers(-most, most, len(beats))
    stream = beats.reshape(-1).view(np.uint8)
    return jobs.Run(program.encode(cfg), stream, h_bytes=stream.nbytes), stream


def main(arguments: Sequence[str] | None = None) -> int:
    """Test a board; return 0 only if every check passes, 2 where none could be made."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("package", help="folder that lstm-sharp package has made")
    parser.add_argument("--overlay", help="the .bit; default: the one in the package")
    parser.add_argument("--bundle", default=_BUNDLE, help=f"after a failure; default {_BUNDLE}")
    options = parser.parse_args(arguments)
    return ended(lambda: _test(Path(options.package), options.overlay, options.bundle))


def _test(folder: Path, overlay: str | None, bundle: str) -> int:
    files.check_outputs([bundle], [])
    held = package.read(folder)
    test = Selftest(Path(overlay) if overlay else proof.overlay_in(folder), held)
    passed = test.run()
    if not passed:
        test.bundle(Path(bundle))
        say(f"{bundle} holds versions, registers, .hwh and log for a bug report")
    if test.accelerator:
        test.accelerator.close()
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
