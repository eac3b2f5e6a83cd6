// Declarations of the Vitis types that the kernel uses, for the kernel checker to parse it with:
// enough to name things and to tell widths, nothing that runs.
#pragma once

#include "cstdint.hpp"

#ifndef AP_INT_MAX_W
#define AP_INT_MAX_W 1024
#endif
enum { kWidestApInt = AP_INT_MAX_W };

template <class Native>
struct VitisInt {
  VitisInt() = default;
  template <class T>
  VitisInt(const T &);
  operator Native() const;
  template <class T>
  VitisInt &operator+=(const T &);
  template <class T>
  VitisInt &operator-=(const T &);
  VitisInt &operator++();
  VitisInt operator++(int);
  VitisInt &operator--();
  VitisInt range(int high, int low) const;
  VitisInt &range(int high, int low);
};

template <int kBits>
struct ap_int : VitisInt<long> {
  using VitisInt<long>::VitisInt;
};

template <int kBits>
struct ap_uint : VitisInt<unsigned long> {
  using VitisInt<unsigned long>::VitisInt;
};

template <int kBits, int kUser, int kId, int kDest>
struct ap_axiu {
  ap_uint<kBits> data;
  ap_uint<(kBits + 7) / 8> keep, strb;
  ap_uint<1> last;
};

namespace hls {
template <class T>
struct stream {
  explicit stream(const char * = nullptr);
  T read();
  void write(const T &);
  bool empty() const;
};
}  // namespace hls
