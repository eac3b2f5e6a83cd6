// The Verilated engine on a bench: its clock, AXI4-Lite, and streams as fast as the engine takes
// them. What a harness does with beats of h, and whether a stream pauses, it says in a class of
// its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "../config.hpp"
#include "Vlstm_engine.h"
#include "Vlstm_engine___024root.h"
#include "verilated.h"

// An assertion of the engine comes here, since the build defines VL_USER_FATAL. Weak, for the
// executable has it from each harness.
__attribute__((weak)) void vl_fatal(const char *file, int line, const char *, const char *message) {
  throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + message);
}

class Bench {
 public:
  static constexpr std::size_t kBeat = lstm::kStreamBits / 8;

  struct Source {
    const std::uint8_t *data = nullptr;
    std::size_t size = 0, at = 0;  // bytes
  };

  explicit Bench(VerilatedContext *context) : top_(new Vlstm_engine(context)) {}
  virtual ~Bench() = default;

  void tick() {
    offer(weights_, top_->weights_TDATA, top_->weights_TVALID);
    offer(x_, top_->x_TDATA, top_->x_TVALID);
    top_->h_TREADY = ready();
    top_->eval();
    sample();
    const bool weight_taken = top_->weights_TVALID && top_->weights_TREADY;
    const bool x_taken = top_->x_TVALID && top_->x_TREADY;
    if (top_->h_TVALID && top_->h_TREADY) {
      take(reinterpret_cast<const std::uint8_t *>(&top_->h_TDATA), top_->h_TLAST);
    }
    top_->ap_clk = 1;
    top_->eval();
    top_->ap_clk = 0;
    if (weight_taken) weights_.at += kBeat, top_->weights_TVALID = 0;
    if (x_taken) x_.at += kBeat, top_->x_TVALID = 0;
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

 protected:
  // What waited in the streams is gone, as after a reset of the DMA.
  void send(Source weights, Source x) {
    top_->weights_TVALID = top_->x_TVALID = 0;
    weights_ = weights, x_ = x;
  }

  // Ports start at random too, where Verilator was asked for that.
  void reset() {
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
  bool h_valid() const { return top_->h_TVALID; }
#ifdef RTL_HLS  // has no such word
  std::uint16_t activity() const { return 0; }
#else
  std::uint16_t activity() const { return top_->rootp->lstm_engine__DOT__activity; }
#endif

  virtual bool offered() { return true; }                      // a stream's next beat now?
  virtual bool ready() = 0;                                    // for a beat of h?
  virtual void take(const std::uint8_t *beat, bool last) = 0;  // a beat of h
  virtual void sample() {}                                     // before each clock edge

  Source weights_, x_;

 private:
  // AXI4-Stream rule: once valid, a beat stays until it is taken; unless its source was cut off.
  template <class Data>
  void offer(const Source &source, Data &tdata, CData &valid) {
    if (source.at >= source.size) {
      valid = 0;
    } else if (!valid && offered()) {
      std::memcpy(&tdata, source.data + source.at, std::min(kBeat, source.size - source.at));
      valid = 1;
    }
  }

  std::unique_ptr<Vlstm_engine> top_;
};
