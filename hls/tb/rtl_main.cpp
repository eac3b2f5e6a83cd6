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
#include <cstring>
#include <exception>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "Vlstm_engine.h"
#include "Vlstm_engine___024root.h"
#include "job.hpp"
#include "verilated.h"

namespace {

constexpr std::uint32_t kControl = 0x0000, kGlobalEnable = 0x0004, kEnable = 0x0008;
constexpr std::uint32_t kInterruptStatus = 0x000c, kIdentity = 0x0010, kStatus = 0x0020;
constexpr std::uint32_t kCycles = 0x0030, kWindow = 0x1000;
constexpr std::uint64_t kPatience = 200000;  // cycles without a beat before a run is given up

class Bench {
 public:
  explicit Bench(std::uint64_t stall_seed) : random_(stall_seed), stalls_(stall_seed != 0) {
    // Ports start at random too, where Verilator was asked for that.
    top_->ap_clk = top_->ap_rst_n = 0;
    top_->s_axi_control_AWVALID = top_->s_axi_control_WVALID = top_->s_axi_control_BREADY = 0;
    top_->s_axi_control_ARVALID = top_->s_axi_control_RREADY = 0;
    top_->weights_TVALID = top_->x_TVALID = top_->h_TREADY = 0;
    for (int i = 0; i < 4; ++i) tick();
    top_->ap_rst_n = 1;
    tick();
  }

  // Verilator renames the port, since interrupt is a common word of C++.
  bool interrupted() const { return top_->__SYM__interrupt; }

  job::Result play(const job::Run &run, std::vector<std::uint16_t> *trace) {
    for (std::size_t i = 0; i < run.program.size(); ++i) write(kWindow + 4 * i, run.program[i]);
    write(kGlobalEnable, 1);
    write(kEnable, 1);
    weights_ = {run.weights.data(), run.weights.size(), 0};
    x_ = {run.x.data(), run.x.size(), 0};
    h_.clear();
    last_beats_ = 0;
    trace_ = trace;
    write(kControl, 1);
    std::uint64_t quiet = 0;
    while (!interrupted()) {
      const std::size_t before = weights_.at + x_.at + h_.size();
      tick();
      quiet = weights_.at + x_.at + h_.size() == before ? quiet + 1 : 0;
      if (quiet > kPatience) {
        std::fprintf(stderr, "no beat in %llu cycles: weights %zu of %zu, x %zu of %zu, h %zu\n",
                     static_cast<unsigned long long>(kPatience), weights_.at, weights_.size, x_.at,
                     x_.size, h_.size());
        std::exit(3);
      }
    }
    trace_ = nullptr;
    write(kInterruptStatus, 1);
    job::Result result;
    result.identity = read(kIdentity);
    result.status = read(kStatus);
    result.cycles = read(kCycles);
    result.last_ok = last_beats_ == (h_.empty() ? 0U : 1U) && (h_.empty() || last_at_end_);
    result.h = h_;
    return result;
  }

 private:
  struct Source {
    const std::uint8_t *data = nullptr;
    std::size_t size = 0, at = 0;
  };
  static constexpr std::size_t kBeat = STREAM_BITS / 8;

  bool offered() {
    if (!stalls_) return true;
    random_ ^= random_ << 13, random_ ^= random_ >> 7, random_ ^= random_ << 17;
    return (random_ >> 20 & 3) != 0;
  }

  // AXI4-Stream rule: once valid, a beat stays until it is taken.
  template <class Data>
  void offer(Source &source, Data &tdata, CData &valid) {
    if (!valid && source.at < source.size && offered()) {
      std::memcpy(&tdata, source.data + source.at, kBeat);
      valid = 1;
    }
  }

  void tick() {
    offer(weights_, top_->weights_TDATA, top_->weights_TVALID);
    offer(x_, top_->x_TDATA, top_->x_TVALID);
    top_->h_TREADY = offered();
    top_->eval();
    if (trace_ != nullptr && trace_->size() < trace_->capacity()) {
      trace_->push_back(top_->rootp->lstm_engine__DOT__activity);
    }
    const bool weight_taken = top_->weights_TVALID && top_->weights_TREADY;
    const bool x_taken = top_->x_TVALID && top_->x_TREADY;
    if (top_->h_TVALID && top_->h_TREADY) {
      const auto *beat = reinterpret_cast<const std::uint8_t *>(&top_->h_TDATA);
      h_.insert(h_.end(), beat, beat + kBeat);
      last_at_end_ = top_->h_TLAST;
      last_beats_ += top_->h_TLAST;
    }
    top_->ap_clk = 1;
    top_->eval();
    top_->ap_clk = 0;
    if (weight_taken) weights_.at += kBeat, top_->weights_TVALID = 0;
    if (x_taken) x_.at += kBeat, top_->x_TVALID = 0;
    if (!stalls_) {  // no bubble between beats
      offer(weights_, top_->weights_TDATA, top_->weights_TVALID);
      offer(x_, top_->x_TDATA, top_->x_TVALID);
    }
    top_->eval();
  }

  void write(std::uint32_t address, std::uint32_t data) {
    top_->s_axi_control_AWADDR = address;
    top_->s_axi_control_AWVALID = 1;
    top_->s_axi_control_WDATA = data;
    top_->s_axi_control_WSTRB = 15;
    top_->s_axi_control_BREADY = 1;
    top_->eval();
    while (!top_->s_axi_control_AWREADY) tick();
    tick();
    top_->s_axi_control_AWVALID = 0;
    top_->s_axi_control_WVALID = 1;
    top_->eval();
    while (!top_->s_axi_control_WREADY) tick();
    tick();
    top_->s_axi_control_WVALID = 0;
    top_->eval();
    while (!top_->s_axi_control_BVALID) tick();
    tick();
  }

  std::uint32_t read(std::uint32_t address) {
    top_->s_axi_control_ARADDR = address;
    top_->s_axi_control_ARVALID = 1;
    top_->s_axi_control_RREADY = 1;
    top_->eval();
    while (!top_->s_axi_control_ARREADY) tick();
    tick();
    top_->s_axi_control_ARVALID = 0;
    top_->eval();
    while (!top_->s_axi_control_RVALID) tick();
    const std::uint32_t data = top_->s_axi_control_RDATA;
    tick();
    return data;
  }

  std::unique_ptr<Vlstm_engine> top_{new Vlstm_engine};
  std::uint64_t random_;
  bool stalls_;
  Source weights_, x_;
  std::vector<std::uint8_t> h_;
  std::vector<std::uint16_t> *trace_ = nullptr;
  unsigned last_beats_ = 0;
  bool last_at_end_ = false;
};

}  // namespace

int main(int argc, char **argv) try {
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
  const std::vector<job::Run> runs = job::read_job(argv[1]);
  std::vector<job::Result> results;
  Bench bench(stall_seed);
  for (const job::Run &run : runs) {
    const bool traced = !trace_file.empty() && &run == &runs.back();
    results.push_back(bench.play(run, traced ? &trace : nullptr));
    job::progress(results.size(), runs.size());
  }
  job::write_results(argv[2], results);
  if (!trace_file.empty()) {
    std::ofstream(trace_file, std::ios::binary)
        .write(reinterpret_cast<const char *>(trace.data()),
               static_cast<std::streamsize>(trace.size() * sizeof trace[0]));
  }
  return 0;
} catch (const std::exception &error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
