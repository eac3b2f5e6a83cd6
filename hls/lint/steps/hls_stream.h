// A FIFO's name alone: no update that is measured reads or writes one.
#pragma once

namespace hls {

template <class T>
class stream {
 public:
  explicit stream(const char *);
  bool empty() const;
  void write(const T &);
  T read();
};

}  // namespace hls
