// What the processor and the operating system offer, read once with cpuid.
#pragma once

#include <cstdint>
#include <string>

namespace andiron {

struct CpuInfo {
  std::string brand;         // "AMD EPYC ...", as the processor says
  bool avx2 = false;         // AVX2, FMA and F16C, and the system saves the registers
  bool avx512 = false;       // AVX-512 F, BW, DQ, VL
  bool avx512_vnni = false;  // vpdpbusd on 512 bits
  bool amx_int8 = false;     // the silicon has it; permission is asked for separately (request_amx)
  bool amx_bf16 = false;
};

const CpuInfo& cpu_info();

// Asks the kernel for the AMX tile registers (Linux: arch_prctl ARCH_REQ_XCOMP_PERM for feature 18). Must come
// before the threads that use them start. False when refused.
bool request_amx();

uint64_t memory_total_bytes();      // physical memory, or the cgroup's limit where that is less
uint64_t memory_available_bytes();  // what can be had without swapping

// This process: peak resident set so far.
uint64_t peak_memory_bytes();

}  // namespace andiron
