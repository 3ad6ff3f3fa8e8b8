#include "base/cpu_info.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace andiron {

namespace {

#if defined(__x86_64__)
struct Registers {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

// XCR0: which register files the operating system saves (Intel SDM vol. 1, 13.3).
uint64_t xcr0() {
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

bool bit(uint32_t word, int index) { return (word >> index & 1) != 0; }

// Bit positions: Intel SDM vol. 2, CPUID, leaves 1 and 7.
CpuInfo read_cpu() {
  CpuInfo info;
  char brand[49] = {};
  for (uint32_t i = 0; i < 3; ++i) {
    const Registers r = cpuid(0x80000002 + i);
    std::memcpy(brand + 16 * i, &r, 16);
  }
  info.brand = brand;
  info.brand.erase(info.brand.find_last_not_of(' ') + 1);

  const Registers one = cpuid(1);
  if (!bit(one.c, 27)) return info;  // OSXSAVE: without it nothing wider than SSE may be used
  const uint64_t saved = xcr0();
  const bool ymm = (saved & 0x6) == 0x6;
  const bool zmm = (saved & 0xe6) == 0xe6;
  const bool tiles = (saved & 0x60000) == 0x60000;
  const Registers seven = cpuid(7);
  info.avx2 = ymm && bit(seven.b, 5) && bit(one.c, 12) && bit(one.c, 29);
  info.avx512 = info.avx2 && zmm && bit(seven.b, 16) && bit(seven.b, 17) && bit(seven.b, 30) && bit(seven.b, 31);
  info.avx512_vnni = info.avx512 && bit(seven.c, 11);
  info.amx_int8 = info.avx512_vnni && tiles && bit(seven.d, 24) && bit(seven.d, 25);
  info.amx_bf16 = info.avx512_vnni && tiles && bit(seven.d, 24) && bit(seven.d, 22);
  return info;
}
#else
CpuInfo read_cpu() { return {}; }
#endif

// A line "Name:  123 kB" of a /proc file, in bytes; 0 when absent.
uint64_t proc_kilobytes(const char* path, const std::string& name) {
  std::ifstream file(path);
  std::string key;
  uint64_t value = 0;
  std::string rest;
  while (file >> key >> value) {
    if (key == name + ":") return value * 1024;
    std::getline(file, rest);
  }
  return 0;
}

uint64_t cgroup_memory_max() {
  std::ifstream file("/sys/fs/cgroup/memory.max");
  uint64_t value = 0;
  return file >> value ? value : std::numeric_limits<uint64_t>::max();  // "max" does not parse: no limit
}

}  // namespace

const CpuInfo& cpu_info() {
  static const CpuInfo info = read_cpu();
  return info;
}

bool request_amx() {
#if defined(__x86_64__) && defined(__linux__)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}

uint64_t memory_total_bytes() { return std::min(proc_kilobytes("/proc/meminfo", "MemTotal"), cgroup_memory_max()); }

uint64_t memory_available_bytes() {
  return std::min(proc_kilobytes("/proc/meminfo", "MemAvailable"), cgroup_memory_max());
}

uint64_t peak_memory_bytes() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace andiron
