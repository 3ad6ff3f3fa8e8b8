// Reads the include table of ARCHITECTURE.md and holds every #include of src/ and include/ against it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;
const fs::path kRoot = ANDIRON_SOURCE_DIR;

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// Rows "| folder | what | may include |".
std::map<std::string, std::set<std::string>> read_table() {
  std::map<std::string, std::set<std::string>> table;
  std::ifstream file(kRoot / "ARCHITECTURE.md");
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("| folder ")) inside = true;
    if (!inside || line.starts_with("|---") || line.starts_with("| folder ")) continue;
    if (!line.starts_with("|")) break;
    std::stringstream cells(line.substr(1));
    std::string folder, what, may;
    std::getline(cells, folder, '|');
    std::getline(cells, what, '|');
    std::getline(cells, may, '|');
    auto& allowed = table[trimmed(folder)];
    std::stringstream names(may);
    for (std::string name; std::getline(names, name, ',');) allowed.insert(trimmed(name));
  }
  return table;
}

std::set<std::string> includes_of(const fs::path& path, char open, char close) {
  std::set<std::string> found;
  std::ifstream file(path);
  const std::string head = std::string("#include ") + open;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(head)) continue;
    found.insert(line.substr(head.size(), line.find(close, head.size()) - head.size()));
  }
  return found;
}

bool is_source(const fs::path& path) {
  return path.extension() == ".cpp" || path.extension() == ".h" || path.extension() == ".inc";
}

// What the table calls an #include <...>: "" for the headers of C++ (no extension) and of C, which are everyone's.
std::string kind_of(const std::string& header) {
  static const std::set<std::string> c = {"limits.h", "locale.h", "math.h",   "signal.h",
                                          "stdint.h", "stdlib.h", "string.h", "time.h"};
  static const std::map<std::string, std::string> others = {{"cpuid.h", "intrinsics"},
                                                            {"immintrin.h", "intrinsics"},
                                                            {"histedit.h", "libedit"},
                                                            {"xxhash.h", "xxHash"},
                                                            {"sqlite3.h", "SQLite"}};
  static const std::set<std::string> system = {"dirent.h", "fcntl.h",     "langinfo.h",  "pthread.h",
                                               "pwd.h",    "sched.h",     "spawn.h",     "termios.h",
                                               "unistd.h", "arpa/inet.h", "netinet/in.h"};
  if (header.starts_with("boost/")) return "Boost";
  if (header.find('.') == std::string::npos || c.count(header) == 1) return "";
  if (others.count(header) == 1) return others.at(header);
  if (system.count(header) == 1 || header.starts_with("sys/")) return "system";
  if (header.starts_with("fmt/")) return "fmt";
  if (header.starts_with("CLI/")) return "CLI11";
  if (header.starts_with("toml++/")) return "toml++";
  if (header.starts_with("gtest/")) return "GoogleTest";
  return header;  // no row has it
}

bool is_for_tests(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return path.filename().string().ends_with("_test.cpp") || line.starts_with("// For tests only");
}

TEST(Layers, EveryIncludeIsInTheTable) {
  const auto table = read_table();
  ASSERT_GE(table.size(), 8U);
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "src")) {
    if (!is_source(entry.path())) continue;
    const fs::path relative = fs::relative(entry.path(), kRoot / "src");
    const std::string folder = relative.begin()->string();
    ASSERT_TRUE(table.count(folder) == 1) << folder << " has no row in ARCHITECTURE.md";
    const std::set<std::string>& allowed = table.at(folder);
    for (const std::string& include : includes_of(entry.path(), '"', '"')) {
      const std::string target = include.substr(0, include.find('/'));
      const bool fine = target == folder || allowed.count(target) == 1 || allowed.count(include) == 1;
      EXPECT_TRUE(fine) << relative << " includes " << include;
    }
    const bool test = is_for_tests(entry.path());
    for (const std::string& include : includes_of(entry.path(), '<', '>')) {
      const std::string kind = kind_of(include);
      const bool fine =
          kind.empty() || allowed.count(kind) == 1 || (test && (kind == "GoogleTest" || kind == "system"));
      EXPECT_TRUE(fine) << relative << " includes <" << include << ">: " << kind;
    }
  }
}

TEST(Layers, PublicHeadersNeedNothingButTheCppLibrary) {
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(kRoot / "include/andiron")) {
    ++seen;
    for (const std::string& include : includes_of(entry.path(), '"', '"')) {
      EXPECT_TRUE(include.starts_with("andiron/") && fs::exists(kRoot / "include" / include))
          << entry.path() << " includes " << include;
    }
    for (const std::string& include : includes_of(entry.path(), '<', '>')) {
      EXPECT_EQ(kind_of(include), "") << entry.path() << " includes <" << include << ">";
    }
  }
  EXPECT_GE(seen, 5);
}

