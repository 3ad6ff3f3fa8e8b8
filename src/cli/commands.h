// The commands, one file each (cmd_NAME.cpp). Each returns the program's exit status, or an Error that main() prints
// (status 1).
#pragma once

#include "base/result.h"
#include "cli/options.h"

namespace andiron {

Result<int> run_command(const GlobalOptions& global, const RunOptions& options);
Result<int> chat_command(const GlobalOptions& global, const ChatCommandOptions& options);
Result<int> serve_command(const GlobalOptions& global, const ServeCommandOptions& options);
Result<int> inspect_command(const GlobalOptions& global, const InspectOptions& options);
Result<int> tokenize_command(const GlobalOptions& global, const TokenizeOptions& options);
Result<int> detokenize_command(const GlobalOptions& global, const DetokenizeOptions& options);
Result<int> train_tokenizer_command(const GlobalOptions& global, const TokenizerTrainOptions& options);
Status check_tokenizer_options(const TokenizerTrainOptions& options);
Result<int> show_tokenizer_command(const GlobalOptions& global, const TokenizerShowOptions& options);
Result<int> template_command(const GlobalOptions& global, const TemplateOptions& options);
Result<int> logits_command(const GlobalOptions& global, const LogitsOptions& options);
Result<int> ppl_command(const GlobalOptions& global, const PplOptions& options);
Result<int> quantize_command(const GlobalOptions& global, const QuantizeCommandOptions& options);
Result<int> imatrix_command(const GlobalOptions& global, const ImatrixOptions& options);
Result<int> bench_command(const GlobalOptions& global, const BenchOptions& options);
Result<int> bench_train_command(const GlobalOptions& global, const BenchOptions& options);
Result<int> cache_command(const GlobalOptions& global, const CacheOptions& options);
Result<int> doctor_command(const GlobalOptions& global, const DoctorOptions& options);
Result<int> learn_command(const GlobalOptions& global, const LearnCommandOptions& options);
Result<int> pretrain_command(const GlobalOptions& global, const PretrainCommandOptions& options);
// What can be told of the options without the configuration.
Status check_pretrain_options(const PretrainCommandOptions& options);
// What was left out and does not depend on a run to resume: MODEL, and the name of what is learned.
void fill_in_learn_options(LearnCommandOptions& options);
// What can be told of the options without the model.
Status check_learn_options(const LearnCommandOptions& options);
Result<int> eval_command(const GlobalOptions& global, const EvalCommandOptions& options);
Status check_eval_options(const EvalCommandOptions& options);
Result<int> list_adapters_command(const GlobalOptions& global, const AdapterListOptions& options);
Result<int> show_adapter_command(const GlobalOptions& global, const AdapterShowOptions& options);
Result<int> diff_adapters_command(const GlobalOptions& global, const AdapterDiffOptions& options);
Result<int> merge_adapters_command(const GlobalOptions& global, const AdapterMergeOptions& options);
Status check_merge_options(const AdapterMergeOptions& options);
Result<int> export_adapter_command(const GlobalOptions& global, const AdapterExportOptions& options);
Result<int> import_adapter_command(const GlobalOptions& global, const AdapterImportOptions& options);
Result<int> remove_adapter_command(const GlobalOptions& global, const AdapterRemoveOptions& options);
Result<int> plot_command(const GlobalOptions& global, const PlotOptions& options);
Result<int> synth_command(const GlobalOptions& global, const SynthOptions& options);

}  // namespace andiron
