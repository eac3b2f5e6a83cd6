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
// A FIFO that an update reads is one of its own, into which STEP writes what In brings. Nothing
// else knows of the kernel's classes: one that is added, or has another name, is written here, also
// in the list at the end, and named in STEPS of build/recurrence/__init__.py.
#include "kernel/accumulator.hpp"
#include "kernel/h_stream.hpp"
#include "kernel/loader.hpp"

using namespace lstm;

#define STEP(name)                                                       \
  extern "C" void name(State &__restrict state, const In &__restrict in, \
                       const Memories &__restrict memories, Out &__restrict out)

namespace fetch {
struct State {
  Fetch fetch;
};
struct In {};
struct Memories {
  Instruction program[kProgramDepth];
};
struct Out {
  Work work;
};
STEP(fetch) { out.work = state.fetch.next(memories.program); }
}  // namespace fetch

namespace dispatcher {
struct State {
  Dispatcher dispatcher;
};
struct In {
  Work next;  // in the FIFO
};
struct Memories {};
struct Out {
  Slot slot;
};
STEP(dispatcher) {
  Stream<Work> works("works");
  works.write(in.next);
  out.slot = state.dispatcher.slot();
  state.dispatcher.advance(works);
}
}  // namespace dispatcher

namespace loader {
struct State {
  Loader loader;
};
struct In {
  Work work;
  bool load;
  Beat beat;
};
struct Memories {};
struct Out {};
STEP(loader) {
  if (in.load) state.loader.shift_in(in.work, in.beat);
}
}  // namespace loader

namespace sums {
struct State {
  Sums running;
};
struct In {
  Work work;
  Slot slot;
  Spans spans;
  Biases biases;
  Stored stored;
};
struct Memories {};
struct Out {};
STEP(sums) {
  if (in.slot.tile) {
    accumulate(in.work, in.slot, in.spans, in.biases, in.stored, state.running);
  }
}
}  // namespace sums

namespace turns {
struct State {
  Turns turns;
};
struct In {
  Work work;
  Slot slot;
  Sums sums;
  C_t c[kLanes];
};
struct Memories {};
struct Out {
  Group group;  // less the neurons, which have no state here
  bool valid;
};
STEP(turns) {
  const Turn turn = state.turns.next(in.work, in.slot);
  out.valid = turn.valid;
  if (!turn.valid) return;
  out.group = state.turns.update(turn, in.sums, in.c);
  for (Neuron &neuron : out.group.neuron) neuron = Neuron{C_t(0), Activation_t(0)};
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
STEP(packer) { out.complete = in.group.to.emit && state.packer.add(in.group, out.beat); }
}  // namespace packer

#ifdef LSTM_SHARP_BENCH
#include <initializer_list>
#include <new>

#include "bench.hpp"

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
  i.rows = UInt<16>(1 + random.below(3));
  i.row_first = UInt<16>(random.below(kBlocks - i.rows * kBands + 1));
  i.cols = UInt<16>(1 + random.below(3));
  i.col_first = UInt<16>(random.below(kMostSegments - i.cols * kBands + 1));
  i.weight_base = UInt<16>(random.below(kWeightTiles));
  i.bias_base = UInt<16>(random.below(kBiasBlocks - i.rows + 1));
  i.nops = UInt<16>(random.below(4));
  i.repeats = UInt<16>(random.below(4));
  i.h_word = UInt<16>(random.below(kHWords));
  i.h_lane = UInt<8>(random.below(kColumns) / kLanes * kLanes);
  return i;
}

inline Work draw_work(Random &random) {
  Work work = prepare(draw_instruction(random), UInt<7>(random.below(kMaxInstructions)));
  work.ends_list = random.below(500) == 0;
  work.ends_run = work.ends_list && random.flip();
  return work;
}

inline Slot draw_slot(Random &random, const Work &work) {
  Slot slot{};
  slot.tile = work.tiles && random.flip();
  for (bool *flag : {&slot.first_row, &slot.last_row, &slot.first, &slot.last}) {
    *flag = random.flip();
  }
  slot.row = UInt<kRowBits>(random.below(kBlocks));
  slot.half = UInt<1>(random.below(2));
  slot.sequence_write = UInt<kSequenceBits>(random.below(kSequenceDepth));
  return slot;
}

template <int kBits>
void fill(Random &random, Int<kBits> *first, std::size_t count) {
  for (std::size_t at = 0; at < count; ++at) first[at] = Int<kBits>(random.number(kBits));
}

