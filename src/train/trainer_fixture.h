// For tests only: a trainer of a subject over rows of tokens.
#pragma once

#include <memory>
#include <vector>

#include "model/gradient_fixture.h"
#include "train/trainer.h"

namespace andiron {

// Rows of different lengths up to `length`; one token in three is not trained.
inline TokenRows made_rows(int64_t count, int64_t length, int64_t vocabulary, bool same_length = false) {
  TokenRows out;
  for (int64_t r = 0; r < count; ++r) {
    TokenRow row;
    for (int64_t i = 0; i < (same_length ? length : length - r); ++i) {
      row.tokens.push_back(static_cast<int32_t>((r * 31 + 7 * i * i + 3 * i + 1) % vocabulary));
      row.trained.push_back(i > 0 && (i + r) % 3 != 0 ? 1 : 0);
    }
    out.rows.push_back(std::move(row));
  }
  return out;
}

struct Training {
  // All rows make one step. `options`: what is not about steps and rows.
  Training(Learner& s, const TokenRows& rows, int64_t steps, double rate, const TrainerOptions& options = {},
           const TokenRows* general = nullptr)
      : Training(s, {.train = &rows, .general = general}, together(rows, steps, rate, options)) {}

  Training(Learner& s, const TrainData& data_to_use, const TrainerOptions& options) : data(data_to_use) {
    pass = s.make_empty_pass(Trainer::rows_needed(data, options), 1);
    TrainSubject subject;
    subject.parameters = s.parameters;
    subject.deltas = s.deltas();
    subject.repack = [this, &s] {
      if (s.floats != nullptr) s.floats->repack(s.team);
      if (s.worn != nullptr) s.worn->repack(pass->ops());
    };
    trainer = Trainer::create(*pass, std::move(subject), data, options, s.team).value();
  }

  static TrainerOptions together(const TokenRows& rows, int64_t steps, double rate, TrainerOptions options) {
    options.sequences = static_cast<int64_t>(rows.rows.size());
    options.packing.pack = false;
    options.packing.order = PackOptions::Order::kGiven;
    options.packing.seq_len = 64;
    options.schedule.kind = Schedule::Kind::kConstant;
    options.schedule.peak = rate;
    options.schedule.steps = steps;
    return options;
  }

  TrainData data;
  std::unique_ptr<TrainPass> pass;
  std::unique_ptr<Trainer> trainer;
};

}  // namespace andiron
