// Holds the Verilog of each update against the update itself: next state and outputs of every slot.
// steps_main SLOTS SEED prints a line an update.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "Vsteps.h"
#include "bench.hpp"

// A scalar of a record
struct Field {
  const char *name;
  std::size_t at, bytes;
};

// The ports of an update's Verilog, what is compared of its records, and the bytes of each read
struct Rig {
  void *state_i, *in_i, *loaded, *state_o, *out_o, *address;
  std::vector<Field> state, out;
  std::vector<std::size_t> reads;
};

extern "C" const Update updates[];

// Whether what Verilog gives is the same
bool same(const std::vector<Field> &fields, const std::vector<char> &here, const void *there,
          const char *update, long slot) {
  const char *ours = here.data(), *its = static_cast<const char *>(there);
  for (const Field &f : fields) {
    if (std::memcmp(ours + f.at, its + f.at, f.bytes) == 0) continue;
    std::printf("%s: slot %ld: %s differs, C++ has", update, slot, f.name);
    for (std::size_t b = f.bytes; b-- > 0;) std::printf(" %02x", std::uint8_t(ours[f.at + b]));
    std::printf(", Verilog");
    for (std::size_t b = f.bytes; b-- > 0;) std::printf(" %02x", std::uint8_t(its[f.at + b]));
    std::printf("\n");
    return false;
  }
  return true;
}

// What Verilog reads may tell it where to read more.
void settle(Vsteps &top, const Rig &rig, const std::vector<char> &memories) {
  for (std::size_t round = 0; round <= rig.reads.size(); ++round) {
    top.eval();
    char *to = static_cast<char *>(rig.loaded);
    for (std::size_t r = 0; r < rig.reads.size(); ++r) {
      std::uint32_t from;
      std::memcpy(&from, static_cast<char *>(rig.address) + 4 * r, 4);
      // A read that its branch does not use may go anywhere.
      const bool there = from + rig.reads[r] <= memories.size();
      if (there) std::memcpy(to, memories.data() + from, rig.reads[r]);
      to += rig.reads[r];
    }
  }
  top.eval();
}

bool run(Vsteps &top, const Update &update, const Rig &rig, long slots, unsigned long seed) {
  Random random(seed);
  std::vector<char> state(update.state), in(update.in), memories(update.memories), out(update.out);
  long runs = 0;
  for (long slot = 0; slot < slots; ++slot) {
    if (slot == 0 || random.below(256) == 0) {
      ++runs;
      state.assign(update.state, 0);
      update.begin(random, state.data(), memories.data());
      std::memcpy(rig.state_i, state.data(), update.state);
    }
    update.draw(random, in.data());
    std::memcpy(rig.in_i, in.data(), update.in);
    settle(top, rig, memories);
    out.assign(update.out, 0);
    update.step(state.data(), in.data(), memories.data(), out.data());
    if (!same(rig.state, state, rig.state_o, update.name, slot) ||
        !same(rig.out, out, rig.out_o, update.name, slot)) {
      return false;
    }
    std::memcpy(rig.state_i, rig.state_o, update.state);
  }
  std::printf("%s: seed %lu, %ld slots of %ld runs are the same\n", update.name, seed, slots, runs);
  return true;
}

#include "rigs.hpp"

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const long slots = std::atol(argv[1]);
  const unsigned long seed = std::strtoul(argv[2], nullptr, 10);
  Vsteps top;
  const std::vector<Rig> rigs = {RIGS(top)};
  for (std::size_t at = 0; at < rigs.size(); ++at) {
    if (!run(top, updates[at], rigs[at], slots, seed)) return 1;
  }
  return 0;
}
