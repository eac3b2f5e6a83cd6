// The Verilated engine on a bench: its clock, AXI4-Lite, and streams as fast as the engine takes
// them. It is an executable that plays a job's runs,
//
//   rtl JOB RESULT [--stall SEED] [--trace FILE CYCLES]
//
// and a shared library with a plain C interface, the virtual board's programmable logic, whose
// other half is host/lstm_sharp/virtual/engine.py. --stall idles each stream at random; --trace
// writes the engine's activity word (uint16) of the last run, CYCLES cycles from just before its
// start.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#if VM_COVERAGE
#include <unistd.h>
#endif

#include "../config.hpp"
#include "Vlstm_engine.h"
#include "Vlstm_engine___024root.h"
#include "job.hpp"
#include "verilated.h"

// An assertion of the engine comes here, since the build defines VL_USER_FATAL.
void vl_fatal(const char *file, int line, const char *, const char *message) {
  throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + message);
}

namespace {

constexpr std::uint64_t kPatience = 200000;  // cycles without a beat before a run is given up
constexpr std::size_t kBeat = lstm::kStreamBits / 8;
constexpr unsigned kMoves =
    1U << 9 | 7;  // bits of activity: beats of h, slots, beats of weights, x

struct Source {
  const std::uint8_t *data = nullptr;
  std::size_t size = 0, at = 0;  // bytes
};

struct Sink {
  std::uint8_t *data = nullptr;
  std::size_t size = 0, at = 0;  // bytes
  std::uint8_t open = 0;         // until a beat with TLAST has come
  std::uint8_t over = 0;         // the packet goes on, and there is no room left
  std::uint8_t lose_last = 0;    // fault: the next TLAST does not come
  std::uint8_t lose_beat = 0;    // fault: nor does the beat that bears it; the one before ends it
};

class Engine {
 public:
  // Ports start at random too, where the arguments ask Verilator for that.
  Engine(int argc, char **argv, std::uint64_t stall_seed)
      : context_(new VerilatedContext), random_(stall_seed) {
    enter();
    context_->commandArgs(argc, argv);
    top_.reset(new Vlstm_engine(context_.get()));
    top_->ap_clk = top_->ap_rst_n = 0;
    top_->s_axi_control_AWVALID = top_->s_axi_control_WVALID = top_->s_axi_control_BREADY = 0;
    top_->s_axi_control_ARVALID = top_->s_axi_control_RREADY = 0;
    top_->weights_TVALID = top_->x_TVALID = top_->h_TREADY = 0;
    for (int i = 0; i < 4; ++i) tick();
    top_->ap_rst_n = 1;
    tick();
  }
  ~Engine() {
    enter();
#if VM_COVERAGE  // of Verilator's --coverage-line, which tests/covered.py reads
    context_->coveragep()->write(("coverage-" + std::to_string(getpid()) + ".dat").c_str());
#endif
  }

  // Verilator looks in the thread for the context of the engine at work.
  void enter() { Verilated::threadContextp(context_.get()); }

  void tick() {
    offer(shared.weights, top_->weights_TDATA, top_->weights_TVALID);
    offer(shared.x, top_->x_TDATA, top_->x_TVALID);
    top_->h_TREADY = ready();
    top_->eval();
    ++shared.cycles;
    shared.moved += (activity() & kMoves) != 0;
    if (trace.size() < trace.capacity()) trace.push_back(activity());
    const bool weight_taken = top_->weights_TVALID && top_->weights_TREADY;
    const bool x_taken = top_->x_TVALID && top_->x_TREADY;
    if (top_->h_TVALID && top_->h_TREADY) {
      take(reinterpret_cast<const std::uint8_t *>(&top_->h_TDATA), top_->h_TLAST);
    }
    top_->ap_clk = 1;
    top_->eval();
    top_->ap_clk = 0;
    if (weight_taken) shared.weights.at += kBeat, top_->weights_TVALID = 0;
    if (x_taken) shared.x.at += kBeat, top_->x_TVALID = 0;
  }

