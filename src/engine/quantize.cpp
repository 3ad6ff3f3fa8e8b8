#include "engine/quantize.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "base/strings.h"
#include "format/gguf.h"
#include "model/output_metadata.h"
#include "tensor/quantize.h"

namespace andiron {

namespace {

// Numbers decoded at a time: enough for every thread to have some rows, little enough to stay in memory.
constexpr uint64_t kChunkElements = uint64_t{4} << 20;

// Encodes the tensors of one model, one after the other, rows in parallel.
class Encoder {
 public:
  Encoder(const ModelSource& source, ThreadTeam& team, const QuantizeOptions& options, GgufWriter& writer,
          QuantizeReport& report)
      : source_(source), team_(team), options_(options), writer_(writer), report_(report) {
    errors_.resize(static_cast<size_t>(team.size()));
    floats_.resize(static_cast<size_t>(team.size()));
  }

  Status encode(const TensorInfo& tensor, const TensorInfo& target, uint64_t bytes_total) {
    TRY(find_importance(tensor, target));
    const uint64_t rows_each = std::max<uint64_t>(1, kChunkElements / tensor.columns());
    for (uint64_t row = 0; row < tensor.rows(); row += rows_each) {
      if (options_.cancel != nullptr && options_.cancel->load(std::memory_order_relaxed)) {
        report_.cancelled = true;
        return {};
      }
      const uint64_t count = std::min(rows_each, tensor.rows() - row);
      TRY_ASSIGN(const auto bytes, source_.rows(tensor, row, count, scratch_));
      if (tensor.dtype == target.dtype) {
        TRY(writer_.append(bytes));
      } else {
        TRY(encode_rows(tensor, target, bytes, row, count));
      }
      done_ += bytes.size();
      if (options_.progress) options_.progress(done_, bytes_total, tensor.name);
    }
    source_.drop(tensor);
    return source_.check_intact();
  }

  // Says which tensors the importance matrix lacked.
  void add_notes() {
    if (unweighted_ == 0) return;
    report_.notes.push_back(format("{} tensors ({}{}) are not in the importance matrix; their columns count alike",
                                   unweighted_, first_unweighted_, unweighted_ > 1 ? ", ..." : ""));
  }

 private:
  // importance_ [experts][K], empty where there is none.
  Status find_importance(const TensorInfo& tensor, const TensorInfo& target) {
    importance_.clear();
    if (options_.importance == nullptr || dtype_info(target.dtype).is_float) return {};
    const uint64_t experts = tensor.shape.size() == 3 ? tensor.shape[0] : 1;
    rows_per_expert_ = tensor.rows() / experts;
    importance_.resize(experts);
    bool any = false;
    for (uint64_t e = 0; e < experts; ++e) {
      TRY_ASSIGN(const bool found, options_.importance->lookup(tensor.name, static_cast<int64_t>(e),
                                                               static_cast<int64_t>(tensor.columns()), importance_[e]));
      any = any || found;
    }
    const bool embedding = tensor.name == "token_embd.weight" || tensor.name == "output.weight";
    if (!any && !embedding && unweighted_++ == 0) first_unweighted_ = tensor.name;
    return {};
  }

  const float* importance_of(uint64_t row) const {
    if (importance_.empty()) return nullptr;
    const auto& values = importance_[row / rows_per_expert_];
    return values.empty() ? nullptr : values.data();
  }

  Status encode_rows(const TensorInfo& tensor, const TensorInfo& target, std::span<const uint8_t> bytes, uint64_t first,
                     uint64_t count) {
    const uint64_t columns = tensor.columns();
    const uint64_t from_bytes = row_bytes(tensor.dtype, columns), to_bytes = row_bytes(target.dtype, columns);
    encoded_.resize(count * to_bytes);
    team_.parallel_for(static_cast<int64_t>(count), [&](int64_t row, int worker) {
      std::vector<float>& values = floats_[static_cast<size_t>(worker)];
      values.resize(columns);
      const auto index = static_cast<uint64_t>(row);
      decode_row(tensor.dtype, bytes.data() + index * from_bytes, values.data(), columns);
      const Status finite = check_finite(values.data(), columns, tensor.name);
      if (!finite.ok()) errors_[static_cast<size_t>(worker)] = finite.error();
      encode_row(target.dtype, values.data(), encoded_.data() + index * to_bytes, columns,
                 importance_of(first + index));
    });
    for (const auto& error : errors_) {
      if (error) return make_error("{}: {}", source_.path(), error->message);
    }
    return writer_.append(encoded_);
  }

