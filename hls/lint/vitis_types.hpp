// Declarations of the Vitis types that the kernel uses, for the kernel checker to parse it with:
// enough to name things and to tell widths, nothing that runs.
#pragma once

#include "cstdint.hpp"

#ifndef AP_INT_MAX_W
#define AP_INT_MAX_W 1024
#endif
enum { kWidestApInt = AP_INT_MAX_W };

template <int kBits>
struct ap_int;
template <int kBits>
struct ap_uint;

// The native integer that one becomes
template <int kBytes, bool kSigned>
struct VitisNative {
  using Type = typename VitisNative<kBytes + 1, kSigned>::Type;
};
// clang-format off: a table
template <> struct VitisNative<1, true> { using Type = signed char; };
template <> struct VitisNative<1, false> { using Type = unsigned char; };
template <> struct VitisNative<2, true> { using Type = short; };
template <> struct VitisNative<2, false> { using Type = unsigned short; };
template <> struct VitisNative<4, true> { using Type = int; };
template <> struct VitisNative<4, false> { using Type = unsigned; };
template <> struct VitisNative<8, true> { using Type = long; };
template <> struct VitisNative<8, false> { using Type = unsigned long; };
// clang-format on

// What an operator gives: as wide as the value may be, so that the two sides of a choice often
// differ
template <int kBits, bool kSigned>
struct VitisOf {
  using Type = ap_int<kBits>;
};
template <int kBits>
struct VitisOf<kBits, false> {
  using Type = ap_uint<kBits>;
};
constexpr int vitis_wider(int a, bool a_signed, int b, bool b_signed) {
  return (a + (b_signed && !a_signed)) > (b + (a_signed && !b_signed))
             ? a + (b_signed && !a_signed)
             : b + (a_signed && !b_signed);
}

struct VitisRange {
  template <class T>
  VitisRange &operator=(const T &);
};

template <int kBits, bool kSigned>
struct VitisInt {
  VitisInt() = default;
  template <class T>
  VitisInt(const T &);
  operator typename VitisNative<(kBits > 64 ? 8 : (kBits + 7) / 8), kSigned>::Type() const;
  template <class T>
  VitisInt &operator+=(const T &);
  template <class T>
  VitisInt &operator-=(const T &);
  VitisInt &operator++();
  VitisInt operator++(int);
  VitisInt &operator--();
  typename VitisOf<kBits + 1, true>::Type operator-() const;
  typename VitisOf<kBits, kSigned>::Type operator~() const;
  VitisRange range(int high, int low) const;
  VitisRange range(int high, int low);
};

#define VITIS_OPERATOR(op, bits, is_signed)                                        \
  template <int A, bool S, int B, bool T>                                          \
  typename VitisOf<(bits), (is_signed)>::Type operator op(const VitisInt<A, S> &,  \
                                                          const VitisInt<B, T> &); \
  VITIS_NATIVE(op, bits, is_signed, bool, 1, false)                                \
  VITIS_NATIVE(op, bits, is_signed, int, 32, true)                                 \
  VITIS_NATIVE(op, bits, is_signed, unsigned, 32, false)                           \
  VITIS_NATIVE(op, bits, is_signed, long, 64, true)                                \
  VITIS_NATIVE(op, bits, is_signed, unsigned long, 64, false)
#define VITIS_NATIVE(op, bits, is_signed, native, width, has_sign)                         \
  template <int A, bool S, int B = width, bool T = has_sign>                               \
  typename VitisOf<(bits), (is_signed)>::Type operator op(const VitisInt<A, S> &, native); \
  template <int B, bool T, int A = width, bool S = has_sign>                               \
  typename VitisOf<(bits), (is_signed)>::Type operator op(native, const VitisInt<B, T> &);
VITIS_OPERATOR(+, vitis_wider(A, S, B, T) + 1, S || T)
VITIS_OPERATOR(-, vitis_wider(A, S, B, T) + 1, true)
VITIS_OPERATOR(*, A + B, S || T)
VITIS_OPERATOR(/, A + T, S || T)
VITIS_OPERATOR(%, (A < B + (S && !T) ? A : B + (S && !T)), S)
VITIS_OPERATOR(&, vitis_wider(A, S, B, T), S || T)
VITIS_OPERATOR(|, vitis_wider(A, S, B, T), S || T)
VITIS_OPERATOR(^, vitis_wider(A, S, B, T), S || T)
VITIS_OPERATOR(<<, A, S)
VITIS_OPERATOR(>>, A, S)
#undef VITIS_NATIVE
#undef VITIS_OPERATOR
#define VITIS_COMPARE(op)                                           \
  template <int A, bool S, int B, bool T>                           \
  bool operator op(const VitisInt<A, S> &, const VitisInt<B, T> &); \
  template <int A, bool S>                                          \
  bool operator op(const VitisInt<A, S> &, int);                    \
  template <int A, bool S>                                          \
  bool operator op(const VitisInt<A, S> &, unsigned);               \
  template <int A, bool S>                                          \
  bool operator op(int, const VitisInt<A, S> &);
VITIS_COMPARE(==)
VITIS_COMPARE(!=)
VITIS_COMPARE(<)
VITIS_COMPARE(<=)
VITIS_COMPARE(>)
VITIS_COMPARE(>=)
#undef VITIS_COMPARE

template <int kBits>
struct ap_int : VitisInt<kBits, true> {
  using VitisInt<kBits, true>::VitisInt;
};

template <int kBits>
struct ap_uint : VitisInt<kBits, false> {
  using VitisInt<kBits, false>::VitisInt;
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
