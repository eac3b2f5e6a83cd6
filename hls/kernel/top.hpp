// The top function, rendered from templates/hls/top.cpp.j2: the engine's ports.
#pragma once

#include <cstdint>

#include "kernel/types.hpp"

void lstm_sharp(lstm::Axis &weights, lstm::Axis &x, lstm::Axis &h,
                const std::uint32_t program[lstm::kWindowWords], std::uint32_t *identity,
                std::uint32_t *status, std::uint32_t *cycles);
