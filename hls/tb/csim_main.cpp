// csim JOB RESULT: plays the runs of a job on the C++ kernel. Memories keep what they hold from one
// run to the next, as on the chip.
#include <cstdio>
#include <exception>

#include "kernel/top.hpp"
#include "tb/job.hpp"
#include "tb/streams.hpp"

namespace {

job::Result play(const job::Run &run) {
  lstm::Axis weights("weights"), x("x"), h("h");
  streams::fill(weights, run.weights);
  streams::fill(x, run.x);
  std::vector<std::uint32_t> window = run.program;
  if (window.size() > lstm::kWindowWords) throw std::runtime_error("the program is too long");
  window.resize(lstm::kWindowWords);

  job::Result result = {};
  std::uint32_t cycles = 0;
  lstm_sharp(weights, x, h, window.data(), &result.identity, &result.status, &cycles);
  result.cycles = cycles;
  if (result.status == 0 && !(weights.empty() && x.empty())) {
    throw std::runtime_error("the run left beats in a stream");
  }
  result.last_ok = streams::empty(h, result.h);
  return result;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s JOB RESULT\n", argv[0]);
    return 2;
  }
  std::size_t finished = 0;
  try {
    const std::vector<job::Run> runs = job::read_job(argv[1]);
    std::vector<job::Result> results;
    for (const job::Run &run : runs) {
      results.push_back(play(run));
      job::progress(++finished, runs.size());
    }
    job::write_results(argv[2], results);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "csim: run %zu: %s\n", finished + 1, error.what());
    return 1;
  }
  return 0;
}
