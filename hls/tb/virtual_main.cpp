// The Verilated engine as a shared library, a plain C interface: the virtual board's programmable
// logic. host/lstm_sharp/virtual/engine.py is the other half of this file.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string>

#include "bench.hpp"

namespace {

constexpr unsigned kMoves =
    1U << 9 | 7;  // bits of activity: beats of h, slots, beats of weights, x

struct Sink {
  std::uint8_t *data = nullptr;
  std::size_t size = 0, at = 0;  // bytes
  std::uint8_t open = 0;         // until a beat with TLAST has come
  std::uint8_t over = 0;         // the packet goes on, and there is no room left
  std::uint8_t lose_last = 0;    // fault: the next TLAST does not come
  std::uint8_t lose_beat = 0;    // fault: nor does the beat that bears it; the one before ends it
};

// What Python reads and writes between calls.
struct Shared {
  Bench::Source weights, x;
  Sink h;
  std::uint64_t cycles = 0, moved = 0;  // all, and in how many a beat moved or a slot was issued
};

// Each engine has a context of its own, which outlives it as the first base does. Verilator looks
// for that of the engine at work in the thread.
struct Context {
  VerilatedContext context;
};

class Board : private Context, public Bench {
 public:
  Board() : Bench(&context) { reset(); }
  ~Board() override { Verilated::threadContextp(&context); }

  // Sources and sink are Python's to change, but only between two calls.
  void begin() {
    Verilated::threadContextp(&context);
    weights_ = shared.weights, x_ = shared.x;
  }
  void end() { shared.weights = weights_, shared.x = x_; }

  Shared shared;
  std::string error;

 private:
  bool room() const { return shared.h.at + kBeat <= shared.h.size; }

  bool ready() override {
    if (shared.h.open && !room() && h_valid()) shared.h.over = 1;
    return shared.h.open && room();
  }

  void take(const std::uint8_t *beat, bool last) override {
    Sink &h = shared.h;
    if (last && h.lose_last) {
      h.lose_last = 0, last = false;
    }
    if (last && h.lose_beat) {
      h.lose_beat = 0;
    } else {
      std::memcpy(h.data + h.at, beat, kBeat);
      h.at += kBeat;
    }
    if (last) h.open = 0;
  }

  void sample() override {
    ++shared.cycles;
    shared.moved += (activity() & kMoves) != 0;
  }
};

// Runs what may throw, which C must not see; 0 if it did not.
template <class Work>
int guarded(Board *board, Work work) try {
  board->begin();
  work();
  board->end();
  return 0;
} catch (const std::exception &error) {
  board->error = error.what();
  return 1;
}

}  // namespace

#define API extern "C" __attribute__((visibility("default")))

API Board *virtual_open() { return new Board; }
API void virtual_close(Board *board) { delete board; }
API Shared *virtual_shared(Board *board) { return &board->shared; }
API const char *virtual_error(Board *board) { return board->error.c_str(); }

API int virtual_run(Board *board, std::uint64_t cycles) {
  return guarded(board, [&] {
    while (cycles-- > 0) board->tick();
  });
}

API int virtual_write(Board *board, std::uint32_t address, std::uint32_t data) {
  return guarded(board, [&] { board->write(address, data); });
}

API int virtual_read(Board *board, std::uint32_t address, std::uint32_t *data) {
  return guarded(board, [&] { *data = board->read(address); });
}
