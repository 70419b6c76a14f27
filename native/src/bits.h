// The random masks: a function of (seed, stream, time, row, unit) and of nothing else, so that they can be drawn again in
// the backward pass, by any number of threads, and by the definition in Python (gatewise/kernels/random_bits.py).
#pragma once

#include <cstdint>

#include "vector.h"

namespace gatewise::GATEWISE_ISA {

enum class Draw : std::uint64_t { zoneout_c, zoneout_h, dropout_g, dropout_h, weights };

// The finaliser of SplitMix64 (Steele, Lea & Flood 2014).
GATEWISE_INLINE std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

GATEWISE_INLINE std::uint64_t key_of(std::uint64_t seed, Draw stream, long t, long b) {
  const std::uint64_t start = mix(seed + (static_cast<std::uint64_t>(stream) + 1) * 0x9E3779B97F4A7C15u);
  return mix(start + static_cast<std::uint64_t>(t) * 0xD1B54A32D192ED03u + static_cast<std::uint64_t>(b) * 0x8CB92BA72F3D8DD7u);
}

template <class U> GATEWISE_INLINE U low(U x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

GATEWISE_INLINE std::uint32_t threshold_of(double p) { return static_cast<std::uint32_t>(p * 4294967296.0); }

// 1 where the event of probability threshold / 2^32 happens to units j .. j + lanes - 1, else 0.
template <class T> GATEWISE_INLINE Vector<T> events(std::uint64_t key, long j, std::uint32_t threshold);

template <> GATEWISE_INLINE Vector<float> events<float>(std::uint64_t key, long j, std::uint32_t threshold) {
  using U = VectorOf<float>::Unsigned;
  U unit;
  for (int lane = 0; lane < kLanes<float>; ++lane) unit[lane] = static_cast<std::uint32_t>(lane);
  unit += static_cast<std::uint32_t>(j) + static_cast<std::uint32_t>(key);
  U bits = low<U>(low<U>(unit) ^ (U{} + static_cast<std::uint32_t>(key >> 32)));
  return bits < U{} + threshold ? splat(1.0f) : splat(0.0f);
}

template <> GATEWISE_INLINE Vector<double> events<double>(std::uint64_t key, long j, std::uint32_t threshold) {
  Vector<double> out;
  for (int lane = 0; lane < kLanes<double>; ++lane) {
    const std::uint32_t unit = static_cast<std::uint32_t>(j + lane) + static_cast<std::uint32_t>(key);
    out[lane] = low(low(unit) ^ static_cast<std::uint32_t>(key >> 32)) < threshold ? 1.0 : 0.0;
  }
  return out;
}

}  // namespace gatewise::GATEWISE_ISA
