// csim JOB RESULT: plays the runs of a job on the C++ kernel.
#include "tb/kernel.hpp"

int main(int argc, char **argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: %s JOB RESULT\n", argv[0]), 2;
  return job::play_all("csim: ", argv[1], argv[2], [](const job::Run &run, bool) {
    bool left = false;
    const job::Result result = kernel::play(run, left);
    if ((result.status & 0xff) == 0 && left)
      throw std::runtime_error("the run left beats in a stream");
    return result;
  });
}
