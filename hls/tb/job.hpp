// Jobs and results of a simulated engine, the C++ half of host/lstm_sharp/flow/jobs.py, which says
// what the files look like. Plain C++14 without a line of the engine: csim and the Verilated
// harness share it.
#pragma once

#include <csignal>
#include <cstdint>
#include <cstdio>
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

// Reads what a job or results begin with; returns how many items follow.
inline std::uint64_t read_head(std::istream &in, const char *magic, const std::string &complaint) {
  char head[8];
  in.read(head, sizeof head);
  if (!in || std::string(head, sizeof head) != magic) throw std::runtime_error(complaint);
  return read_count(in);
}

// Reads an item: five counts, and what they say of it.
template <class Item, class Read>
Item read_item(std::istream &in, Read read) {
  std::uint64_t counts[5];
  for (std::uint64_t &count : counts) count = read_count(in);
  Item item;
  if (in) read(counts, item);
  if (!in) throw std::runtime_error("the file ends too early");
  return item;
}

inline Run read_run(std::istream &in) {
  return read_item<Run>(in, [&](const std::uint64_t *counts, Run &run) {
    run.h_bytes = counts[3];
    run.cycles = counts[4];
    run.program = read_items<std::uint32_t>(in, counts[0]);
    run.weights = read_items<std::uint8_t>(in, counts[1]);
    run.x = read_items<std::uint8_t>(in, counts[2]);
  });
}

inline Result read_result(std::istream &in) {
  return read_item<Result>(in, [&](const std::uint64_t *counts, Result &result) {
    result.status = static_cast<std::uint32_t>(counts[0]);
    result.identity = static_cast<std::uint32_t>(counts[1]);
    result.cycles = counts[2];
    result.last_ok = counts[3] != 0;
    result.h = read_items<std::uint8_t>(in, counts[4]);
  });
}

inline std::vector<Run> read_job(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<Run> runs(read_head(in, kJobMagic, path + " is not a job"));
  for (Run &run : runs) run = read_run(in);
  return runs;
}

inline std::vector<Result> read_results(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<Result> results(read_head(in, kResultMagic, path + " holds no results"));
  for (Result &result : results) result = read_result(in);
  return results;
}

inline void write_result(std::ostream &out, const Result &result) {
  const std::uint64_t last_ok = result.last_ok, bytes = result.h.size();
  for (std::uint64_t count : {std::uint64_t(result.status), std::uint64_t(result.identity),
                              result.cycles, last_ok, bytes}) {
    write_count(out, count);
  }
  out.write(reinterpret_cast<const char *>(result.h.data()),
            static_cast<std::streamsize>(result.h.size()));
}

// Plays one job after the other until there is no more; returns an exit status. Each result is
// there before the next run is read, so that job and result may be pipes with one who waits at
// their other ends. The last run of a job is told that it is.
template <class Play>
int play_all(const char *who, const std::string &job, const std::string &result, Play play) {
  // Whoever feeds it ends it: Ctrl-C, which a terminal sends to both, is not meant for an engine.
  if (job == "/dev/stdin") std::signal(SIGINT, SIG_IGN);
  std::uint64_t number = 1;
  try {
    std::ifstream in(job, std::ios::binary);
    std::ofstream out(result, std::ios::binary);
    do {
      const std::uint64_t runs = read_head(in, kJobMagic, job + " is not a job");
      out.write(kResultMagic, 8);
      write_count(out, runs);
      for (number = 1; number <= runs; ++number) {
        write_result(out, play(read_run(in), number == runs));
        if (!out.flush()) throw std::runtime_error("cannot write " + result);
      }
    } while (in.peek() != std::ifstream::traits_type::eof());
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%srun %llu: %s\n", who, static_cast<unsigned long long>(number),
                 error.what());
    return 1;
  }
  return 0;
}

}  // namespace job
