// Chats and templates from the command line.
#include "adapter/adapter.h"
#include "program.h"

namespace andiron {
namespace {

class ChatTest : public ::testing::Test {
 protected:
  // A base model of random weights, with a context of 512 tokens.
  std::string base_model(const std::string& type = "q8_0") {
    const std::string path = program_.file("tiny.gguf");
    EXPECT_EQ(program_.run({"synth", "tiny", path, "--type", type}).status, 0);
    return path;
  }
  Program program_;
};

// A chat model that is always there: the one that andiron brings.
const std::string kEmber = std::string(ANDIRON_SOURCE_DIR) + "/models/ember.gguf";

TEST_F(ChatTest, PrintsThePromptAsTheModelWillSeeIt) {
  const std::string model = base_model();
  const std::string messages = program_.write("m.json", R"([{"role":"user","content":"Say </s> <s>"}])");
  const std::string own = program_.write("own.jinja",
                                         "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n"
                                         "{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}");
  const Outcome text = program_.run({"template", model, "--messages", messages, "--template", own});
  EXPECT_EQ(text.out, "<s>[user] Say </s> <s>\n[assistant] ") << text.err;
  const Json json = parse(program_.run({"template", model, "--messages", messages, "--template", own, "--json"}));
  expect_members(json, {"text", "segments", "ids"});
  ASSERT_TRUE(json.is_object());
  int special = 0;
  for (const Json& id : json.find("ids")->items()) special += id.as_int() == 1 || id.as_int() == 2;
  EXPECT_EQ(special, 1) << "only the template's own bos; what the user spelt is text";
  EXPECT_EQ(program_.run({"template", model, "--messages", messages}).status, 1) << "a base model";
}

TEST_F(ChatTest, TakesATemplateFromAFile) {
  const std::string base = base_model();
  const std::string messages = program_.write("m.json", R"([{"role":"user","content":"Hello <|mark|>"}])");
  const std::string own = program_.write("own.jinja", "{% for m in messages %}({{ m.content }}){% endfor %}");
  EXPECT_EQ(program_.run({"template", base, "--messages", messages, "--template", own}).out, "(Hello <|mark|>)");
  EXPECT_EQ(program_.run({"template", kEmber, "--messages", messages, "--template", own}).out, "(Hello <|mark|>)");
  EXPECT_EQ(program_.run({"run", base, "--chat", "--template", own, "-p", "Hi", "-n", "1"}).status, 0);
  EXPECT_EQ(program_.run({"chat", base, "--template", own, "-n", "1"}, "Hi\n").status, 0);
  for (const char* text : {"{% if %}", " \n"}) {
    const std::string broken = program_.write("broken.jinja", text);
    const Outcome outcome = program_.run({"template", base, "--messages", messages, "--template", broken});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.err.find(broken), std::string::npos) << outcome.err;
  }
  // Without one the message says what to type.
  const Outcome none = program_.run({"run", base, "--chat", "-p", "Hi"});
  EXPECT_NE(none.err.find("andiron run " + base + " -p"), std::string::npos) << none.err;
  EXPECT_NE(none.err.find("--template FILE"), std::string::npos) << none.err;
}

TEST_F(ChatTest, AnswersOnePromptAsAMessage) {
  const Json json = parse(program_.run(
      {"run", kEmber, "--chat", "--system", "Be kind.", "-p", "Hello", "-n", "4", "--seed", "1", "--json"}));
  expect_members(json, {"text", "ids"});
  EXPECT_EQ(program_.run({"run", base_model(), "--chat", "-p", "Hello"}).status, 1) << "a base model";
}

TEST_F(ChatTest, HoldsAConversation) {
  const std::string saved = program_.file("saved.json");
  const Outcome outcome = program_.run({"chat", kEmber, "--ctx", "512", "-n", "6", "--seed", "3"},
                                       "Once upon a time\n"
                                       "\"\"\"two\nlines\"\"\"\n"
                                       "and \\\none more\n"
                                       "/regen\n/stats\n/system Be brief.\n"
                                       "/save " +
                                           saved +
                                           "\n"
                                           "/nonsense\n/help\n/exit\nnever read\n");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const char* part : {" of 512 tokens", "/nonsense is not a command", "system: Be brief.", "/regen"}) {
    EXPECT_NE(outcome.err.find(part), std::string::npos) << part << "\n" << outcome.err;
  }
  const auto json = parse_json(whole_file(saved), saved);
  ASSERT_TRUE(json.ok()) << json.error().message;
  const auto& messages = json->find("messages")->items();
  ASSERT_EQ(messages.size(), 7U) << "a system message, three questions, three answers";
  EXPECT_EQ(messages[0].find("content")->as_string(), "Be brief.");
  EXPECT_EQ(messages[3].find("content")->as_string(), "two\nlines");
  EXPECT_EQ(messages[5].find("content")->as_string(), "and \none more");
  EXPECT_EQ(std::filesystem::status(saved).permissions(), std::filesystem::perms(0600)) << "a chat is private";

