/* KernelTable: what one instruction set offers, as plain function pointers.
 *
 * This header is included by code compiled for one instruction set only, so it holds C declarations and nothing
 * from the C++ library (an inline function compiled twice would be one symbol, and the linker might keep the
 * copy that older machines cannot run).
 *
 * Numerics. Every table computes every function here to the same bits, with the exceptions named below: an
 * output element is owned by one of 16 lanes, which adds its terms in the order of k with fused multiply-adds, whatever
 * the batch, the thread or the width of the registers.
 *   quantised weights:  the activation row is cut into blocks of 32, each scaled to int8 (scale amax / 127);
 *                       acc = fma(float(sum of int8 products), d_w * d_x, acc), one step per block of 32 (or 16);
 *                       formats with a minimum add acc = fma(m_w, d_x * sum(x), acc).
 *   float weights:      acc = fma(w[k], x[k], acc), k = 0, 1, 2, ...
 * Gradients meet weights, and inputs, in the same two ways (MatmulTransposedArgs, WeightGradientArgs).
 * Two exceptions, both with AMX: BF16 weights multiply activations rounded to bf16 (tdpbf16ps), at every batch size;
 * matmul_transposed multiplies weights and gradients rounded to bf16. Their sums are f32.
 *
 * Shapes. T tokens, N outputs (rows of the weight), K inputs. A "group" is 16 consecutive rows of a weight.
 * Threads. All functions are pure on their arguments; callers give each thread its own outputs and scratch. */
#pragma once

#include <stdint.h>