  void write(std::uint32_t address, std::uint32_t data) {
    top_->s_axi_control_AWADDR = address;
    top_->s_axi_control_AWVALID = 1;
    top_->s_axi_control_WDATA = data;
    top_->s_axi_control_WSTRB = 15;
    top_->s_axi_control_BREADY = 1;
    until(top_->s_axi_control_AWREADY);
    top_->s_axi_control_AWVALID = 0;
    top_->s_axi_control_WVALID = 1;
    until(top_->s_axi_control_WREADY);
    top_->s_axi_control_WVALID = 0;
    until(top_->s_axi_control_BVALID);
  }

  std::uint32_t read(std::uint32_t address) {
    top_->s_axi_control_ARADDR = address;
    top_->s_axi_control_ARVALID = 1;
    top_->s_axi_control_RREADY = 1;
    until(top_->s_axi_control_ARREADY);
    top_->s_axi_control_ARVALID = 0;
    return until(top_->s_axi_control_RVALID);
  }

  // Verilator renames the port, since interrupt is a common word of C++.
  bool interrupted() const { return top_->__SYM__interrupt; }

  // What waited in the streams is gone, as after a reset of the DMA.
  void send(Source weights, Source x) {
    top_->weights_TVALID = top_->x_TVALID = 0;
    shared.weights = weights, shared.x = x;
  }

  struct {  // what Python reads and writes between calls
    Source weights, x;
    Sink h;
    std::uint64_t cycles = 0, moved = 0;  // all, and in how many a beat moved or a slot was issued
  } shared;
  std::string error;
  std::vector<std::uint16_t> trace;  // of activity, up to its capacity

 private:
  // Lets cycles pass until a handshake has come about; returns what stood on the bus for reads.
  std::uint32_t until(const CData &other) {
    top_->eval();
    while (!other) tick();
    const std::uint32_t data = top_->s_axi_control_RDATA;
    tick();
    return data;
  }

  // AXI4-Stream rule: once valid, a beat stays until it is taken; unless its source was cut off.
  template <class Data>
  void offer(const Source &source, Data &tdata, CData &valid) {
    if (source.at >= source.size) {
      valid = 0;
    } else if (!valid && goes_on()) {
      std::memcpy(&tdata, source.data + source.at, std::min(kBeat, source.size - source.at));
      valid = 1;
    }
  }

  bool ready() {
    const bool room = shared.h.at + kBeat <= shared.h.size;
    if (shared.h.open && !room && top_->h_TVALID) shared.h.over = 1;
    return shared.h.open && room && goes_on();
  }