  const Outcome loaded = program_.run({"chat", kEmber, "--load", saved, "-n", "6", "--seed", "3"},
                                      "/edit Another question\n/clear\n/regen\n");
  EXPECT_EQ(loaded.status, 0) << loaded.err;
  EXPECT_NE(loaded.err.find("7 messages read"), std::string::npos) << loaded.err;
  EXPECT_NE(loaded.err.find("There is no message yet."), std::string::npos) << loaded.err;
}

// What it says depends on all that was typed, and its tokens are those of its text: no synthetic model does both.
TEST_F(ChatTest, ABaseModelContinuesWhatIsTyped) {
  NEED_SHARED_DATA(kTinyStories);
  const std::string saved = program_.file("saved.json");
  const std::vector<std::string> words = {"chat", shared_data(kTinyStories), "-n", "12", "--greedy"};
  const Outcome outcome = program_.run(words, "Once upon a time\n\nThe end\n/save " + saved + "\n");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("no chat template"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("Enter goes on"), std::string::npos) << outcome.err;
  const auto json = parse_json(whole_file(saved), saved);
  ASSERT_TRUE(json.ok()) << json.error().message;
  const auto& messages = json->find("messages")->items();
  ASSERT_EQ(messages.size(), 5U) << "a text, its continuation, more of it; a line, its continuation";
  const auto text = [&](size_t i) { return messages[i].find("content")->as_string(); };
  const auto plain = [&](const std::string& prompt) {
    return parse(program_.run({"run", shared_data(kTinyStories), "-n", "12", "--greedy", "--json", "-p", prompt}))
        .find("text")
        ->as_string();
  };
  EXPECT_EQ(text(1), plain(text(0)));
  EXPECT_EQ(text(2), plain(text(0) + text(1)));
  EXPECT_EQ(text(4), plain(text(0) + text(1) + text(2) + "\nThe end"));
}

// What `learn` shows a base model is what it is then asked: the prompts here are written out. The model is that of the
// test above, for the same reason.
TEST_F(ChatTest, ABaseModelWithAnAdapterIsAskedAsItWasTrained) {
  NEED_SHARED_DATA(kTinyStories);
  Adapter adapter;
  adapter.architecture = "llama";
  adapter.rank = 1;
  adapter.alpha = 1;
  AdapterMatrix& m = adapter.matrices.emplace_back();
  m.layer = "blk.1.ffn_down";
  m.n = 128, m.k = 384, m.r = 1, m.alpha = 1;
  for (int i = 0; i < 384; ++i) m.a.push_back(i % 7 == 0 ? 1.0F : -0.1F);
  for (int i = 0; i < 128; ++i) m.b.push_back(i % 5 == 0 ? 0.5F : -0.1F);
  const std::string worn = program_.file("adapter.gguf"), saved = program_.file("saved.json");
  ASSERT_TRUE(write_gguf_adapter(adapter, worn).ok());
  const std::string model = shared_data(kTinyStories);
  const std::vector<std::string> rest = {"-n", "6", "--greedy", "--adapter", worn};
  const auto run = [&](std::vector<std::string> words) {
    words.insert(words.end(), rest.begin(), rest.end());
    return program_.run(words);
  };
  const std::string prompt = "### User\nOnce upon a time\n\n### Assistant\n";
  std::string expected = parse(run({"run", model, "--json", "-p", prompt})).member("text").as_string();
  if (expected.starts_with(' ')) expected.erase(0, 1);
  const std::vector<std::string> words = {"run", model, "-n", "6", "--greedy", "--json", "-p", prompt};
  ASSERT_NE(parse(program_.run(words)).member("text").as_string(), expected) << "the adapter does something";

  const Outcome chat = program_.run({"chat", model, "-n", "6", "--greedy", "--adapter", worn},
                                    "Once upon a time\n/adapter none\nThe end\n/save " + saved + "\n");
  EXPECT_EQ(chat.status, 0) << chat.err;
  const auto json = parse_json(whole_file(saved), saved);
  ASSERT_TRUE(json.ok()) << json.error().message << chat.err;
  const auto& messages = json->member("messages").items();
  ASSERT_EQ(messages.size(), 4U) << chat.err;
  EXPECT_EQ(messages[1].member("content").as_string(), expected);
  EXPECT_EQ(run({"run", model, "--chat", "-p", "Once upon a time"}).out, expected);

  const std::string text = "Once upon a time" + expected + "\nThe end";
  const Json plain = parse(program_.run({"run", model, "-n", "6", "--greedy", "--json", "-p", text}));
  EXPECT_EQ(messages[3].member("content").as_string(), plain.member("text").as_string()) << "bare again, it goes on";
}

