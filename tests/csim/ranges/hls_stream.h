// A FIFO that never blocks
#pragma once

#include <queue>

namespace hls {

template <class T>
class stream {
 public:
  explicit stream(const char *) {}
  bool empty() const { return items_.empty(); }
  void write(const T &item) { items_.push(item); }
  T read() {
    const T item = items_.front();
    items_.pop();
    return item;
  }

 private:
  std::queue<T> items_;
};

}  // namespace hls
