// vitis JOB WANT: plays the runs of a job on the kernel, as Vitis HLS wants a test bench to, and
// holds each result against the one that is wanted; any difference is a non-zero exit. Main of both
// its C simulation and its cosimulation, and compiled by g++ too.
#include <cstdio>
#include <exception>

#include "tb/kernel.hpp"

namespace {

bool plays_right(const job::Run &run, const job::Result &want, std::size_t number) {
  bool left = false;
  const job::Result got = kernel::play(run, left);
  std::size_t differ = 0;
  for (std::size_t at = 0; at < got.h.size() && at < want.h.size(); ++at) {
    differ += got.h[at] != want.h[at];
  }
  const bool right = got.identity == want.identity && got.status == want.status &&
                     got.cycles == want.cycles && got.last_ok == want.last_ok &&
                     got.h.size() == want.h.size() && differ == 0 && !left;
  std::printf(
      "run %zu: %s: %zu of %zu bytes of h, %zu differ; identity %08x, status %u, %u slots%s\n",
      number, right ? "right" : "WRONG", got.h.size(), want.h.size(), differ, got.identity,
      got.status, static_cast<unsigned>(got.cycles), left ? "; beats were left in a stream" : "");
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
