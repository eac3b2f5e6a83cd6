// Holds the Verilog of each update against the update itself, compiled with native integers: next
// state and outputs of every slot. steps_main SLOTS SEED prints a line an update.
#define LSTM_SHARP_BENCH
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "Vsteps.h"
#include "steps.cpp"

// Bytes of a field, in Verilog's record and in ours
struct Moved {
  const char *name;
  int there, here, bytes;
};

// A port that holds a record or what was read, as bytes
struct Port {
  void *at;
  std::size_t size;
};

struct Rig {
  const char *name;
  Vsteps &top;
  Port state_i, in_i, loaded, state_o, out_o, address;
  std::vector<Moved> state, in, memories, out;
  std::vector<int> reads;  // bytes of each
  std::size_t memories_size;
};

void to_verilog(const std::vector<Moved> &fields, const void *here, void *there) {
  for (const Moved &f : fields) {
    std::memcpy(static_cast<char *>(there) + f.there, static_cast<const char *>(here) + f.here,
                f.bytes);
  }
}

// Whether what Verilog gives is the same
bool same(const Rig &rig, const std::vector<Moved> &fields, const void *here, const void *there,
          long slot, unsigned long seed) {
  for (const Moved &f : fields) {
    const char *ours = static_cast<const char *>(here) + f.here;
    const char *its = static_cast<const char *>(there) + f.there;
    if (std::memcmp(ours, its, f.bytes) == 0) continue;
    std::printf("%s: seed %lu, slot %ld: %s differs, C++ has", rig.name, seed, slot, f.name);
    for (int b = f.bytes; b-- > 0;) std::printf(" %02x", std::uint8_t(ours[b]));
    std::printf(", Verilog");
    for (int b = f.bytes; b-- > 0;) std::printf(" %02x", std::uint8_t(its[b]));
    std::printf("\n");
    return false;
  }
  return true;
}

// What Verilog reads may tell it where to read more.
void settle(const Rig &rig, const std::vector<char> &memories) {
  for (std::size_t round = 0; round <= rig.reads.size(); ++round) {
    rig.top.eval();
    char *to = static_cast<char *>(rig.loaded.at);
    for (std::size_t r = 0; r < rig.reads.size(); ++r) {
      std::uint32_t from;
      std::memcpy(&from, static_cast<char *>(rig.address.at) + 4 * r, 4);
      // A read that its branch does not use may go anywhere.
      const bool there = from + std::size_t(rig.reads[r]) <= memories.size();
      if (there) std::memcpy(to, memories.data() + from, rig.reads[r]);
      to += rig.reads[r];
    }
  }
  rig.top.eval();
}

template <class State, class In, class Memories, class Out, class Step, class Begin, class Draw>
bool run(const Rig &rig, Step step, Begin begin, Draw draw, long slots, unsigned long seed) {
  Random random(seed);
  const std::unique_ptr<Memories> memories(new Memories());
  std::vector<char> state_room(sizeof(State)), image(rig.memories_size);
  State &state = *reinterpret_cast<State *>(state_room.data());
  long runs = 0;
  for (long slot = 0; slot < slots; ++slot) {
    if (slot == 0 || random.below(256) == 0) {
      ++runs;
      state_room.assign(sizeof(State), 0);
      begin(random, state, *memories);
      to_verilog(rig.memories, memories.get(), image.data());
      std::memset(rig.state_i.at, 0, rig.state_i.size);
      to_verilog(rig.state, &state, rig.state_i.at);
    }
    In in{};
    Out out;
    std::memset(static_cast<void *>(&out), 0, sizeof out);
    draw(random, in);
    to_verilog(rig.in, &in, rig.in_i.at);
    settle(rig, image);
    step(state, in, *memories, out);
    if (!same(rig, rig.state, &state, rig.state_o.at, slot, seed)) return false;
    if (!same(rig, rig.out, &out, rig.out_o.at, slot, seed)) return false;
    std::memcpy(rig.state_i.at, rig.state_o.at, rig.state_i.size);
  }
  std::printf("%s: seed %lu, %ld slots of %ld runs are the same\n", rig.name, seed, slots, runs);
  return true;
}

#define PORT(port) \
  Port { &top.port, sizeof top.port }
#define RUN(name)                                                                                  \
  fine = fine && run<name::State, name::In, name::Memories, name::Out>(                            \
                     Rig{#name, top, PORT(name##_state_i), PORT(name##_in_i), PORT(name##_loaded), \
                         PORT(name##_state_o), PORT(name##_out_o), PORT(name##_address),           \
                         name##_fields::state, name##_fields::in, name##_fields::memories,         \
                         name##_fields::out, name##_fields::reads, name##_fields::memories_size},  \
                     name::name, name::begin, name::draw, slots, seed)

#include "fields.hpp"

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const long slots = std::atol(argv[1]);
  const unsigned long seed = std::strtoul(argv[2], nullptr, 10);
  Vsteps top;
  bool fine = true;
  RUN_ALL;
  return fine ? 0 : 1;
}
