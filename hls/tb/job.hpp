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

// Reads a file: its magic, the count of its items, and each item.
template <class Item, class Read>
std::vector<Item> read_file(const std::string &path, const char *magic, const char *other,
                            Read read) {
  std::ifstream in(path, std::ios::binary);
  char head[8];
  in.read(head, sizeof head);
  if (!in || std::string(head, sizeof head) != magic) throw std::runtime_error(path + other);
  std::vector<Item> items(read_count(in));
  for (Item &item : items) {
    std::uint64_t counts[5];
    for (std::uint64_t &count : counts) count = read_count(in);
    if (in) read(in, counts, item);
  }
  if (!in) throw std::runtime_error(path + " ends too early");
  return items;
}

inline std::vector<Run> read_job(const std::string &path) {
  return read_file<Run>(path, kJobMagic, " is not a job",
                        [](std::istream &in, const std::uint64_t *counts, Run &run) {
                          run.h_bytes = counts[3];
                          run.cycles = counts[4];
                          run.program = read_items<std::uint32_t>(in, counts[0]);
                          run.weights = read_items<std::uint8_t>(in, counts[1]);
                          run.x = read_items<std::uint8_t>(in, counts[2]);
                        });
}

inline std::vector<Result> read_results(const std::string &path) {
  return read_file<Result>(path, kResultMagic, " holds no results",
                           [](std::istream &in, const std::uint64_t *counts, Result &result) {
                             result.status = static_cast<std::uint32_t>(counts[0]);
                             result.identity = static_cast<std::uint32_t>(counts[1]);
                             result.cycles = counts[2];
                             result.last_ok = counts[3] != 0;
                             result.h = read_items<std::uint8_t>(in, counts[4]);
                           });
}

inline void write_results(const std::string &path, const std::vector<Result> &results) {
  std::ofstream out(path, std::ios::binary);
  out.write(kResultMagic, 8);
  write_count(out, results.size());
  for (const Result &result : results) {
    const std::uint64_t last_ok = result.last_ok, bytes = result.h.size();
    for (std::uint64_t count : {std::uint64_t(result.status), std::uint64_t(result.identity),
                                result.cycles, last_ok, bytes}) {
      write_count(out, count);
    }
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
