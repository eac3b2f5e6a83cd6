// The kernel's loop-carried updates, one function each: what goes from one slot to the next, and so
// cannot be pipelined. recurrence.py turns them into Verilog and measures it; docs/recurrences.md
// tells how.
//
// An update has
//   State     what it keeps from slot to slot,
//   In        what stages before it bring in a slot,
//   Memories  tables that it reads at an index,
//   Out       what leaves to stages behind it: compared in simulation, not measured.
// Its function calls the kernel and does nothing else. A FIFO that it reads is one of its own, into
// which it writes what In brings. One that is added, or has another name, is named in STEPS of
// recurrence.py too.
#include "kernel/accumulator.hpp"
#include "kernel/h_stream.hpp"
#include "kernel/loader.hpp"

using namespace lstm;

#define UPDATE(name, State, In, Memories, Out)                           \
  extern "C" void name(State &__restrict state, const In &__restrict in, \
                       const Memories &__restrict memories, Out &__restrict out)

struct None {};

struct Program {
  Instruction instruction[kProgramDepth];
};

UPDATE(fetch, Fetch, None, Program, Work) { out = state.next(memories.instruction); }

UPDATE(dispatcher, Dispatcher, Work, None, Slot) {
  Stream<Work> works("works");
  works.write(in);
  out = state.slot();
  state.advance(works);
}

struct Item {
  Work work;
  Slot slot;
  Beat beat;
};

UPDATE(loader, Loader, Item, None, None) {
  if (in.slot.load) state.shift_in(in.work, in.slot, in.beat);
}

struct Running {
  Sums sums;
};

struct Terms {
  Work work;
  Slot slot;
  Spans spans;
  Biases biases;
  Stored stored;
};

UPDATE(sums, Running, Terms, None, None) {
  if (in.slot.tile) accumulate(in.work, in.slot, in.spans, in.biases, in.stored, state.sums);
}

struct Finished {
  Work work;
  Slot slot;
  Sums sums;
  Scales scales;
  C_t c[kLanes];
};

struct Taken {
  Group group;  // less the neurons, which have no state here
  bool valid;
};

UPDATE(turns, Turns, Finished, None, Taken) {
  const Turn turn = state.next(in.work, in.slot);
  out.valid = turn.valid;
  if (!turn.valid) return;
  out.group = state.update(turn, in.sums, in.scales, in.c);
  for (Neuron &neuron : out.group.neuron) neuron = Neuron{C_t(0), Activation_t(0)};
}

struct Packed {
  HBeat beat;
  bool complete;
};

UPDATE(packer, Packer, Group, None, Packed) {
  out.complete = in.to.emit && state.add(in, out.beat);
}