namespace andiron {

/* How packed weights are stored; see kernels/packing.h for the layouts. Numbers are written to the cache file. */
enum PackedFormat : uint32_t {
  kPackedF32 = 0,
  kPackedF16,
  kPackedBF16,
  kPackedQ4_0,
  kPackedQ4_1,
  kPackedQ5_0,
  kPackedQ5_1,
  kPackedQ8_0,
  kPackedQ2_K,
  kPackedQ3_K,
  kPackedQ4_K,
  kPackedQ5_K,
  kPackedQ6_K,
  kPackedIQ4_NL,
  kPackedIQ4_XS,
  kPackedFormatCount,
};

constexpr int kGroupRows = 16;

/* T activation rows, ready to be multiplied. Float formats read `f32`, quantised ones the rest. */
struct Activations {
  const float* f32;     /* [T, K] */
  const int8_t* q8;     /* [T, K] in [-127, 127] */
  const uint8_t* u8;    /* [T, K] q8 + 128: the unsigned operand of vpdpbusd */
  const float* scale;   /* [T, K/32] d_x */
  const int32_t* sum16; /* [T, K/16] sums of q8 over 16 elements */
  const float* dsum32;  /* [T, K/32] d_x times the sum over 32 */
  const float* dsum16;  /* [T, K/16] d_x times the sum over 16 */
  int64_t tokens;       /* T */
  int64_t k;            /* K */
};

/* Where one quantised activation row goes; the fields of Activations for one token. */
struct QuantizedRow {
  int8_t* q8;
  uint8_t* u8;
  float* scale;
  int32_t* sum16;
  float* dsum32;
  float* dsum16;
};

/* y[t, n] for the groups [group_begin, group_end) of one packed weight. */
struct MatmulArgs {
  const uint8_t* weight; /* first group of the matrix */
  int64_t group_begin, group_end;
  Activations x;
  float* y;        /* [T, ldy]; columns [16 * group_begin, 16 * group_end) are written, all 16 of each group */
  int64_t ldy;     /* floats between rows of y */
  void* scratch;   /* kMatmulScratchBytes, 64-byte aligned, one per thread */
  bool accumulate; /* F32 and F16 weights only: the sums begin with what y holds */
};
constexpr int kMatmulScratchBytes = 384 * 1024;

/* C = A B or C += A B in f32, where A(i, l) = a[i * a_row + l * a_col]: one stride is usually 1, the other the row
 * length of A or A^T. An element adds its terms in the order of k with fused multiply-adds, beginning from 0 or from
 * what C holds: a caller that cuts k into pieces and accumulates gets the same bits. C overlaps neither A nor B. */
struct GemmArgs {
  int64_t m, n, k;
  const float* a;
  int64_t a_row, a_col;
  const float* b; /* [k, n], ldb floats between rows */
  int64_t ldb;
  float* c; /* [m, n], ldc floats between rows; nothing between the rows is touched */
  int64_t ldc;
  bool accumulate;
  void* scratch; /* kMatmulScratchBytes, 64-byte aligned, one per thread */
};

/* dx += dy W for columns [k_begin, k_end) of a packed weight, which is unpacked once for all tokens of the call, with
 * the bits that decode_row of tensor/quantize.h gives.
 *
 * Float weights: dx[t, k] begins with what it holds and adds W[n, k] dy[t, n] in the order of n.
 *
 * Quantised weights: the sum is cut into blocks of 128 rows. In each, dy (quantize_gradient) and every
 * column of W are rounded to 8 bits, against the largest magnitude; the products and their sum are whole numbers, and
 * dx = fma(float(sum), d_y * d_w, dx), one step for each block. Numbers that are not finite make the block's part NaN.
 *
 * AMX reads dy for all formats. */
constexpr int kGradientBlock = 128;
constexpr float kGradientMax = 127, kGradientWeightMax = 127;
constexpr int kGradientBytesMax = 2; /* a rounded number may take */
struct MatmulTransposedArgs {
  const uint8_t* weight;  /* its first group */
  int64_t n, k;           /* N rows of K numbers */
  int64_t k_begin, k_end; /* multiples of 32; k_end may be K */
  const float* dy;        /* [tokens, N], `ld_dy` floats between rows */
  int64_t ld_dy;
  const void* q; /* [tokens, N] as quantize_gradient gives it, `ld_q` numbers between rows, zeros to whole blocks; read
                    for quantised weights where the table rounds_gradients */
  int64_t ld_q;
  const float* scale; /* [tokens, ceil(N / 128)] d_y */
  int64_t tokens;
  float* dx; /* [tokens, K], `ld_dx` floats between rows; nothing but the columns asked for is touched */
  int64_t ld_dx;
  void* scratch; /* kMatmulScratchBytes, 64-byte aligned, one per thread */
};

/* dW += dY^T X, rows [n_begin, n_end) and columns [k_begin, k_end), in whole numbers: as for quantised weights above,
 * with blocks of 128 tokens in the place of 128 rows, and every column of X rounded in each. */
struct WeightGradientArgs {
  int64_t n_begin, n_end; /* of N rows */
  int64_t k_begin, k_end; /* of K columns; multiples of 16 */
  const void* q;          /* [ceil(tokens / 128)][N][128] dY^T as quantize_gradient gives it */
  const float* scale;     /* [ceil(tokens / 128)][N] */
  int64_t n;              /* N */
  int64_t tokens;
  const float* x; /* [tokens, K], `ld_x` floats between rows */
  int64_t ld_x;
  float* dw; /* [N, K], `ld_dw` floats between rows */
  int64_t ld_dw;
  void* scratch; /* kMatmulScratchBytes, 64-byte aligned, one per thread */
};

/* One step of AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), with g = gradient_scale * gradient:
 *   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
 *   value = value - rate * (weight_decay * value + (m / correction1) / (sqrt(v / correction2) + eps)) */
struct AdamWArgs {
  float rate, beta1, beta2, eps, weight_decay;
  float correction1, correction2; /* 1 - beta^step, steps from 1 */
  float gradient_scale;           /* 1, or what clipping and averaging make of it */
};

/* AdamW's state in 8 bits (after Dettmers et al. 2022, arXiv 2110.02861: blocks with a scale of their own, codes dense
 * near zero). Per block of kAdamW8Block numbers, with the block's largest magnitudes m_scale and v_scale:
 *   m = m_scale * sign(q) * (q / 127)^2, q in [-127, 127];  v = v_scale * (q / 255)^4, q in [0, 255].
 * A v above zero never becomes the code 0: the step divides by its root. Zeros are the state before the first step. */
constexpr int kAdamW8Block = 256;
struct AdamW8State {
  int8_t* m;      /* [n] */
  uint8_t* v;     /* [n] */
  float* m_scale; /* [ceil(n / kAdamW8Block)] */
  float* v_scale; /* the same */
};

/* Up to this many tokens a weight is streamed and used once per block (bound by memory); beyond it groups are
 * unpacked into the L1 cache and used for all tokens (bound by arithmetic). Both give the same bits. */
constexpr int kStreamTokensMax = 8;

/* The cache of keys and values lies in pages of kAttentionTile positions, anywhere in memory. A page has the keys of a
 * layer and kv head in one piece and their values in another; layouts: generic/attention-inl.h. */
enum KvFormat : uint32_t { kKvF16 = 0, kKvQ8_0 = 1 };
constexpr int kKvBlock = 16, kAttentionTile = 64, kAttentionRowsMax = 8;

struct AttentionArgs {
  /* [positions / kAttentionTile]; looked at are those from the first with a visible position to the last */
  const uint8_t* const* pages;
  int64_t keys, values; /* in every page: where this head's pieces begin, in bytes */
  KvFormat format;
  int32_t head_dim;                  /* D, a multiple of 16 (of 32 for q8_0), at most 512 */
  int32_t rows;                      /* R query rows that share this kv head, 1 to kAttentionRowsMax */
  const float* q[kAttentionRowsMax]; /* row r: [D] */
  float* out[kAttentionRowsMax];     /* row r: [D] */
  int64_t begin[kAttentionRowsMax];  /* row r sees positions [begin[r], end[r]) ... */
  int64_t end[kAttentionRowsMax];    /* ... of which there is at least one */
  float scale;                       /* multiplies q . k */
  float softcap;                     /* 0: none; else s = softcap * tanh(s / softcap) */
  float* scratch;                    /* kAttentionScratchFloats, 64-byte aligned, one per thread */
  float* lse;                        /* null, or [rows]: log of the sum of e^s over the scores s that row r sees */
};
constexpr int kAttentionScratchFloats = kAttentionRowsMax * kAttentionTile;

struct ScoresBackwardArgs {
  float scale, softcap; /* as in AttentionArgs */
  float lse, sum;       /* of the row: log of the sum of e^z; sum of out * dout */
  int64_t first, end;   /* of the n scores, those that the row sees */
};

enum PeakKind : uint32_t { kPeakInt8 = 0, kPeakBF16 = 1, kPeakF32 = 2 };

struct KernelTable {
  const char* name;

