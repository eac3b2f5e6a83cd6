// The kernel's loop-carried updates, one function each: what goes from one slot to the next, and so
// cannot be pipelined. build/recurrence turns them into Verilog and measures it; steps_main.cpp
// holds that Verilog against them. See docs/recurrences.md.
//
// An update is a namespace of its own name with
//   State     what it keeps from slot to slot,
//   In        what stages before it bring in a slot,
//   Memories  tables that it reads at an index,
//   Out       what leaves to stages behind it: compared in simulation, not measured,
//   STEP      its function, which calls the kernel and does nothing else,
//   begin     for the simulation: the state that a run starts with, and its memories,
//   draw      for the simulation: what a slot may bring.
// A FIFO that an update reads is one of its own, into which STEP writes what In brings. No field
// may count past its width, for csim's integers do not wrap there: draw what the engine accepts.
// Nothing else knows of the kernel's classes: one that is added, or has another name, is written
// here and named in STEPS of build/recurrence/__init__.py.
#include "kernel/memories.hpp"

using namespace lstm;

#define STEP(name)                                                       \
  extern "C" void name(State &__restrict state, const In &__restrict in, \
                       const Memories &__restrict memories, Out &__restrict out)

namespace walker {
struct State {
  Walker walker;
};
struct In {};
struct Memories {
  Instruction program[kMaxInstructions];
};
struct Out {
  Slot slot;
};
STEP(walker) {
  out.slot = state.walker.next(memories.program);
  if (!out.slot.tile && !out.slot.load && !out.slot.give) out.slot.i = Instruction{};  // not set
}
}  // namespace walker

namespace loader {
struct State {
  Loader loader;
};
struct In {
  Slot slot;
  Beat beat;
};
struct Memories {};
struct Out {};
STEP(loader) {
  if (!in.slot.load) return;
  if (in.slot.i.op == kOpLoadWeights) state.loader.gather_tile(in.beat, in.slot.column);
  if (in.slot.i.op == kOpLoadState) state.loader.gather_state(in.beat, in.slot.column);
}
}  // namespace loader

namespace sums {
struct State {
  Sums running;
};
struct In {
  Slot slot;
  Spans spans;
};
struct Memories {
  Biases biases[kBiasDepth];
  Stored stored[kStoredDepth];
};
struct Out {};
STEP(sums) {
  if (in.slot.tile) {
    accumulate(in.slot, in.spans, memories.biases, memories.stored, state.running);
  }
}
}  // namespace sums

namespace turns {
struct State {
  Turns turns;
};
struct In {
  Slot slot;
  Sums sums;
  C_t c[kLanes];
};
struct Memories {};
struct Out {
  Group group;  // less the neurons, which have no state here
};
STEP(turns) {
  Group group;
  if (in.slot.tile && in.slot.last && in.slot.i.finish) state.turns.take(in.slot, in.sums);
  if (state.turns.active()) group = state.turns.next(in.c);
  for (Neuron &neuron : group.neuron) neuron = Neuron{C_t(0), Activation_t(0)};
  out.group = group;
}
}  // namespace turns

namespace packer {
struct State {
  Packer packer;
};
struct In {
  Group group;
};
struct Memories {};
struct Out {
  HBeat beat;
  bool complete;
};
STEP(packer) { out.complete = in.group.emit && state.packer.add(in.group, out.beat); }
}  // namespace packer

#ifdef LSTM_SHARP_BENCH
#include <random>

class Random {
 public:
  explicit Random(std::uint64_t seed) : source_(seed) {}
  std::int64_t below(std::int64_t end) { return std::int64_t(source_() % std::uint64_t(end)); }
  bool flip() { return below(2) == 1; }
  std::int64_t number(int bits) {  // signed
    return below(std::int64_t(1) << bits) - (std::int64_t(1) << (bits - 1));
  }

 private:
  std::mt19937_64 source_;
};