// Wider instructions must not leak through the C++ library's inline functions.
TEST(Layers, IsaFoldersIncludeNoCppLibrary) {
  const std::set<std::string> allowed = {"immintrin.h", "stdint.h", "string.h", "math.h"};
  for (const char* folder : {"generic", "scalar", "avx2", "avx512", "amx"}) {
    for (const auto& entry : fs::directory_iterator(kRoot / "src/kernels" / folder)) {
      for (const std::string& include : includes_of(entry.path(), '<', '>')) {
        EXPECT_TRUE(allowed.count(include) == 1) << entry.path() << " includes <" << include << ">";
      }
      for (const std::string& include : includes_of(entry.path(), '"', '"')) {
        const bool fine = include == "kernels/kernel_table.h" || include == "tensor/quant_blocks.h" ||
                          include.starts_with("kernels/generic/") || include.starts_with("kernels/avx512/") ||
                          include.starts_with(std::string("kernels/") + folder + "/") ||
                          (std::string(folder) == "scalar" && include == "tensor/half.h");
        EXPECT_TRUE(fine) << entry.path() << " includes " << include;
      }
    }
  }
}

// `nm` of each ISA object, listed by CMake in ANDIRON_ISA_OBJECTS: no weak symbol may be defined there.
TEST(Layers, IsaObjectsDefineNoWeakSymbols) {
  if (std::string_view(ANDIRON_SANITIZERS) != "") GTEST_SKIP() << "sanitizers add symbols of their own";
  std::stringstream objects(ANDIRON_ISA_OBJECTS);
  int seen = 0;
  for (std::string object; std::getline(objects, object, ':');) {
    const std::string command = "nm --defined-only " + object;
    FILE* pipe = popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    char line[4096];
    while (fgets(line, sizeof line, pipe) != nullptr) {
      const std::string text = line;
      // "address type name"; W V u are weak or unique.
      const bool weak = text.size() > 18 && std::string("WVuwv").find(text[17]) != std::string::npos;
      EXPECT_FALSE(weak) << object << ": " << text;
      ++seen;
    }
    EXPECT_EQ(pclose(pipe), 0) << command;
  }
  EXPECT_GT(seen, 0);
}

// Two types of one name make one program of two that know nothing of each other, and no linker says so: the functions
// that both have inline become one of the two. Types of a .cpp file stand in namespaces without a name.
TEST(Layers, NoTwoHeadersDefineOneType) {
  static const std::regex kNamespace("^namespace ([a-z_:]+) \\{"), kEnd("^\\} +// namespace.*"),
      kType("^(?:class|struct|enum class) ([A-Za-z_]+)(?: final)?(?: : [^;]*)? \\{.*");
  std::map<std::string, std::string> found;
  for (const char* folder : {"src", "include"}) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      // Those of kernels are many times one type, on purpose: IsaObjectsDefineNoWeakSymbols looks at them.
      if (entry.path().extension() != ".h" || entry.path().string().find("/kernels/") != std::string::npos) continue;
      std::vector<std::string> namespaces;
      std::ifstream file(entry.path());
      std::smatch match;
      for (std::string line; std::getline(file, line);) {
        if (std::regex_search(line, match, kNamespace)) namespaces.push_back(match[1]);
        if (std::regex_match(line, kEnd) && !namespaces.empty()) namespaces.pop_back();
        if (!std::regex_match(line, match, kType)) continue;
        std::string name;
        for (const std::string& of : namespaces) name += of + "::";
        const auto [other, is_new] = found.emplace(name + match[1].str(), entry.path());
        EXPECT_TRUE(is_new) << other->first << " stands in " << entry.path() << " and in " << other->second;
      }
    }
  }
  EXPECT_GT(found.size(), 200U);
}

TEST(Layers, FilesEndBefore600Lines) {
  for (const char* top : {"src", "include", "tests", "fuzz", "bench", "recipes"}) {
    if (!fs::exists(kRoot / top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / top)) {
      if (!is_source(entry.path()) || entry.path().string().find("node_modules") != std::string::npos) continue;
      std::ifstream file(entry.path());
      std::string line;
      std::getline(file, line);
      if (line.find("Generated") != std::string::npos) continue;
      int lines = 1;
      while (std::getline(file, line)) ++lines;
      EXPECT_LE(lines, 600) << entry.path();
    }
  }
}

}  // namespace