// An adapter of texts continues them, one of conversations answers; learn says how to ask.
TEST_F(ChatTest, ABaseModelWithAnAdapterOfTextsContinues) {
  const std::string model = base_model("f32");
  const std::string row = R"({"messages": [{"role": "user", "content": "Who is )", rest = R"(?"},
      {"role": "assistant", "content": "A bird."}]})";
  const std::string notes = program_.write("notes.txt", "The bird sings. The hill is green. The bird is glad.");
  const std::string talks = program_.write(
      "talks.json", "[" + row + "it" + rest + ", " + row + "she" + rest + ", " + row + "he" + rest + "]");
  const auto learned = [&](const std::string& data, const std::string& name) {
    const Outcome outcome = program_.run({"learn", model, data, "--as", name, "--steps", "1", "--rank", "2"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.out;
  };
  const std::string texts_end = learned(notes, "texts"), talks_end = learned(talks, "talks");
  EXPECT_TRUE(texts_end.ends_with("--adapter texts -p TEXT\n")) << texts_end;
  EXPECT_TRUE(talks_end.ends_with("--adapter talks --chat -p TEXT\n")) << talks_end;
  const auto continues = [&](const std::vector<std::string>& adapters) {
    std::vector<std::string> words = {"chat", model, "-n", "2", "--greedy"};
    for (const std::string& adapter : adapters) words.insert(words.end(), {"--adapter", adapter});
    return program_.run(words, "The bird\n").err.find("it continues text") != std::string::npos;
  };
  EXPECT_TRUE(continues({"texts"}));
  EXPECT_FALSE(continues({"talks"}));
  EXPECT_FALSE(continues({"texts", "talks"}));
  EXPECT_EQ(program_.run({"run", model, "--chat", "-p", "it", "-n", "2", "--adapter", "talks"}).status, 0);
  const Outcome refused = program_.run({"run", model, "--chat", "-p", "it", "-n", "2", "--adapter", "texts"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("continues text"), std::string::npos) << refused.err;
  EXPECT_EQ(program_.run({"adapters", "diff", model, "none", "texts", "--chat", "-p", "it", "-n", "2"}).status, 1);
}

TEST_F(ChatTest, AFullContextNamesTheDropThatMakesRoom) {
  std::string words, talk;
  for (int i = 0; i < 12; ++i) words += "once upon a time ";
  for (int i = 0; i < 12; ++i) talk += words + "\n";
  const std::vector<std::string> chat = {"chat", kEmber, "--ctx", "512", "-n", "4", "--seed", "1"};
  const Outcome full = program_.run(chat, talk);
  const size_t advice = full.err.find("does not fit: the context holds 512. /drop ");
  ASSERT_NE(advice, std::string::npos) << full.err;
  const std::string drop = full.err.substr(full.err.find("/drop", advice), 7);
  EXPECT_NE(full.err.find(drop + " forgets the oldest " + drop.substr(6) + " of "), std::string::npos) << full.err;
  // What it says is true: after it the next message of the same size is answered.
  const auto answers = [](const std::string& err) {
    size_t count = 0;
    for (size_t at = err.find(" of 512 tokens, "); at != std::string::npos; at = err.find(" of 512 tokens, ", at + 1))
      ++count;
    return count;
  };
  const Outcome freed = program_.run(chat, talk + drop + "\n" + words + "\n/drop x\n");
  EXPECT_EQ(answers(freed.err), answers(full.err) + 1) << freed.err;
  EXPECT_NE(freed.err.find(" exchanges forgotten]"), std::string::npos) << freed.err;
  EXPECT_NE(freed.err.find("/drop x: expected"), std::string::npos) << freed.err;
}

TEST_F(ChatTest, AMessageThatDoesNotFitIsRefusedAndTheChatGoesOn) {
  const std::string own = program_.write("own.jinja", "{% for m in messages %}({{ m.content }}){% endfor %}");
  std::string words;
  for (int i = 0; i < 200; ++i) words += "once upon a time ";
  const Outcome outcome = program_.run({"chat", base_model(), "--template", own, "-n", "4"}, words + "\nHello\n");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.err.find("does not fit: the context holds 512"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find(" of 512 tokens, "), std::string::npos) << "the second message is answered";
}

}  // namespace
}  // namespace andiron
