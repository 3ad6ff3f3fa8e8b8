/* Fills a table with the generic kernels as compiled here. Included last, once, by each instruction set's table.cpp. */
#pragma once

#include "kernels/generic/adamw-inl.h"
#include "kernels/generic/attention-inl.h"
#include "kernels/generic/backward-inl.h"
#include "kernels/generic/elementwise-inl.h"
#include "kernels/generic/gemm-inl.h"
#include "kernels/generic/matmul_float-inl.h"
#include "kernels/generic/matmul_quant-inl.h"
#include "kernels/generic/matmul_transposed-inl.h"
#include "kernels/generic/matmul_transposed_integer-inl.h"
#include "kernels/generic/peak-inl.h"

namespace andiron {
namespace {

template <class Fmt>
void install_float(KernelTable* table, PackedFormat format) {
  table->matmul[format] = matmul_float<Fmt>;
  table->matmul_transposed[format] = matmul_transposed<UnpackFloat<Fmt>>;
}

template <class Fmt>
void install_quant(KernelTable* table, PackedFormat format) {
  table->matmul[format] = matmul_quant<Fmt>;
  table->matmul_transposed[format] = matmul_transposed_integer<UnpackQuant<Fmt>>;
}

void install(KernelTable* table, const char* name) {
  table->name = name;
  install_float<FloatF32>(table, kPackedF32);
  install_float<FloatF16>(table, kPackedF16);
  install_float<FloatBF16>(table, kPackedBF16);
  install_quant<FormatQ4_0>(table, kPackedQ4_0);
  install_quant<FormatQ4_1>(table, kPackedQ4_1);
  install_quant<FormatQ5_0>(table, kPackedQ5_0);
  install_quant<FormatQ5_1>(table, kPackedQ5_1);
  install_quant<FormatQ8_0>(table, kPackedQ8_0);
  install_quant<FormatQ2_K>(table, kPackedQ2_K);
  install_quant<FormatQ3_K>(table, kPackedQ3_K);
  install_quant<FormatQ4_K>(table, kPackedQ4_K);
  install_quant<FormatQ5_K>(table, kPackedQ5_K);
  install_quant<FormatQ6_K>(table, kPackedQ6_K);
  install_quant<FormatIQ4_NL>(table, kPackedIQ4_NL);
  install_quant<FormatIQ4_XS>(table, kPackedIQ4_XS);
  table->rounds_gradients = true;
  table->gradient_bytes = sizeof(V::Gradient);
  table->quantize_gradient = quantize_gradient;
  table->weight_gradient = weight_gradient;
  table->quantize_row = quantize_row;
  table->rms_norm = rms_norm;
  table->add = add;
  table->scale = scale;
  table->scale_add = scale_add;
  table->transpose = transpose;
  table->silu_mul = silu_mul;
  table->gelu_mul = gelu_mul;
  table->softcap = softcap;
  table->softmax = softmax;
  table->exp_sub = exp_sub;
  table->dot = dot;
  table->rms_norm_backward = rms_norm_backward;
  table->silu_mul_backward = silu_mul_backward;
  table->gelu_mul_backward = gelu_mul_backward;
  table->softcap_backward = softcap_backward;
  table->attention_scores_backward = attention_scores_backward;
  table->cross_entropy = cross_entropy;
  table->adamw = adamw;
  table->adamw8 = adamw8;
  table->rope = rope;
  table->to_f16 = to_f16;
  table->from_f16 = from_f16;
  table->to_bf16 = to_bf16;
  table->from_bf16 = from_bf16;
  table->gemm = gemm;
  table->attention = attention;
  table->peak = peak;
}

}  // namespace
}  // namespace andiron
