/* Fills a table with the generic kernels as compiled here. Included last, once, by each instruction set's table.cpp. */
#pragma once

#include "kernels/generic/attention-inl.h"
#include "kernels/generic/elementwise-inl.h"
#include "kernels/generic/matmul_float-inl.h"
#include "kernels/generic/matmul_quant-inl.h"
#include "kernels/generic/peak-inl.h"

namespace andiron {
namespace {

void install(KernelTable* table, const char* name) {
  table->name = name;
  table->matmul[kPackedF32] = matmul_float<FloatF32>;
  table->matmul[kPackedF16] = matmul_float<FloatF16>;
  table->matmul[kPackedBF16] = matmul_float<FloatBF16>;
  table->matmul[kPackedQ4_0] = matmul_quant<FormatQ4_0>;
  table->matmul[kPackedQ4_1] = matmul_quant<FormatQ4_1>;
  table->matmul[kPackedQ5_0] = matmul_quant<FormatQ5_0>;
  table->matmul[kPackedQ5_1] = matmul_quant<FormatQ5_1>;
  table->matmul[kPackedQ8_0] = matmul_quant<FormatQ8_0>;
  table->matmul[kPackedQ2_K] = matmul_quant<FormatQ2_K>;
  table->matmul[kPackedQ3_K] = matmul_quant<FormatQ3_K>;
  table->matmul[kPackedQ4_K] = matmul_quant<FormatQ4_K>;
  table->matmul[kPackedQ5_K] = matmul_quant<FormatQ5_K>;
  table->matmul[kPackedQ6_K] = matmul_quant<FormatQ6_K>;
  table->matmul[kPackedIQ4_NL] = matmul_quant<FormatIQ4_NL>;
  table->matmul[kPackedIQ4_XS] = matmul_quant<FormatIQ4_XS>;
  table->quantize_row = quantize_row;
  table->rms_norm = rms_norm;
  table->add = add;
  table->scale = scale;
  table->scale_add = scale_add;
  table->silu_mul = silu_mul;
  table->gelu_mul = gelu_mul;
  table->softcap = softcap;
  table->softmax = softmax;
  table->rope = rope;
  table->to_f16 = to_f16;
  table->from_f16 = from_f16;
  table->attention = attention;
  table->peak = peak;
}

}  // namespace
}  // namespace andiron