inline Instruction draw_instruction(Random &random) {
  Instruction i{};
  i.op = UInt<3>(random.flip() ? kOpTiles : random.below(5));
  i.shape = UInt<3>(random.below(kShapes));
  i.source = UInt<2>(random.below(4));
  i.start = UInt<2>(random.below(3));
  for (bool *flag : {&i.finish, &i.ends, &i.c_zero, &i.pull, &i.pop, &i.emit, &i.keep, &i.step}) {
    *flag = random.flip();
  }
  i.layer = random.below(4) == 0;
  i.x_shift = UInt<4>(random.below(kMaxShift + 1));
  i.act_shift = UInt<4>(random.below(4));
  i.row_first = UInt<16>(random.below(kBlocks));
  i.rows = UInt<16>(1 + random.below(3));
  i.col_first = UInt<16>(random.below(kBands * kXColumns));
  i.cols = UInt<16>(1 + random.below(5));
  i.weight_base = UInt<16>(random.below(kWeightTiles));
  i.bias_base = UInt<16>(random.below(kBiasBlocks));
  i.nops = UInt<16>(random.below(3));
  i.repeats = UInt<16>(random.below(4));
  i.h_word = UInt<16>(random.below(kHWords));
  i.h_lane = UInt<8>(random.below(kColumns) / kLanes * kLanes);
  return i;
}

inline Slot draw_slot(Random &random) {
  Slot slot;
  slot.i = draw_instruction(random);
  slot.load = slot.i.op != kOpTiles;
  slot.tile = !slot.load && random.flip();
  for (bool *flag : {&slot.first_row, &slot.last_row, &slot.first, &slot.last, &slot.ends_run}) {
    *flag = random.flip();
  }
  slot.gang = in_bands(slot.i, 1);
  slot.row = UInt<16>(random.below(kBlocks));
  slot.bias = UInt<16>(random.below(kBiasBlocks));
  slot.half = UInt<1>(random.below(2));
  slot.sequence_write = UInt<32>(random.below(kSequenceWords));
  return slot;
}

template <int kBits>
void fill(Random &random, Int<kBits> *first, std::size_t count) {
  for (std::size_t at = 0; at < count; ++at) first[at] = Int<kBits>(random.number(kBits));
}

namespace walker {
void begin(Random &random, State &state, Memories &memories) {
  Header header{};
  header.instructions = UInt<16>(1 + random.below(6));
  header.sequences = UInt<32>(1 + random.below(8));
  header.x_words = UInt<32>(random.below(random.flip() ? 40 : 10000));
  header.stride = UInt<16>(random.below(9));
  for (int number = 0; number < header.instructions; ++number) {
    memories.program[number] = draw_instruction(random);
    memories.program[number].loop_back = UInt<8>(random.below(number + 1));
  }
  new (&state) State{Walker(header, memories.program)};
}
void draw(Random &, In &) {}
}  // namespace walker

namespace loader {
void begin(Random &, State &state, Memories &) { new (&state) State(); }
void draw(Random &random, In &in) {
  in.slot = draw_slot(random);
  const bool tile = in.slot.i.op == kOpLoadWeights;
  in.slot.column = UInt<16>(random.below(tile ? kTileBeats : kLanes));
  const std::int64_t halves[2] = {random.number(32), random.number(32)};
  set_element<32>(in.beat, 0, Int<32>(tile ? halves[0] : random.number(kActivationBits)));
  set_element<32>(in.beat, 1, Int<32>(tile ? halves[1] : random.number(kCBits)));
}
}  // namespace loader

namespace sums {
void begin(Random &random, State &state, Memories &memories) {
  new (&state) State();
  for (auto &row : memories.biases) fill<kBiasBits>(random, row, kBands * kRows);
  for (auto &row : memories.stored) {
    for (Acc_t &sum : row) sum = Acc_t(random.number(kAccBits - kMaxShift - 2));
  }
}
void draw(Random &random, In &in) {
  in.slot = draw_slot(random);
  in.slot.first = random.below(4) == 0;
  for (auto &span : in.spans) fill<kSumBits>(random, span, kRows);
}
}  // namespace sums

namespace turns {
int left = 0;  // turns of the row block that was taken last
void begin(Random &, State &state, Memories &) {
  new (&state) State();
  left = 0;
}
void draw(Random &random, In &in) {
  in.slot = draw_slot(random);
  if (left > 1) in.slot.last = false;
  const bool takes = in.slot.tile && in.slot.last && in.slot.i.finish;
  left = takes ? int(in.slot.gang) * kPasses : left - 1;
  fill<kAccBits>(random, in.sums, kBands * kRows);
  fill<kCBits>(random, in.c, kLanes);
}
}  // namespace turns

namespace packer {
void begin(Random &, State &state, Memories &) { new (&state) State(); }
void draw(Random &random, In &in) {
  in.group = Group();
  for (Neuron &neuron : in.group.neuron) {
    neuron.h = Activation_t(random.number(kActivationBits));
  }
  in.group.emit = random.below(4) != 0;
  in.group.ends_vector = random.below(8) == 0;
  in.group.ends_run = random.flip();
}
}  // namespace packer
#endif
