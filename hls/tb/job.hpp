// Jobs and results of a simulated engine, the C++ half of host/lstm_sharp/flow/jobs.py, which says
// what the files look like. Plain C++14 without a line of the engine: csim and the Verilated
// harness share it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace job {

struct Run {
  std::vector<std::uint32_t> program;
  std::vector<std::uint8_t> weights;
  std::vector<std::uint8_t> x;
  std::uint64_t h_bytes;  // expected
  std::uint64_t cycles;   // most that it may take; 0: as many as it likes
};

struct Result {
  std::uint32_t status;
  std::uint32_t identity;
  std::uint64_t cycles;
  std::vector<std::uint8_t> h;
  bool last_ok;  // TLAST came with the last beat, and with no other
};

constexpr char kJobMagic[] = "LSTMJOB2";
constexpr char kResultMagic[] = "LSTMRES1";

inline std::uint64_t read_count(std::istream &in) {
  unsigned char bytes[8];
  in.read(reinterpret_cast<char *>(bytes), sizeof bytes);
  std::uint64_t count = 0;
  for (int b = 7; b >= 0; --b) count = count << 8 | bytes[b];
  return count;
}

inline void write_count(std::ostream &out, std::uint64_t count) {
  for (int b = 0; b < 8; ++b) out.put(static_cast<char>(count >> 8 * b));
}

// Reads count items as they lie in memory: little endian, like every machine that runs this.
template <class T>
std::vector<T> read_items(std::istream &in, std::uint64_t count) {
  std::vector<T> items(count);
  in.read(reinterpret_cast<char *>(items.data()), static_cast<std::streamsize>(count * sizeof(T)));
  return items;
}

inline std::vector<Run> read_job(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  char magic[8];
  in.read(magic, sizeof magic);
  if (!in || std::string(magic, sizeof magic) != kJobMagic) {
    throw std::runtime_error(path + " is not a job");
  }
  std::vector<Run> runs(read_count(in));
  for (Run &run : runs) {
    const std::uint64_t words = read_count(in);
    const std::uint64_t weights = read_count(in);
    const std::uint64_t x = read_count(in);
    run.h_bytes = read_count(in);
    run.cycles = read_count(in);
    if (!in) break;
    run.program = read_items<std::uint32_t>(in, words);
    run.weights = read_items<std::uint8_t>(in, weights);
    run.x = read_items<std::uint8_t>(in, x);
  }
  if (!in) throw std::runtime_error(path + " ends too early");
  return runs;
}

inline std::vector<Result> read_results(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  char magic[8];
  in.read(magic, sizeof magic);
  if (!in || std::string(magic, sizeof magic) != kResultMagic) {
    throw std::runtime_error(path + " holds no results");
  }
  std::vector<Result> results(read_count(in));
  for (Result &result : results) {
    result.status = static_cast<std::uint32_t>(read_count(in));
    result.identity = static_cast<std::uint32_t>(read_count(in));
    result.cycles = read_count(in);
    result.last_ok = read_count(in) != 0;
    const std::uint64_t h = read_count(in);
    if (!in) break;
    result.h = read_items<std::uint8_t>(in, h);
  }
  if (!in) throw std::runtime_error(path + " ends too early");
  return results;
}

inline void write_results(const std::string &path, const std::vector<Result> &results) {
  std::ofstream out(path, std::ios::binary);
  out.write(kResultMagic, 8);
  write_count(out, results.size());
  for (const Result &result : results) {
    write_count(out, result.status);
    write_count(out, result.identity);
    write_count(out, result.cycles);
    write_count(out, result.last_ok);
    write_count(out, result.h.size());
    out.write(reinterpret_cast<const char *>(result.h.data()),
              static_cast<std::streamsize>(result.h.size()));
  }
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

// Plays all runs of a job, the last of which is told so, and writes their results; returns an exit
// status. A line on stderr for each finished run, where LSTM_SHARP_PROGRESS is set.
template <class Play>
int play_all(const char *who, const char *job, const char *result, Play play) {
  std::vector<Result> results;
  try {
    const std::vector<Run> runs = read_job(job);
    for (const Run &run : runs) {
      results.push_back(play(run, &run == &runs.back()));
      if (std::getenv("LSTM_SHARP_PROGRESS") == nullptr) continue;
      std::fprintf(stderr, "run %zu/%zu\n", results.size(), runs.size());
      std::fflush(stderr);
    }
    write_results(result, results);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%srun %zu: %s\n", who, results.size() + 1, error.what());
    return 1;
  }
  return 0;
}

}  // namespace job
