// Type names of the kernel. What they stand for differs between Vitis and plain g++, and only here.
#pragma once

#include "config.hpp"

#if defined(__SYNTHESIS__) || defined(LSTM_SHARP_VITIS)  // the latter: Vitis' own C simulation
#include "kernel/vitis.hpp"
#else
#include "kernel/native.hpp"
#endif

namespace lstm {

using Weight_t = Int<kWeightBits>;
using Activation_t = Int<kActivationBits>;  // elements of x and h
using Bias_t = Int<kBiasBits>;
using Sum_t = Int<kSumBits>;  // N products
using Acc_t = Int<kAccBits>;
using C_t = Int<kCBits>;

// N elements of x: the scalars of one column of tiles
struct Word {
  Activation_t of[kColumns];
};

// A beat of h on its way to the port; end stands behind the last one and holds nothing.
struct HBeat {
  Beat data;
  bool last;
  bool end;
};

constexpr int power_of_two(int least) {
  int power = 1;
  while (power < least) power *= 2;
  return power;
}

// Clips to a signed integer of kBits.
template <int kBits, class Wide>
Int<kBits> saturate(Wide value) {
  const Int<kBits> most = (std::int64_t(1) << (kBits - 1)) - 1;
  const Int<kBits> least = -(std::int64_t(1) << (kBits - 1));
  return value > most ? most : value < least ? least : Int<kBits>(value);
}

}  // namespace lstm