  void take(const std::uint8_t *beat, bool last) {
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

  // Whether a stream does not pause in this cycle
  bool goes_on() {
    if (random_ == 0) return true;
    random_ ^= random_ << 13, random_ ^= random_ >> 7, random_ ^= random_ << 17;
    return (random_ >> 20 & 3) != 0;
  }

#ifdef RTL_HLS  // has no such word
  std::uint16_t activity() const { return 0; }
#else
  std::uint16_t activity() const { return top_->rootp->lstm_engine__DOT__activity; }
#endif

  std::unique_ptr<VerilatedContext> context_;
  std::unique_ptr<Vlstm_engine> top_;
  std::uint64_t random_;  // 0: streams never pause
};

job::Result play(Engine &engine, const job::Run &run, std::size_t traced) {
  for (std::size_t i = 0; i < run.program.size(); ++i)
    engine.write(lstm::kAddrMemoryProgram + 4 * i, run.program[i]);
  engine.write(lstm::kAddrGier, 1);
  engine.write(lstm::kAddrIpIer, 1);
  engine.send({run.weights.data(), run.weights.size(), 0}, {run.x.data(), run.x.size(), 0});
  const Source &weights = engine.shared.weights, &x = engine.shared.x;
  Sink &h = engine.shared.h;
  std::vector<std::uint8_t> bytes;
  std::size_t lasts = 0, last_at = 0;  // beats with TLAST
  h = Sink();
  const auto make_room = [&] {  // for whatever comes
    if (h.at + 8 * kBeat > bytes.size()) bytes.resize(2 * bytes.size() + run.h_bytes + 64 * kBeat);
    h.data = bytes.data(), h.size = bytes.size(), h.open = 1;
  };
  make_room();
  engine.trace.reserve(traced);
  engine.write(lstm::kAddrCtrl, 1);
  std::uint64_t quiet = 0, cycles = 0;
  while (!engine.interrupted()) {
    const std::size_t before = weights.at + x.at + h.at;
    engine.tick();
    if (!h.open) ++lasts, last_at = h.at;
    make_room();
    quiet = weights.at + x.at + h.at == before ? quiet + 1 : 0;
    if (quiet > kPatience || (++cycles > run.cycles && run.cycles != 0)) {
      throw std::runtime_error("no end in " + std::to_string(cycles) + " cycles, the last " +
                               std::to_string(quiet) + " without a beat: weights " +
                               std::to_string(weights.at) + " of " + std::to_string(weights.size) +
                               ", x " + std::to_string(x.at) + " of " + std::to_string(x.size) +
                               ", h " + std::to_string(h.at));
    }
  }
  engine.write(lstm::kAddrIpIsr, 1);
  job::Result result;
  result.identity = engine.read(lstm::kAddrIdentity);
  result.status = engine.read(lstm::kAddrStatus);
  result.cycles = engine.read(lstm::kAddrCycles);
  result.last_ok = lasts == (h.at != 0) && last_at == h.at;
  bytes.resize(h.at);
  result.h = bytes;
  return result;
}

// Runs what may throw, which C must not see; 0 if it did not.
template <class Work>
int guarded(Engine *engine, Work work) try {
  engine->enter();
  work();
  return 0;
} catch (const std::exception &error) {
  engine->error = error.what();
  return 1;
}

}  // namespace

#define API extern "C" __attribute__((visibility("default")))

API Engine *virtual_open() { return new Engine(0, nullptr, 0); }
API void virtual_close(Engine *engine) { delete engine; }
API void *virtual_shared(Engine *engine) { return &engine->shared; }
API const char *virtual_error(Engine *engine) { return engine->error.c_str(); }

API int virtual_run(Engine *engine, std::uint64_t cycles) {
  return guarded(engine, [&] {
    while (cycles-- > 0) engine->tick();
  });
}

API int virtual_write(Engine *engine, std::uint32_t address, std::uint32_t data) {
  return guarded(engine, [&] { engine->write(address, data); });
}

API int virtual_read(Engine *engine, std::uint32_t address, std::uint32_t *data) {
  return guarded(engine, [&] { *data = engine->read(address); });
}

int main(int argc, char **argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: rtl JOB RESULT [options]\n"), 2;
  std::uint64_t stall_seed = 0;
  std::size_t traced = 0;  // cycles
  std::string trace_file;
  for (int i = 3; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--stall" && i + 1 < argc) stall_seed = std::strtoull(argv[++i], nullptr, 10);
    if (option == "--trace" && i + 2 < argc) {
      trace_file = argv[++i];
      traced = std::strtoull(argv[++i], nullptr, 10);
    }
  }
  std::unique_ptr<Engine> engine;
  const int failed = job::play_all("", argv[1], argv[2], [&](const job::Run &run, bool last) {
    if (!engine) engine.reset(new Engine(argc, argv, stall_seed));
    return play(*engine, run, last ? traced : 0);
  });
  if (failed || trace_file.empty()) return failed;
  const std::vector<std::uint16_t> &words = engine->trace;
  std::ofstream(trace_file, std::ios::binary)
      .write(reinterpret_cast<const char *>(words.data()),
             static_cast<std::streamsize>(words.size() * sizeof words[0]));
  return 0;
}