namespace fetch {
void begin(Random &random, State &state, Memories &memories) {
  const int count = int(1 + random.below(6));
  for (int number = 0; number < count; ++number) {
    memories.program[number] = draw_instruction(random);
    memories.program[number].loop_back = UInt<8>(random.below(number + 1));
  }
  // More than the simulation asks for: a fetch that is done is not asked again.
  const std::uint32_t most = ~std::uint32_t(0);
  new (&state) State{Fetch(UInt<7>(count), most, most)};
}
void draw(Random &, In &) {}
}  // namespace fetch

namespace dispatcher {
void begin(Random &random, State &state, Memories &) {
  const Work first = draw_work(random);
  const std::uint32_t words = std::uint32_t(random.below(random.flip() ? 40 : 100000));
  new (&state) State{Dispatcher(words, UInt<16>(random.below(9)), first)};
}
void draw(Random &random, In &in) { in.next = draw_work(random); }
}  // namespace dispatcher

namespace loader {
void begin(Random &, State &state, Memories &) { new (&state) State(); }
void draw(Random &random, In &in) {
  in.work = draw_work(random);
  in.load = in.work.loads;
  const bool tile = in.work.loads_weights, bias = in.work.loads_bias;
  const std::int64_t wide = random.number(kBiasBits);
  const std::int64_t halves[2] = {random.number(32), random.number(32)};
  set_element<32>(in.beat, 0, Int<32>(tile ? halves[0] : bias ? wide : random.number(kActBits)));
  set_element<32>(in.beat, 1,
                  Int<32>(tile   ? halves[1]
                          : bias ? wide >> 32
                                 : random.number(kCBits)));
}
}  // namespace loader

namespace sums {
void begin(Random &, State &state, Memories &) { new (&state) State(); }
void draw(Random &random, In &in) {
  in.work = draw_work(random);
  in.slot = draw_slot(random, in.work);
  in.slot.first = random.below(4) == 0;
  for (auto &span : in.spans) fill<kSumBits>(random, span, kRows);
  fill<kBiasBits>(random, in.biases, kBands * kRows);
  for (Acc_t &sum : in.stored) sum = Acc_t(random.number(kAccBits - kMaxShift - 2));
}
}  // namespace sums

namespace turns {
int left = 0;  // turns of the row block that was taken last
void begin(Random &, State &state, Memories &) {
  new (&state) State();
  left = 0;
}
void draw(Random &random, In &in) {
  in.work = draw_work(random);
  in.slot = draw_slot(random, in.work);
  if (left > 1) in.slot.last = false;
  const bool takes = in.slot.tile && in.slot.last && in.work.finish;
  left = takes ? int(in.work.gang) * kPasses : left - 1;
  fill<kAccBits>(random, in.sums, kBands * kRows);
  fill<kCBits>(random, in.c, kLanes);
}
}  // namespace turns

namespace packer {
void begin(Random &, State &state, Memories &) { new (&state) State(); }
void draw(Random &random, In &in) {
  in.group = Group();
  for (Neuron &neuron : in.group.neuron) {
    neuron.h = Activation_t(random.number(kActBits));
  }
  in.group.to.emit = random.below(4) != 0;
  in.group.to.ends_vector = random.below(8) == 0;
  in.group.to.ends_run = random.flip();
}
}  // namespace packer

#define UPDATE(name)                                                                           \
  {#name,                                                                                      \
   sizeof(name::State),                                                                        \
   sizeof(name::In),                                                                           \
   sizeof(name::Memories),                                                                     \
   sizeof(name::Out),                                                                          \
   [](Random &random, void *state, void *memories) {                                           \
   name::begin(random, *static_cast<name::State *>(state),                                     \
               *static_cast<name::Memories *>(memories));                                      \
   },                                                                                          \
   [](Random &random, void *in) { name::draw(random, *new (in) name::In()); },                 \
   [](void *state, const void *in, const void *memories, void *out) {                          \
   name::name(*static_cast<name::State *>(state), *static_cast<const name::In *>(in),          \
              *static_cast<const name::Memories *>(memories), *static_cast<name::Out *>(out)); \
   }}
extern "C" const Update updates[] = {UPDATE(fetch), UPDATE(dispatcher), UPDATE(loader),
                                     UPDATE(sums),  UPDATE(turns),      UPDATE(packer)};
#endif
