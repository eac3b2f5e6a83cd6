// Stands in for the header of Vitis HLS where a C simulation runs on the public ap_types headers,
// which have none: the beat of an AXI4-Stream without side channels.
#pragma once

#include <ap_int.h>

template <int kBits, int kUser, int kId, int kDest>
struct ap_axiu {
  static_assert(kUser == 0 && kId == 0 && kDest == 0, "no side channels");
  ap_uint<kBits> data;
  ap_uint<kBits / 8> keep, strb;
  ap_uint<1> last;
};
