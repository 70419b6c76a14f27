// Vectors of the width of the instruction set, in the compiler's own portable vector types.
//
// Everything here has to live in a namespace of its own for each instruction set: the linker keeps one of several equal
// inline functions, and must never keep the AVX-512 one for an older processor. For the same reason no code of the
// standard library that could become a function is used in the kernels.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace gatewise::GATEWISE_ISA {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
constexpr int kRegisters = 32;
#elif defined(__AVX__)
constexpr int kBytes = 32;
constexpr int kRegisters = 16;
#else
constexpr int kBytes = 16;
constexpr int kRegisters = 16;
#endif

#define GATEWISE_INLINE inline __attribute__((always_inline))

template <class T> struct VectorOf;
template <> struct VectorOf<float> {
  typedef float Type __attribute__((vector_size(kBytes)));
  typedef float Unaligned __attribute__((vector_size(kBytes), aligned(4), may_alias));
  typedef int Bits __attribute__((vector_size(kBytes)));
  typedef unsigned Unsigned __attribute__((vector_size(kBytes)));
};
template <> struct VectorOf<double> {
  typedef double Type __attribute__((vector_size(kBytes)));
  typedef double Unaligned __attribute__((vector_size(kBytes), aligned(8), may_alias));
  typedef long long Bits __attribute__((vector_size(kBytes)));
};

template <class T> using Vector = typename VectorOf<T>::Type;
template <class T> constexpr int kLanes = kBytes / static_cast<int>(sizeof(T));

template <class T> GATEWISE_INLINE T least(T a, T b) { return a < b ? a : b; }
template <class T> GATEWISE_INLINE T most(T a, T b) { return a > b ? a : b; }
GATEWISE_INLINE long blocks(long n, long size) { return (n + size - 1) / size; }

template <class T> GATEWISE_INLINE Vector<T> load(const T *p) {
  return *reinterpret_cast<const typename VectorOf<T>::Unaligned *>(p);
}
template <class T> GATEWISE_INLINE void store(T *p, Vector<T> v) {
  *reinterpret_cast<typename VectorOf<T>::Unaligned *>(p) = v;
}
// Past the caches, for what nobody reads soon: a line that is written whole is then not read first. p is aligned to a vector.
// `streamed` ends such a series, before another thread may read it.
template <class T> GATEWISE_INLINE void stream(T *p, Vector<T> v) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i *>(p), (__m512i)v);
#elif defined(__AVX__)
  _mm256_stream_si256(reinterpret_cast<__m256i *>(p), (__m256i)v);
#elif defined(__SSE2__)
  _mm_stream_si128(reinterpret_cast<__m128i *>(p), (__m128i)v);
#else
  store(p, v);
#endif
}
GATEWISE_INLINE void streamed() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}
// The first `count` lanes; the others are zero, or left alone.
template <class T> GATEWISE_INLINE Vector<T> load(const T *p, long count) {
  if (count >= kLanes<T>) return load(p);
#if defined(__AVX512F__)
  const unsigned mask = (1u << most(count, 0L)) - 1;
  if constexpr (sizeof(T) == 4) return (Vector<T>)_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p);
  else return (Vector<T>)_mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), p);
#else
  Vector<T> v{};
  for (long j = 0; j < count; ++j) v[j] = p[j];
  return v;
#endif
}
template <class T> GATEWISE_INLINE void store(T *p, Vector<T> v, long count) {
  if (count >= kLanes<T>) return store(p, v);
#if defined(__AVX512F__)
  const unsigned mask = (1u << most(count, 0L)) - 1;
  if constexpr (sizeof(T) == 4) _mm512_mask_storeu_ps(p, static_cast<__mmask16>(mask), (__m512)v);
  else _mm512_mask_storeu_pd(p, static_cast<__mmask8>(mask), (__m512d)v);
#else
  for (long j = 0; j < count; ++j) p[j] = v[j];
#endif
}
// x - 0, which unlike x + 0 is x for every x, so that the compiler leaves only the broadcast.
template <class T> GATEWISE_INLINE Vector<T> splat(T x) { return x - Vector<T>{}; }

template <class T> GATEWISE_INLINE T total(Vector<T> v) {
  T sum = 0;
  for (int lane = 0; lane < kLanes<T>; ++lane) sum += v[lane];
  return sum;
}
// v with zeros from lane `count` on.
template <class T> GATEWISE_INLINE Vector<T> first_lanes(Vector<T> v, long count) {
  for (long lane = count; lane < kLanes<T>; ++lane) v[lane] = T(0);
  return v;
}

}  // namespace gatewise::GATEWISE_ISA
