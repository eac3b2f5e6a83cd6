// vitis JOB WANT: plays the runs of a job on the kernel, as Vitis HLS wants a test bench to, and
// holds each result against the one that is wanted; any difference is a non-zero exit. Main of both
// its C simulation and its cosimulation, and compiled by g++ too.
#include <cstdio>
#include <exception>

#include "kernel/top.hpp"
#include "tb/job.hpp"
#include "tb/streams.hpp"

namespace {

// The runs before have emptied the streams, or this one finds what they left.
bool plays_right(const job::Run &run, const job::Result &want, std::size_t number) {
  static lstm::Axis weights("weights"), x("x"), h("h");
  streams::fill(weights, run.weights);
  streams::fill(x, run.x);
  std::uint32_t window[lstm::kWindowWords] = {};
  if (run.program.size() > lstm::kWindowWords) throw std::runtime_error("the program is too long");
  for (std::size_t i = 0; i < run.program.size(); ++i) window[i] = run.program[i];

  std::uint32_t identity = 0, status = 0, cycles = 0;
  lstm_sharp(weights, x, h, window, &identity, &status, &cycles);

  std::vector<std::uint8_t> bytes;
  const bool last_ok = streams::empty(h, bytes);
  std::size_t differ = 0;
  for (std::size_t at = 0; at < bytes.size() && at < want.h.size(); ++at) {
    differ += bytes[at] != want.h[at];
  }
  const bool left = !weights.empty() || !x.empty();
  const bool right = identity == want.identity && status == want.status && cycles == want.cycles &&
                     last_ok == want.last_ok && bytes.size() == want.h.size() && differ == 0 &&
                     !left;
  std::printf(
      "run %zu: %s: %zu of %zu bytes of h, %zu differ; identity %08x, status %u, %u slots%s\n",
      number, right ? "right" : "WRONG", bytes.size(), want.h.size(), differ, identity, status,
      cycles, left ? "; beats were left in a stream" : "");
  return right;
}

}  // namespace

int main(int argc, char **argv) try {
  if (argc != 3) return std::fprintf(stderr, "usage: %s JOB WANT\n", argv[0]), 2;
  const std::vector<job::Run> runs = job::read_job(argv[1]);
  const std::vector<job::Result> want = job::read_results(argv[2]);
  if (runs.empty() || runs.size() != want.size()) {
    throw std::runtime_error("there must be a result for each run, and a run");
  }
  std::size_t wrong = 0;
  for (std::size_t n = 0; n < runs.size(); ++n) wrong += !plays_right(runs[n], want[n], n + 1);
  std::printf("%zu of %zu runs are wrong\n", wrong, runs.size());
  return wrong == 0 ? 0 : 1;
} catch (const std::exception &error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