  const ModelSource& source_;
  ThreadTeam& team_;
  const QuantizeOptions& options_;
  GgufWriter& writer_;
  QuantizeReport& report_;
  uint64_t done_ = 0;
  int64_t unweighted_ = 0;
  std::string first_unweighted_;
  uint64_t rows_per_expert_ = 1;
  std::vector<std::vector<float>> importance_;
  std::vector<std::vector<float>> floats_;  // of each worker
  std::vector<std::optional<Error>> errors_;
  std::vector<uint8_t> scratch_, encoded_;
};

// The tensors whose rows did not fit the format meant for them, told in one line.
class Fallbacks {
 public:
  void add(const TensorInfo& tensor, DType wanted, DType given) {
    Group& group = groups_[{wanted, given}];
    if (group.count++ == 0) group.first = tensor.name;
    group.columns.insert(tensor.columns());
  }

  // Nothing when all fitted.
  std::optional<std::string> note() const {
    if (groups_.empty()) return std::nullopt;
    std::string text;
    for (const auto& [formats, group] : groups_) {
      const DTypeInfo& wanted = dtype_info(formats.first);
      std::string columns;
      for (const uint64_t n : group.columns) columns += format("{}{}", columns.empty() ? "" : ", ", n);
      text += format("{}{} ({}{}) with rows of {} do not fit {} (blocks of {}): {} instead", text.empty() ? "" : "; ",
                     counted(group.count, "tensor"), group.first, group.count == 1 ? "" : ", ...", columns, wanted.name,
                     wanted.block_elements, dtype_info(formats.second).name);
    }
    return text;
  }

 private:
  struct Group {
    int64_t count = 0;
    std::string first;
    std::set<uint64_t> columns;
  };
  std::map<std::pair<DType, DType>, Group> groups_;
};

Result<TensorPlan> plan_one(const TensorInfo& tensor, const QuantContext& context, const QuantizeOptions& options) {
  if (options.formats_of == nullptr) return plan_tensor(tensor, options.type, context, options.pure);
  const TensorInfo* same = options.formats_of->find_tensor(tensor.name);
  if (same != nullptr) return TensorPlan{same->dtype, std::nullopt};
  return make_error("{}: has no tensor \"{}\" to take the number format of", options.formats_of->path(),
                    in_quotes(tensor.name));
}

// What each tensor becomes.
Result<std::vector<TensorInfo>> plan(const ModelSource& source, const std::string& out, const QuantizeOptions& options,
                                     QuantizeReport& report) {
  QuantContext context = quant_context(source);
  context.has_importance = options.importance != nullptr;
  std::vector<TensorInfo> targets;
  Fallbacks fallbacks;
  int64_t quantised_before = 0;
  for (const TensorInfo& tensor : source.tensors()) {
    TRY_ASSIGN(const TensorPlan one, plan_one(tensor, context, options));
    if (one.fell_back_from) fallbacks.add(tensor, *one.fell_back_from, one.dtype);
    const bool from_float = dtype_info(tensor.dtype).is_float, to_float = dtype_info(one.dtype).is_float;
    quantised_before += !from_float && !to_float && tensor.dtype != one.dtype ? 1 : 0;
    TRY_ASSIGN(TensorInfo target, make_tensor_info(tensor.name, one.dtype, tensor.shape, out));
    report.bytes_before += tensor.bytes;
    report.bytes_after += target.bytes;
    report.parameters += tensor.elements;
    ++report.tensors[one.dtype];
    targets.push_back(std::move(target));
  }
  if (targets.empty()) return make_error("{}: there are no tensors in it to quantise", source.path());
  if (const auto note = fallbacks.note()) report.notes.push_back(*note);
  if (options.formats_of == nullptr && report.tensors.count(options.type.base) == 0) {
    report.notes.push_back(format("not one tensor became {}: the file is {} in name only",
                                  dtype_info(options.type.base).name, options.type.name));
  }
  if (quantised_before > 0) {
    report.notes.push_back(
        format("{} tensors of the source are quantised already; quantising twice loses more than "
               "once. Start from F16, BF16 or F32 where you can",
               quantised_before));
  }
  return targets;
}

}  // namespace

Result<QuantizeReport> quantize_model(const ModelSource& source, const std::string& out, ThreadTeam& team,
                                      const QuantizeOptions& options) {
  QuantizeReport report;
  TRY_ASSIGN(const auto targets, plan(source, out, options, report));
  const auto file_type = options.formats_of == nullptr ? std::optional(options.type.file_type) : std::nullopt;
  TRY_ASSIGN(const OutputMetadata metadata, OutputMetadata::create(source, file_type));
  TRY_ASSIGN(auto writer, GgufWriter::create(out, metadata.entries(), targets));
  Encoder encoder(source, team, options, writer, report);
  for (size_t i = 0; i < targets.size() && !report.cancelled; ++i) {
    TRY(encoder.encode(source.tensors()[i], targets[i], report.bytes_before));
  }
  encoder.add_notes();
  if (!report.cancelled) TRY(writer.finish(options.existing));
  return report;
}

}  // namespace andiron
