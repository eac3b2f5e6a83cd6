// Harness around the Verilated engine: plays a job's runs through the real ports, AXI4-Lite and
// streams, as fast as the engine takes them.
//
//   rtl JOB RESULT [--stall SEED] [--trace FILE CYCLES]
//
// --stall idles each stream at random; --trace writes the engine's activity word (uint16) of the
// last run, CYCLES cycles from just before its start.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench.hpp"
#include "job.hpp"

namespace {

constexpr std::uint64_t kPatience = 200000;  // cycles without a beat before a run is given up

class Player : public Bench {
 public:
  explicit Player(std::uint64_t stall_seed)
      : Bench(Verilated::defaultContextp()), random_(stall_seed), stalls_(stall_seed != 0) {
    reset();
  }

  job::Result play(const job::Run &run, std::vector<std::uint16_t> *trace) {
    for (std::size_t i = 0; i < run.program.size(); ++i)
      write(lstm::kAddrMemoryProgram + 4 * i, run.program[i]);
    write(lstm::kAddrGier, 1);
    write(lstm::kAddrIpIer, 1);
    send({run.weights.data(), run.weights.size(), 0}, {run.x.data(), run.x.size(), 0});
    h_.clear();
    last_beats_ = 0;
    trace_ = trace;
    write(lstm::kAddrCtrl, 1);
    std::uint64_t quiet = 0, cycles = 0;
    while (!interrupted()) {
      const std::size_t before = weights_.at + x_.at + h_.size();
      tick();
      quiet = weights_.at + x_.at + h_.size() == before ? quiet + 1 : 0;
      if (quiet > kPatience || (++cycles > run.cycles && run.cycles != 0)) {
        throw std::runtime_error(
            "no end in " + std::to_string(cycles) + " cycles, the last " + std::to_string(quiet) +
            " without a beat: weights " + std::to_string(weights_.at) + " of " +
            std::to_string(weights_.size) + ", x " + std::to_string(x_.at) + " of " +
            std::to_string(x_.size) + ", h " + std::to_string(h_.size()));
      }
    }
    trace_ = nullptr;
    write(lstm::kAddrIpIsr, 1);
    job::Result result;
    result.identity = read(lstm::kAddrIdentity);
    result.status = read(lstm::kAddrStatus);
    result.cycles = read(lstm::kAddrCycles);
    result.last_ok = last_beats_ == (h_.empty() ? 0U : 1U) && (h_.empty() || last_at_end_);
    result.h = h_;
    return result;
  }

 private:
  bool offered() override {
    if (!stalls_) return true;
    random_ ^= random_ << 13, random_ ^= random_ >> 7, random_ ^= random_ << 17;
    return (random_ >> 20 & 3) != 0;
  }

  bool ready() override { return offered(); }

  void take(const std::uint8_t *beat, bool last) override {
    h_.insert(h_.end(), beat, beat + kBeat);
    last_at_end_ = last;
    last_beats_ += last;
  }

  void sample() override {
    if (trace_ != nullptr && trace_->size() < trace_->capacity()) trace_->push_back(activity());
  }

  std::uint64_t random_;
  bool stalls_;
  std::vector<std::uint8_t> h_;
  std::vector<std::uint16_t> *trace_ = nullptr;
  unsigned last_beats_ = 0;
  bool last_at_end_ = false;
};

}  // namespace

int main(int argc, char **argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: rtl JOB RESULT [options]\n"), 2;
  std::uint64_t stall_seed = 0;
  std::string trace_file;
  std::vector<std::uint16_t> trace;
  for (int i = 3; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--stall" && i + 1 < argc) stall_seed = std::strtoull(argv[++i], nullptr, 10);
    if (option == "--trace" && i + 2 < argc) {
      trace_file = argv[++i];
      trace.reserve(std::strtoull(argv[++i], nullptr, 10));
    }
  }
  Verilated::commandArgs(argc, argv);
  std::unique_ptr<Player> bench;
  const int failed = job::play_all("", argv[1], argv[2], [&](const job::Run &run, bool last) {
    if (!bench) bench.reset(new Player(stall_seed));
    return bench->play(run, last && !trace_file.empty() ? &trace : nullptr);
  });
  if (failed) return failed;
  if (!trace_file.empty()) {
    std::ofstream(trace_file, std::ios::binary)
        .write(reinterpret_cast<const char *>(trace.data()),
               static_cast<std::streamsize>(trace.size() * sizeof trace[0]));
  }
  return 0;
}
