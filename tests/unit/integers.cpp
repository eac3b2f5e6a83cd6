// Prints what ap_int and ap_uint do, for test_recurrence.py to compare two headers of that name.
#include <ap_int.h>

#include <cstdio>

enum Three { kOne = 1, kTwo = 2 };

long state = 1;
long draw() {
  state = (state * 1103515245L + 12345L) & 0x7fffffffL;
  return state - 0x40000000L;
}

// Wide enough for all results below
template <class T>
void print(const char *what, const T &result) {
  const ap_int<64> wide = result;
  std::printf("%s %ld\n", what, long(wide));
}

template <class A, class B>
void both(A a, B b) {
  print("+", a + b);
  print("-", a - b);
  print("*", a * b);
  print("&", a & b);
  print("|", a | b);
  print("^", a ^ b);
  print("<", a < b);
  print("<=", a <= b);
  print(">", a > b);
  print(">=", a >= b);
  print("==", a == b);
  print("!=", a != b);
  if (b > 0) {  // of what has a sign the public header is not sure
    print("/", a / b);
    print("%", a % b);
  }
  print("?", a < b ? ap_int<40>(a) : ap_int<40>(b));
}

template <class T>
void one(T a) {
  const int by = int(draw() & 3);
  print("-", -a);
  print("~", ~a);
  print("!", !a);
  print("<<", a << by);
  print(">>", a >> by);
  print("if", a ? 1 : 0);
  print("enum", a == kTwo);
  const T kept = a;
  print("range", kept.range(3, 1));
  print("all", kept.range(T::width - 1, 0));
  T b = a;
  b += 5;
  print("+=", b);
  b -= 9;
  print("-=", b);
  ++b;
  print("++", b);
  b.range(2, 1) = draw() & 3;
  print("range =", b);
  b.range(T::width - 1, 0) = draw();
  print("all =", b);
  print("wraps", T(draw()));
  print("narrows", ap_uint<3>(a));
  print("widens", ap_int<33>(a));
}

int main() {
  for (int round = 0; round < 40; ++round) {
    const ap_int<7> a = draw();
    const ap_uint<5> b = draw();
    const ap_uint<17> c = draw();
    const ap_int<24> d = draw();
    one(a), one(b), one(c), one(d);
    both(a, b), both(b, a), both(b, c), both(c, d), both(a, d), both(d, d);
    both(a, int(draw())), both(c, int(draw() & 15)), both(d, draw()), both(b, unsigned(draw()));
    both(a, draw() > 0);
  }
}
