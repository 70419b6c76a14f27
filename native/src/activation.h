// sigmoid and tanh of vectors. In units of the last place the error of tanh is below 5, also near zero, that of sigmoid
// below 2 (1 + |x|). NaN stays NaN and an infinity gives the limit.
//
// 2^t = 2^n (1 + f q(f)), n = round(t), f = t - n in [-1/2, 1/2]; q is the polynomial that meets (2^f - 1)/f at the
// Chebyshev nodes. tanh(x) = m / (m + 2) with m = e^{2x} - 1, which keeps its digits where m is small.
#pragma once

#include "vector.h"

#define GATEWISE_PRAGMA(text) _Pragma(#text)
#define GATEWISE_EACH(k, n) GATEWISE_PRAGMA(GCC unroll 16) for (int k = 0; k < (n); ++k)

namespace gatewise::GATEWISE_ISA {

template <class T> struct Exp2;
template <> struct Exp2<float> {
  static constexpr float kShift = 12582912.0f + 127.0f;  // 1.5 * 2^23 rounds to a whole number; 127 is the bias
  static constexpr int kMantissa = 23;
  static constexpr float kLimit = 126.0f;
  static constexpr float kTanhLimit = 9.02f;  // tanh rounds to 1 from here
  static constexpr float kQ[] = {0.69314718802622878f,   0.24022650760568126945f, 0.055503571142190778186f,
                                 0.0096180825572778515f, 0.0013390863364671234f,  0.00015453162945120690f};
};
template <> struct Exp2<double> {
  static constexpr double kShift = 6755399441055744.0 + 1023.0;  // 1.5 * 2^52
  static constexpr int kMantissa = 52;
  static constexpr double kLimit = 1022.0;
  static constexpr double kTanhLimit = 19.1;
  static constexpr double kQ[] = {0.69314718055994530925,    0.24022650695910071233,   0.055504108664821627039,
                                  0.0096181291076284794928,  0.0013333558146406470697, 0.00015403530393370733411,
                                  0.000015252733841556772589, 1.321548680870556279e-6, 1.0178057087733941105e-7,
                                  7.0548973041554992774e-9,  4.455817908336064493e-10, 2.5729324177362304214e-11};
};

// x between -limit and limit; NaN stays. The processor's minimum and maximum give their second operand where one is NaN.
template <class T> GATEWISE_INLINE Vector<T> clamp(Vector<T> x, T limit) {
  const Vector<T> low = splat(-limit), high = splat(limit);
#if defined(__AVX512F__)
  constexpr __mmask16 kAll = 0xffff;  // GCC warns of the intrinsics without a mask
  if constexpr (sizeof(T) == 4)
    return (Vector<T>)_mm512_maskz_min_ps(kAll, (__m512)high, _mm512_maskz_max_ps(kAll, (__m512)low, (__m512)x));
#elif defined(__AVX__)
  if constexpr (sizeof(T) == 4)
    return (Vector<T>)_mm256_min_ps((__m256)high, _mm256_max_ps((__m256)low, (__m256)x));
#elif defined(__SSE2__)
  if constexpr (sizeof(T) == 4) return (Vector<T>)_mm_min_ps((__m128)high, _mm_max_ps((__m128)low, (__m128)x));
#endif
  x = x < low ? low : x;  // a comparison with NaN is false
  return x > high ? high : x;
}

// scale = 2^n and part = 2^f - 1 with n + f = t, |t| <= kLimit, for N vectors side by side: one alone is a long chain of
// operations, and a processor that is handed chains one after the other waits for the first with the last out of its sight.
template <class T, int N> GATEWISE_INLINE void exp2_parts(Vector<T> (&t)[N], Vector<T> (&scale)[N], Vector<T> (&part)[N]) {
  using E = Exp2<T>;
  constexpr int n = sizeof(E::kQ) / sizeof(T);
  Vector<T> shifted[N];
  GATEWISE_EACH(k, N) shifted[k] = t[k] + E::kShift;
  GATEWISE_EACH(k, N) t[k] -= shifted[k] - E::kShift;
  GATEWISE_EACH(k, N) scale[k] = (Vector<T>)((typename VectorOf<T>::Bits)shifted[k] << E::kMantissa);
  GATEWISE_EACH(k, N) part[k] = splat(E::kQ[n - 1]);
#pragma GCC unroll 16
  for (int term = n - 2; term >= 0; --term) GATEWISE_EACH(k, N) part[k] = part[k] * t[k] + E::kQ[term];
  GATEWISE_EACH(k, N) part[k] *= t[k];
}

template <class T, int N> GATEWISE_INLINE void reciprocals(Vector<T> (&x)[N], Vector<T> (&out)[N]) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {  // 14 bits, then one step of Newton's iteration
    GATEWISE_EACH(k, N) out[k] = (Vector<T>)_mm512_maskz_rcp14_ps(0xffff, (__m512)x[k]);
    GATEWISE_EACH(k, N) x[k] = T(1) - x[k] * out[k];
    GATEWISE_EACH(k, N) out[k] += out[k] * x[k];
    return;
  }
#endif
  GATEWISE_EACH(k, N) out[k] = T(1) / x[k];
}

// In place: sigmoid of the first S vectors, tanh of the others.
template <class T, int S, int N> GATEWISE_INLINE void sigmoids_tanhs(Vector<T> (&x)[N]) {
  Vector<T> scale[N], part[N];
  GATEWISE_EACH(k, N)
    x[k] = k < S ? clamp<T>(x[k] * T(-1.4426950408889634074), Exp2<T>::kLimit)
                 : clamp<T>(x[k], Exp2<T>::kTanhLimit) * T(2.8853900817779268147);
  exp2_parts<T, N>(x, scale, part);
  GATEWISE_EACH(k, N) part[k] = scale[k] * part[k] + (scale[k] + T(k < S ? 1 : -1));  // 1 + e^-x, or m
  GATEWISE_EACH(k, N) x[k] = k < S ? part[k] : part[k] + T(2);
  reciprocals<T, N>(x, scale);
  GATEWISE_EACH(k, N) x[k] = k < S ? scale[k] : part[k] * scale[k];
}

template <class T> GATEWISE_INLINE Vector<T> sigmoid(Vector<T> x) {
  Vector<T> only[1] = {x};
  sigmoids_tanhs<T, 1>(only);
  return only[0];
}

template <class T> GATEWISE_INLINE Vector<T> tanh(Vector<T> x) {
  Vector<T> only[1] = {x};
  sigmoids_tanhs<T, 0>(only);
  return only[0];
}

}  // namespace gatewise::GATEWISE_ISA
