#include "api/impl.h"
#include "model/tokenizer_source.h"

namespace andiron::v1 {

Result<Tokenizer> Tokenizer::open(const std::string& path) {
  TRY_ASSIGN(auto spec, read_tokenizer(path));
  TRY_ASSIGN(auto tokenizer, andiron::Tokenizer::create(std::move(spec)));
  return Tokenizer(std::make_shared<const Impl>(Impl{std::move(tokenizer)}));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  return impl_->tokenizer.encode(text, {.add_special = options.add_special, .parse_special = options.trusted});
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool show_special) const {
  return impl_->tokenizer.decode(ids, show_special);
}

std::string_view Tokenizer::piece(int32_t id) const { return impl_->tokenizer.piece(id); }
int32_t Tokenizer::find(std::string_view token) const { return impl_->tokenizer.id(token); }
int32_t Tokenizer::size() const { return impl_->tokenizer.vocab_size(); }
int32_t Tokenizer::bos() const { return impl_->tokenizer.bos(); }
int32_t Tokenizer::eos() const { return impl_->tokenizer.eos(); }
bool Tokenizer::is_end(int32_t id) const { return impl_->tokenizer.is_end_of_generation(id); }
bool Tokenizer::is_control(int32_t id) const { return impl_->tokenizer.is_control(id); }

static_assert(Tokenizer::kNone == kNoToken);

}  // namespace andiron::v1
