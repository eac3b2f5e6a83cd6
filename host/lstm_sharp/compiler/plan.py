"""A plan: cells in their places on an engine, under one schedule; makes programs for any run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.distances import insert_nops
from lstm_sharp.compiler.group import Launch, group
from lstm_sharp.compiler.layer import LayerPlan, LayerShape, LevelProgram
from lstm_sharp.compiler.limits import check_lengths, check_steps, h_words, sequence_stride
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Instruction, Op, Program


@dataclass(frozen=True)
class Plan:
    """Cells that are resident together, under one schedule; makes a program for any run.

    They are the one or two cells of a single level, or a stack of levels of one cell.
    """

    cfg: Config
    schedule: str
    layers: tuple[LayerPlan, ...]
    """The cells, bottom first, within a level forward before reverse."""
    directions: int = 1
    """Cells of a level."""
    wavefront: bool = False
    """Whether levels run side by side, each a step behind the one below."""

    @property
    def tiles(self) -> int:
        """Tiles of all cells' weights."""
        return sum(layer.tiles for layer in self.layers)

    @property
    def bias_blocks(self) -> int:
        """Bands of all cells' biases."""
        return sum(layer.bands for layer in self.layers)

    @property
    def levels(self) -> tuple[tuple[LayerPlan, ...], ...]:
        """The cells of each level, bottom first."""
        size = self.directions
        return tuple(self.layers[at : at + size] for at in range(0, len(self.layers), size))

    @property
    def beside(self) -> int:
        """Chains that a sequence takes."""
        return len(self.layers) if self.wavefront else self.directions

    @property
    def most_sequences(self) -> int:
        """Sequences that the engine runs side by side."""
        return self.cfg.chains // self.beside

    def stride(self, sequences: int) -> int:
        """Words that a step of sequences side by side takes in the sequence buffer."""
        if self.wavefront:
            return 0
        return sequence_stride(self.shapes, self.cfg, sequences * self.directions)

    @property
    def shapes(self) -> tuple[LayerShape, ...]:
        """Shape of each level's cells."""
        return tuple(cells[0].shape for cells in self.levels)

    def load_program(self) -> Program:
        """Make the program that loads all weights and biases."""
        return Program(
            (
                Instruction(op=Op.LOAD_WEIGHTS, rows=self.tiles),
                Instruction(op=Op.LOAD_BIAS, rows=self.bias_blocks),
            )
        )

    def program(
        self,
        lengths: Sequence[int],
        repeats: int = 1,
        with_state: bool = False,
        give_state: bool = False,
    ) -> Program:
        """Make the program that runs a group of sequences side by side.

        Chains are numbered sequence after sequence, within it direction after direction. A chain
        leaves when its sequence ends; the others go on without it.

        Args:
            lengths: steps of each sequence, descending.
            repeats: how many such groups are run, one after the other.
            with_state: each chain begins with h and c from the weight stream.
            give_state: h and c of each chain leave through the h stream after its last step.

        Raises:
            UsageError: more sequences than chains, lengths of 0 or not descending, or more steps
                than the sequence buffer holds between stacked layers.
        """
        return self.program_of((group(lengths, repeats),), with_state, give_state)

    def program_of(
        self, launch: Launch, with_state: bool = False, give_state: bool = False
    ) -> Program:
        """Make the program of one launch; arguments and errors are those of ``program``."""
        alone = len(launch) == 1
        repeats = launch[0].repeats if alone else 1
        lists = [g.lengths for g in launch for _ in range(1 if alone else g.repeats)]
        for lengths in lists:
            check_lengths(lengths, self.cfg, self.beside)
        stride = self.stride(max(map(len, lists)))
        check_steps(self.cfg, max(lengths[0] for lengths in lists), stride)
        chains = max(map(len, lists)) * self.beside
        programs = []
        for lead in (0, 1) if self.schedule == "elementwise" and chains > 1 else (0,):
            instructions = [
                i for n in lists for i in self.instructions(n, with_state, give_state, lead)
            ]
            kept = insert_nops(self.cfg, instructions, self.schedule, repeats)
            gru = self.shapes[0].kind == "gru"
            programs.append(Program(tuple(kept), repeats, stride, gru))
        if len(programs) == 1:
            return programs[0]
        return min(programs, key=lambda program: cycles.predict(self.cfg, program).cycles)

    def instructions(
        self, lengths: Sequence[int], with_state: bool, give_state: bool, lead: int = 0
    ) -> list[Instruction]:
        """Write those of a group, without no-op slots: level after level, or in a wavefront."""
        words = max(h_words(shape, self.cfg) for shape in self.shapes)
        together = [self.levels] if self.wavefront else [(cells,) for cells in self.levels]
        return [
            instruction
            for index, levels in enumerate(together)
            for instruction in LevelProgram(
                self.cfg, levels, lead, words, index == 0, index == len(together) - 1
            ).instructions(lengths, with_state, give_state)
        ]

    def pace(self, sequences: int) -> tuple[float, float]:
        """Cycles beside the steps, and of a step, of so many sequences side by side."""
        stride = self.stride(sequences)
        long = min(18, self.cfg.sequence_words // stride) if stride else 18
        short = min(2, long - 1)
        taken = [
            cycles.predict(self.cfg, self.program((steps,) * sequences)).cycles if steps else 0
            for steps in (short, long)
        ]
        step = (taken[1] - taken[0]) / (long - short)
        return taken[0] - short * step, step

    def lower_bound(self, launch: Launch) -> int:
        """Cycles that no order of the tiles of a launch's groups goes under, states apart.

        All tiles have to be dispatched. And of a step's T_h tiles those before its first finishing
        slot wait D for the first h of the step before, while that slot itself waits D for the last
        h, which comes after all other tiles: the better half is T_h / 2, so that a step takes
        D + T_h / 2.
        """
        slots = sum(group.repeats * self._least_slots(group.lengths) for group in launch)
        lanes = sum(len(group.lengths) for group in launch)
        return cycles.beside_slots(self.cfg, len(self.layers) * lanes) + slots

    def _least_slots(self, lengths: Sequence[int]) -> int:
        """Slots of sequences side by side that ``lower_bound`` speaks of."""
        cfg = self.cfg
        tail = cfg.tail - cfg.most_passes + cfg.passes  # of the smallest row block
        between = (len(self.levels) - 1) * (tail - 1)
        tiles, waits = [], []
        for cells in self.levels:
            x, h = cells[0].x_tiles, cells[0].h_tiles
            tiles.append(len(cells) * sum(lengths) * (x + h))
            first = x + sum(rect.cols for rect in cells[0].h if rect.row_first == 0)
            waits.append(cycles.recurrence_bound(tail, first, h, lengths[0]))
        if self.wavefront:  # each level waits for the one below once, and then no longer
            return max(sum(tiles), max(waits) + between)
        return sum(map(max, tiles, waits)) + between
