// A beat of an AXI4-Stream
#pragma once

#include "ap_int.h"

template <int kBits, int kUser, int kId, int kDest>
struct ap_axiu {
  ap_uint<kBits> data;
  int keep, strb;
  bool last;
};