  void (*matmul[kPackedFormatCount])(const MatmulArgs*);
  void (*matmul_transposed[kPackedFormatCount])(const MatmulTransposedArgs*);
  bool rounds_gradients; /* for quantised weights; else matmul_transposed reads dy as it is */
  int gradient_bytes;    /* of a rounded number */
  /* One row of dy [n] in blocks of 128: q in [-127, 127], in a form of the table's own, zeros up to a whole block;
   * scale [ceil(n / 128)], NaN (and zeros in q) where a number is not finite, 0 where all are below 1e-30. To the
   * nearest; where it `dithers`, up or down so that the mean is exact, by numbers drawn from the row's own bits. */
  void (*quantize_gradient)(const float* dy, int64_t n, void* q, float* scale, bool dithers);
  void (*weight_gradient)(const WeightGradientArgs*);
  void (*gemm)(const GemmArgs*);

  /* One row of activations, x [K], K a multiple of 32; `out` points to the places of this row. A block of zeros has
   * scale 0. */
  void (*quantize_row)(const float* x, int64_t k, const QuantizedRow* out);

  /* y = x / sqrt(mean(x^2) + eps) * w */
  void (*rms_norm)(const float* x, const float* w, float eps, int64_t n, float* y);
  void (*add)(const float* a, const float* b, int64_t n, float* y);
  void (*scale)(const float* a, float s, int64_t n, float* y);
  void (*scale_add)(const float* a, float s, int64_t n, float* y); /* y += s * a */
  /* to[j * ld_to + i] = from[i * ld_from + j], i < rows, j < cols; the two do not overlap. */
  void (*transpose)(const float* from, int64_t ld_from, int64_t rows, int64_t cols, float* to, int64_t ld_to);
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* y); /* silu(gate) * up */
  void (*gelu_mul)(const float* gate, const float* up, int64_t n, float* y); /* gelu_tanh(gate) * up */
  void (*softcap)(const float* x, float cap, int64_t n, float* y);
  /* In place: numbers to probabilities; n >= 1. */
  void (*softmax)(float* x, int64_t n);

