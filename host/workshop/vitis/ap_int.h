// Integers of Vitis HLS on clang's own of any width, for the kernel checker, and for the
// intermediate form of the kernel that recurrence.py measures: results are as wide as they need
// to be, and assignment wraps.
#pragma once

#include <type_traits>

#ifndef AP_INT_MAX_W
#define AP_INT_MAX_W 1024
#endif
enum { kWidestApInt = AP_INT_MAX_W };

template <int kBits, bool kSigned>
class Number;

// Width and sign of an operand
template <class T, bool = std::is_enum<T>::value>
struct Traits {
  static constexpr bool known = std::is_integral<T>::value, own = false;
  static constexpr bool is_signed = std::is_signed<T>::value;
  static constexpr int bits = std::is_same<T, bool>::value ? 1 : 8 * int(sizeof(T));
};

template <class T>
struct Traits<T, true> : Traits<std::underlying_type_t<T>> {};

template <int kBits, bool kSigned>
struct Traits<Number<kBits, kSigned>, false> {
  static constexpr bool known = true, own = true, is_signed = kSigned;
  static constexpr int bits = kBits;
};

// What has no number of bits of its own has no operator here.
template <class A, class B, bool = (Traits<A>::own || Traits<B>::own)>
struct Both {};

template <class A, class B>
struct Both<A, B, true> {
  using a = Traits<A>;
  using b = Traits<B>;
  static constexpr int more(int x, int y) { return x > y ? x : y; }
  static constexpr bool is_signed = a::is_signed || b::is_signed;
  static constexpr int bits =
      more(a::bits + (b::is_signed && !a::is_signed), b::bits + (a::is_signed && !b::is_signed));
  using Same = Number<bits, is_signed>;
  using Sum = Number<bits + 1, is_signed>;
  using Difference = Number<bits + 1, true>;
  using Product = Number<a::bits + b::bits, is_signed>;
  using Quotient = Number<a::bits + b::is_signed, is_signed>;
  using Remainder = Number<a::bits, a::is_signed>;
};

template <int kBits, bool kSigned>
struct Raw {
  using type = _BitInt(kBits);
};

template <int kBits>
struct Raw<kBits, false> {
  using type = unsigned _BitInt(kBits);
};

template <int kBits, bool kSigned>
class Number {
 public:
  static constexpr int width = kBits;
  using Value = typename Raw<kBits, kSigned>::type;
  using Bits = typename Raw<kBits, false>::type;
  using Native = std::conditional_t<
      (kBits > 32), long,
      std::conditional_t<(kBits > 16), int, std::conditional_t<(kBits > 8), short, signed char>>>;
  using Out = std::conditional_t<kSigned, Native, std::make_unsigned_t<Native>>;

  // Some bits of a number
  class Part {
   public:
    Part(Number &whole, int high, int low) : whole_(whole), high_(high), low_(low) {}
    template <class T>
    void operator=(const T &value) {
      const Bits mask = ones(high_ - low_ + 1);
      const Bits bits = static_cast<Bits>(Number(value).value) & mask;
      const Bits others = static_cast<Bits>(whole_.value) & ~(mask << low_);
      whole_.value = static_cast<Value>(others | bits << low_);
    }

   private:
    Number &whole_;
    int high_, low_;
  };

  Number() = default;
  template <class T, std::enable_if_t<Traits<T>::known && !Traits<T>::own, int> = 0>
  constexpr Number(T from) : value(static_cast<Value>(from)) {}
  template <int kFrom, bool kFromSigned>
  constexpr Number(const Number<kFrom, kFromSigned> &from)
      : value(static_cast<Value>(from.value)) {}

  constexpr operator Out() const { return static_cast<Out>(value); }
  Part range(int high, int low) { return Part(*this, high, low); }
  Number<kBits, false> range(int high, int low) const {
    return Number<kBits, false>::wrap(static_cast<Bits>(value) >> low & ones(high - low + 1));
  }

  template <class T>
  Number &operator+=(const T &by) {
    return *this = *this + by;
  }
  template <class T>
  Number &operator-=(const T &by) {
    return *this = *this - by;
  }
  template <class T>
  Number &operator*=(const T &by) {
    return *this = *this * by;
  }
  template <class T>
  Number &operator&=(const T &by) {
    return *this = *this & by;
  }
  template <class T>
  Number &operator|=(const T &by) {
    return *this = *this | by;
  }
  template <class T>
  Number &operator^=(const T &by) {
    return *this = *this ^ by;
  }
  Number &operator<<=(int by) { return *this = *this << by; }
  Number &operator>>=(int by) { return *this = *this >> by; }
  Number &operator++() { return *this += 1; }
  Number &operator--() { return *this -= 1; }

  Number operator~() const { return wrap(~value); }
  Number<kBits + 1, true> operator-() const { return 0 - *this; }
  bool operator!() const { return value == 0; }

  static constexpr Number wrap(Value value) {
    Number made{};
    made.value = value;
    return made;
  }

  Value value;

 private:
  // So many of the lowest bits: all of them too
  static constexpr Bits ones(int count) { return static_cast<Bits>(~Bits(0)) >> (kBits - count); }
};

template <int kBits>
using ap_int = Number<kBits, true>;
template <int kBits>
using ap_uint = Number<kBits, false>;

template <class To, class T>
constexpr typename To::Value widened(const T &from) {
  return To(from).value;
}

#define OPERATOR(op, Result)                                                  \
  template <class A, class B>                                                 \
  constexpr typename Both<A, B>::Result operator op(const A &a, const B &b) { \
    using To = typename Both<A, B>::Result;                                   \
    return To::wrap(widened<To>(a) op widened<To>(b));                        \
  }
OPERATOR(+, Sum)
OPERATOR(-, Difference)
OPERATOR(*, Product)
OPERATOR(&, Same)
OPERATOR(|, Same)
OPERATOR(^, Same)
#undef OPERATOR

#define DIVISION(op, Result)                                                  \
  template <class A, class B>                                                 \
  constexpr typename Both<A, B>::Result operator op(const A &a, const B &b) { \
    using To = typename Both<A, B>::Same;                                     \
    return Both<A, B>::Result::wrap(widened<To>(a) op widened<To>(b));        \
  }
DIVISION(/, Quotient)
DIVISION(%, Remainder)
#undef DIVISION

#define COMPARISON(op)                                           \
  template <class A, class B, class = typename Both<A, B>::Same> \
  constexpr bool operator op(const A &a, const B &b) {           \
    using To = typename Both<A, B>::Same;                        \
    return widened<To>(a) op widened<To>(b);                     \
  }
COMPARISON(==)
COMPARISON(!=)
COMPARISON(<)
COMPARISON(<=)
COMPARISON(>)
COMPARISON(>=)
#undef COMPARISON

// A shift keeps the width of what is shifted; a negative one goes the other way.
template <int kBits, bool kSigned, class T>
constexpr Number<kBits, kSigned> operator<<(const Number<kBits, kSigned> &a, const T &by) {
  const int n = static_cast<int>(by);
  return Number<kBits, kSigned>::wrap(n < 0 ? a.value >> -n : a.value << n);
}

template <int kBits, bool kSigned, class T>
constexpr Number<kBits, kSigned> operator>>(const Number<kBits, kSigned> &a, const T &by) {
  const int n = static_cast<int>(by);
  return Number<kBits, kSigned>::wrap(n < 0 ? a.value << -n : a.value >> n);
}