  void (*exp_sub)(const float* x, float s, int64_t n, float* y); /* y = e^(x - s) */
  /* The sum of a[i] b[i]: products exact, sums in double. dot(x, x, n) is the sum of squares. */
  double (*dot)(const float* a, const float* b, int64_t n);

  /* Backward passes. Each adds to its outputs, which overlap no input. */
  void (*rms_norm_backward)(const float* x, const float* w, float eps, int64_t n, const float* dy, float* dx,
                            float* dw /* may be null */);
  void (*silu_mul_backward)(const float* gate, const float* up, int64_t n, const float* dy, float* dgate, float* dup);
  void (*gelu_mul_backward)(const float* gate, const float* up, int64_t n, const float* dy, float* dgate, float* dup);
  void (*softcap_backward)(const float* y, float cap, int64_t n, const float* dy, float* dx); /* y: the output */

  /* One row of attention, scores s [n] and the gradients dp [n] of what they became, both in place: with
   * z = softcap(scale s) (0: no cap), s = e^(z - lse) where first <= i < end and 0 elsewhere, and
   * dp = s (dp - sum) scale dz / d(scale s), the gradient of s. */
  void (*attention_scores_backward)(float* s, float* dp, int64_t n, const ScoresBackwardArgs* args);

  /* Softmax cross-entropy of one row: returns logsumexp(logits) - logits[target], target in [0, n). `gradient` (may be
   * null, may be `logits`) is overwritten by weight * (softmax(logits) - onehot(target)). A logit that is not finite
   * makes both NaN. */
  float (*cross_entropy)(const float* logits, int64_t n, int64_t target, float weight, float* gradient);

  /* n numbers of one parameter; the second form keeps its state in 8 bits. */
  void (*adamw)(float* value, const float* gradient, float* m, float* v, int64_t n, const AdamWArgs* args);
  void (*adamw8)(float* value, const float* gradient, const AdamW8State* state, int64_t n, const AdamWArgs* args);

  /* One head of one token, in place; `half` = rotary dimensions / 2, cos_sin [half, 2]. `pairs`: rotate (2i, 2i+1),
   * else (i, i + half). */
  void (*rope)(float* head, const float* cos_sin, int64_t half, int pairs);

  /* n numbers to f16 or bf16 and back; rounding to nearest even. */
  void (*to_f16)(const float* x, int64_t n, uint16_t* y);
  void (*from_f16)(const uint16_t* x, int64_t n, float* y);
  void (*to_bf16)(const float* x, int64_t n, uint16_t* y);
  void (*from_bf16)(const uint16_t* x, int64_t n, float* y);

  /* One flash-attention pass: softmax(scale * q k^T) v over the visible positions, in tiles of 64, nothing stored
   * per pair of positions. */
  void (*attention)(const AttentionArgs*);

  /* For measuring: `rounds` rounds of multiply-adds at the full speed of the units, on operands in L1. Returns how many
   * multiply-adds that were. scratch: kMatmulScratchBytes of zeros, 64-byte aligned. */
  int64_t (*peak)(PeakKind kind, int64_t rounds, void* scratch);
};

/* Each is defined in its own folder. The AMX one changes entries of an AVX-512 table. */
void install_scalar_kernels(KernelTable* table);
void install_avx2_kernels(KernelTable* table);
void install_avx512_kernels(KernelTable* table);
void install_amx_kernels(KernelTable* table);

}  // namespace andiron
