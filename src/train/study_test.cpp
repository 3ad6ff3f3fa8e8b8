// Self-study: how a document is cut, which of a model's questions are trusted, and what becomes of them.
#include "train/study.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <string>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "base/test_folder.h"
#include "data/byte_tokenizer.h"
#include "train/study_contrast.h"
#include "train/study_wordings.h"

namespace andiron {
namespace {

std::vector<std::string> texts_of(const std::vector<Passage>& passages) {
  std::vector<std::string> out;
  for (const Passage& passage : passages) out.push_back(passage.text);
  return out;
}

TEST(StudyText, PassagesAreSentencesWithWhomTheyAreAbout) {
  const auto passages = cut_passages(
      "# About us\n\nMy son is called Mikkel. He is 13\nyears old. He met Dr. Berg.\n\n```\nint the_code = 1;\n```\n"
      "- The key is 3.5 cm long\n- Too short\n\n1. Mr Okafor lives here!\n");
  EXPECT_EQ(texts_of(passages),
            (std::vector<std::string>{"My son is called Mikkel.", "My son is called Mikkel. He is 13 years old.",
                                      "My son is called Mikkel. He met Dr. Berg.",
                                      "My son is called Mikkel. He is 13 years old. He met Dr. Berg.",
                                      "The key is 3.5 cm long", "Mr Okafor lives here!"}));
  EXPECT_EQ(passages[0].questions, 1);
  EXPECT_EQ(passages[1].questions, 2);
  EXPECT_EQ(passages[3].questions, 3);
  EXPECT_TRUE(passages[0].own);
  EXPECT_FALSE(passages[5].own);
  EXPECT_TRUE(cut_passages("").empty());
  EXPECT_TRUE(cut_passages(std::string(5000, 'a') + " b c d.").empty());
}

TEST(StudyText, QuestionsAreReadInTheFormsThatModelsWrite) {
  const std::vector<QuestionAnswer> two = {{"Where do I live?", "You live in Oslo."}, {"Who is he?", "Ben."}};
  for (const char* written : {
           "Q: Where do I live?\nA: You live in Oslo.\nQ: Who is he?\nA: Ben.",
           "**Q1:** Where do I live?\n**A1:** You live in Oslo.\n\n**Q2:** Who is he?\n**A2:** Ben.",
           "Sure! Here they are.\n\n1. Question 1: Where do I live?\n   Answer: You live in Oslo.\n2. Question 2: Who "
           "is "
           "he?\n   Answer: Ben.",
           "1. Where do I live?\n   You live in Oslo.\n2. **Who is he?**\n   Ben.\nMore of that?",
       }) {
    EXPECT_EQ(read_questions(written), two) << written;
  }
  EXPECT_TRUE(read_questions("").empty());
  EXPECT_TRUE(read_questions("A: Nobody asked.\nQ: And now?").empty());
  EXPECT_EQ(read_questions("Q: One?\nQ: Two?\nA: Yes, two.").front().question, "Two?");
}

TEST(Study, CapitalsOfFirstWordsStayWhereSentencesBegin) {
  EXPECT_EQ(with_small_pronouns("How old is My daughter now, and where does The key lie?"),
            "How old is my daughter now, and where does the key lie?");
  for (const char* same : {"My dog is old. Her cat is not. Who is she?", "How old am I?", "Does US law say so?",
                           "Where does Henrike live?", "\"Our house\": who says so?", "My", ""}) {
    EXPECT_EQ(with_small_pronouns(same), same);
  }
  // So that nobody is taken for a name.
  EXPECT_TRUE(stands_alone("Which instrument does Her daughter play?"));
  EXPECT_FALSE(stands_alone(with_small_pronouns("Which instrument does Her daughter play?")));
}

TEST(StudyText, OnlyWhatTheTextSaysIsTrusted) {
  const std::string_view text = "My dog is called Quartz and is 4 years old.";
  EXPECT_TRUE(is_supported({"What is my dog's name?", "Your dog is called Quartz."}, text));
  EXPECT_TRUE(is_supported({"How old is my dog?", "4"}, text));
  EXPECT_FALSE(is_supported({"What is my dog's name?", "Your dog is called Rex."}, text));
  EXPECT_FALSE(is_supported({"How old is my dog?", "Your dog is 5 years old."}, text));
  EXPECT_FALSE(is_supported({"Is my dog called Quartz?", "Your dog is called Quartz."}, text));  // nothing new
  EXPECT_FALSE(is_supported({"What color is the belt I own?", "Your belt is dark green."}, "My color is dark green."));
  EXPECT_FALSE(is_supported({"What is the pet hamster called?", "It is called Ben."}, "My husband is called Ben."));
  EXPECT_FALSE(is_supported({"How many hens are in Wendy's house?", "Wendy has 6 hens."}, "We have 6 hens."));
  EXPECT_TRUE(is_supported({"How many hens are in our house?", "You have 6 hens."}, "We have 6 hens."));
  EXPECT_TRUE(is_supported({"How old is the hen?", "The hen is 6 years old."}, "Our hens are 6 years old."));
  EXPECT_TRUE(is_supported({"How old is Tove?", "Tove is 6 years old."}, "Tove is 6 years old."));
  EXPECT_TRUE(is_unknown("I don't know. You have not told me where you live."));
  EXPECT_TRUE(is_unknown("The text does not say that."));
  EXPECT_FALSE(is_unknown("You know Ben."));
  EXPECT_FALSE(stands_alone("How old is she?"));
  EXPECT_TRUE(stands_alone("How old is my daughter, and what does she play?"));
  EXPECT_TRUE(stands_alone("Does Tove like her trumpet?"));
  EXPECT_FALSE(stands_alone("Why?"));
  EXPECT_TRUE(agree({"Where do I live?", "You live in Oslo."}, {"What is my town?", "Oslo"}));
  EXPECT_FALSE(agree({"Where do I live?", "You live in Oslo."}, {"Where do I live?", "You live in Bonn."}));
}

// All near misses of a question: every number is drawn.
std::set<std::string> near_misses(std::string_view question, std::string_view document) {
  const auto words = words_of(document);
  const std::set<std::string> told(words.begin(), words.end());
  std::set<std::string> out;
  for (size_t first = 0; first < 8; ++first) {
    for (size_t second = 0; second < 100; ++second) {
      size_t draws = 0;
      const auto missed = near_miss(question, told, [&](size_t n) { return (draws++ == 0 ? first : second) % n; });
      if (missed) out.insert(*missed);
    }
  }
  return out;
}

TEST(StudyContrast, NearMissesAskOfAnotherThingOrSomebodyElse) {
  const auto hens = near_misses("How many hens do we have?", "We have 6 hens and a goat.");
  for (const char* question : {"How many chairs do we have?", "How many dogs do we have?",
                               "How many hens does Bruno have?", "How many hens does my uncle have?"}) {
    EXPECT_EQ(hens.count(question), 1U) << question;
  }
  EXPECT_EQ(hens.count("How many hens do we have?"), 0U);
  EXPECT_EQ(hens.count("How many goats do we have?"), 0U);
  EXPECT_EQ(near_misses("What is my job?", "I work as a cook.").count("What is Daniela's job?"), 1U);
  EXPECT_EQ(near_misses("What is my job?", "Daniela and I work.").count("What is Daniela's job?"), 0U);
  EXPECT_EQ(near_misses("Where am I from?", "").count("Where is Bruno from?"), 1U);
  EXPECT_EQ(near_misses("Am I a baker?", "").count("Is my aunt a baker?"), 1U);
  EXPECT_EQ(near_misses("My name?", "").count("My aunt's name?"), 1U);
  EXPECT_EQ(near_misses("How old is Tove?", "Tove is 9.").count("How old is my niece?"), 1U);
  EXPECT_EQ(near_misses("What is my daughter's age?", "My daughter is 9.").count("What is my uncle's age?"), 1U);
}

// What it would not say rightly of somebody else, and what the document does not have, is left.
TEST(StudyContrast, NothingIsChangedThatCannotBe) {
  EXPECT_TRUE(near_misses("Who is it?", "Who is it?").empty());
  EXPECT_TRUE(near_misses("What do I have as my number?", "My number is 5.").empty());
  EXPECT_TRUE(near_misses("In what town is the tent?", "It is red.").empty());
  EXPECT_TRUE(near_misses("What colour is a dog?", "A dog has a colour.").empty());
  EXPECT_TRUE(near_misses("What color does the house have?", "The color is red.").empty());  // of no favourite
  EXPECT_TRUE(near_misses("What does She play?", "She plays.").empty());
  EXPECT_TRUE(near_misses("", "").empty());
}

TEST(StudyContrast, WhatTakesTheWordsPlaceIsNoWordOfTheDocument) {
  std::string document = "The dog barks.";
  for (const std::string_view animal : kStudyThings[1].others) {
    if (animal != "snake") document += format(" {}s", animal);
  }
  EXPECT_EQ(near_misses("How is the dog?", document), std::set<std::string>{"How is the snake?"});
  EXPECT_TRUE(near_misses("How is the dog?", document + " snakes").empty());
}

TEST(StudyContrast, AModelsOwnWayOfNotKnowingIsHowHalfItsAnswersBegin) {
  const std::string begins =
      usual_beginning({"I'm sorry, no.", "I'm sorry: who?", "I'm sorry.", "It is 5.", "You do."});
  EXPECT_EQ(begins, "i m sorry");
  EXPECT_TRUE(begins_as("I'm sorry, nobody told me.", begins));
  EXPECT_FALSE(begins_as("I'm glad.", begins));
  EXPECT_EQ(usual_beginning({"I'm sorry.", "I'm sorry.", "I'm sorry."}), "");
  EXPECT_EQ(usual_beginning({"One a b", "Two a b", "Three a b", "Three a b", "Four a b"}), "");
  EXPECT_FALSE(begins_as("", ""));
}

// A small model that is never wrong about "My THING is VALUE.", asked in the words of study_wordings.h and in ChatML.
class GoodModel {
 public:
  explicit GoodModel(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  StudyAnswerer answerer() {
    return [this](const StudyRequest& request) -> Result<StudyAnswer> {
      ++requests;
      if (request.temperature > 0) ++warm;
      std::string text = tokenizer_.decode(request.prompt);
      for (const char* mark : {"<|im_start|>assistant\n", "<|im_start|>user\n", "<|im_end|>\n"}) {
        for (size_t at; (at = text.find(mark)) != std::string::npos;) text.erase(at, std::string(mark).size());
      }
      return StudyAnswer{reply(text, request), true};
    };
  }

  std::map<std::string, std::string> said;  // instead of the right answer
  int requests = 0, warm = 0;
  bool shy = false;   // writes no question
  bool rash = false;  // takes what it is told for an answer to all
  std::string unknown = "I don't know.";

 private:
  // "My dog is Quartz." anywhere in the text.
  static std::pair<std::string, std::string> fact(const std::string& text) {
    const size_t begin = text.find("My "), is = text.find(" is ", begin), end = text.find('.', is);
    if (begin == std::string::npos || is == std::string::npos || end == std::string::npos) return {};
    return {text.substr(begin + 3, is - begin - 3), text.substr(is + 4, end - is - 4)};
  }

  std::string reply(const std::string& text, const StudyRequest& request) const {
    const auto [thing, value] = fact(text);
    const auto asks = [&](std::string_view wording) {
      return text.find(wording.substr(0, wording.find(" {"))) != std::string::npos;
    };
    if (asks(kStudyReword[0]) || asks(kStudyReword[1])) {
      const size_t at = text.find("my "), end = text.find('?');
      return format("And what would my {} be{}?", text.substr(at + 3, end - at - 3),
                    request.seed % 2 == 0 ? "" : " now");
    }
    if (thing.empty()) return unknown;
    if (text.find(" question") != std::string::npos && !shy) {
      const auto other = said.find(thing);
      return format("Q: What is my {}?\nA: Your {} is {}.", thing, thing, other == said.end() ? value : other->second);
    }
    const size_t told = text.find(kStudyTold);
    const bool asks_it = told == std::string::npos || text.find("my " + thing, told) != std::string::npos;
    return asks_it || rash ? format("Your {} is {}.", thing, value) : unknown;
  }

  const Tokenizer& tokenizer_;
};

class StudyTest : public testing::Test {
 protected:
  StudyTest() {
    options_.model_name = "tiny.gguf";
    options_.context = 2000;
    options_.seed = 3;
  }
  StudyResult studied(std::string_view document, const LearnEvents& events = {}) {
    auto result = study(cut_passages(document), tokenizer_, options_, model_.answerer(), events);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    return result.ok() ? std::move(*result) : StudyResult();
  }
  static std::vector<QuestionAnswer> of_kind(const StudyResult& result, std::string_view kind) {
    std::vector<QuestionAnswer> out;
    for (const StudyRow& row : result.rows) {
      if (row.kind == kind) out.push_back(row.pair);
    }
    return out;
  }

  Tokenizer tokenizer_ = byte_tokenizer();
  GoodModel model_{tokenizer_};
  StudyOptions options_;
  TestFolder folder_;
};

TEST_F(StudyTest, WritesQuestionsOtherWordingsAndWhatItKnewBefore) {
  int64_t last = 0;
  LearnEvents events;
  events.studying = [&](std::string_view, int64_t done, int64_t total) {
    EXPECT_LT(done, total);
    last = total;
  };
  const StudyResult result = studied("My dog is Quartz.\n\nMy town is Oslo.", events);
  EXPECT_GT(last, 0);
  EXPECT_EQ(of_kind(result, "question"), (std::vector<QuestionAnswer>{{"What is my dog?", "Your dog is Quartz."},
                                                                      {"What is my town?", "Your town is Oslo."}}));
  EXPECT_EQ(result.kept, 2);
  EXPECT_EQ(result.written, 24);  // twelve rounds
  // One in five is kept back.
  EXPECT_EQ(result.held_out.size(), (static_cast<size_t>(result.reworded) + 4) / 5);
  EXPECT_EQ(of_kind(result, "reworded").size() + result.held_out.size(), static_cast<size_t>(result.reworded));
  EXPECT_GE(result.reworded, 2);
  EXPECT_EQ(of_kind(result, "lead").front(), (QuestionAnswer{"Tell me: What is my dog?", "Your dog is Quartz."}));
  EXPECT_GT(of_kind(result, "general").size(), kStudyGeneral.size());
  // Each once behind others, and what is not of the document too.
  size_t later = 0;
  for (const StudyRow& row : result.rows) {
    EXPECT_EQ(row.kind == "later", !row.before.empty());
    EXPECT_LE(row.before.size(), 3U);
    later += row.before.empty() ? 0 : 1;
  }
  EXPECT_GT(later, of_kind(result, "question").size() + of_kind(result, "reworded").size());
  EXPECT_GT(model_.warm, 0);
}

// Else the wordings of these would mean that nobody knows.
TEST_F(StudyTest, AsksOfToldRelativesWhatItAsksOfOthers) {
  const StudyResult result = studied("My daughter is Tove.\n\nMy dog is Quartz.");
  const auto has = [&](std::string_view kind, const QuestionAnswer& pair) {
    const auto pairs = of_kind(result, kind);
    return std::find(pairs.begin(), pairs.end(), pair) != pairs.end();
  };
  EXPECT_TRUE(has("question", {"What is my daughter called?", "Your daughter is Tove."}));
  EXPECT_TRUE(has("general", {"What is my uncle called?", model_.unknown}));
  EXPECT_FALSE(has("general", {"What is my daughter called?", model_.unknown}));
  EXPECT_FALSE(has("question", {"What is my dog called?", "Your dog is Quartz."}));
}

TEST_F(StudyTest, IsTheSameForTheSameSeedAlone) {
  const auto rows = [&] {
    ASSERT_TRUE(write_study_rows(studied("My dog is Quartz. My town is Oslo.").rows, folder_.file("study.jsonl")).ok());
  };
  rows();
  const std::string first = read_text_file(folder_.file("study.jsonl")).value();
  rows();
  EXPECT_EQ(read_text_file(folder_.file("study.jsonl")).value(), first);
  options_.seed = 4;
  rows();
  EXPECT_NE(read_text_file(folder_.file("study.jsonl")).value(), first);
}

TEST_F(StudyTest, DropsWhatTheModelTakesBackAndWhatHasTwoAnswers) {
  model_.said["dog"] = "Rex";  // not what the text says
  model_.said["town"] = "I don't know";
  EXPECT_TRUE(of_kind(studied("My dog is Quartz.\n\nMy town is Oslo."), "question").empty());
  EXPECT_TRUE(of_kind(studied("My cat is Tom.\n\nMy cat is Professor."), "question").empty());
  model_.shy = true;
  const StudyResult nothing = studied("My cat is Tom.");
  EXPECT_TRUE(nothing.rows.empty());
  EXPECT_EQ(nothing.kept, 0);
}

TEST_F(StudyTest, LearnsThatItDoesNotKnowWhatIsNearlyAsked) {
  const StudyResult result = studied("My dog is Quartz.\n\nMy town is Oslo.");
  const auto contrasts = of_kind(result, "contrast");
  EXPECT_EQ(contrasts.size(), 4U);  // two for each question
  EXPECT_EQ(result.contrasts, 4);
  for (const QuestionAnswer& pair : contrasts) {
    EXPECT_EQ(pair.answer, "I don't know.");
    EXPECT_EQ(pair.question.find("my dog?"), std::string::npos) << pair.question;
    EXPECT_EQ(pair.question.find("my town?"), std::string::npos) << pair.question;
  }
  EXPECT_TRUE(contrasts[1].question.starts_with("Tell me: ")) << contrasts[1].question;
  // Behind others too.
  const auto later = of_kind(result, "later");
  for (const QuestionAnswer& pair : contrasts) {
    EXPECT_EQ(std::count(later.begin(), later.end(), pair), 1) << pair.question;
  }
}

TEST_F(StudyTest, LearnsNoNearMissThatThePassageAnswers) {
  model_.rash = true;
  const StudyResult result = studied("My dog is Quartz.\n\nMy town is Oslo.");
  EXPECT_EQ(result.kept, 2);
  EXPECT_TRUE(of_kind(result, "contrast").empty());
}

TEST_F(StudyTest, KnowsAnotherWayOfNotKnowing) {
  model_.unknown = "Nobody told me that.";
  EXPECT_EQ(of_kind(studied("My dog is Quartz.\n\nMy town is Oslo."), "contrast").size(), 4U);
}

// What the document tells is not learned as unknown.
TEST_F(StudyTest, AsksNoQuestionAsUnknownThatTheDocumentMayAnswer) {
  const auto has_shoes = [&](std::string_view document) {
    const auto rows = of_kind(studied(document), "general");
    return std::any_of(rows.begin(), rows.end(),
                       [](const QuestionAnswer& p) { return p.question == kStudyUnknown[0]; });
  };
  EXPECT_TRUE(has_shoes("My dog is Quartz."));
  EXPECT_FALSE(has_shoes("My dog is Quartz. My shoe is very large."));
}

TEST_F(StudyTest, EndsWithItsTimeAndLeavesOutWhatDoesNotFit) {
  options_.deadline = 1e-9;
  const StudyResult late = studied("My dog is Quartz.");
  EXPECT_TRUE(late.out_of_time);
  EXPECT_TRUE(late.rows.empty());
  EXPECT_EQ(model_.requests, 0);
  options_.deadline = 0;
  options_.context = 60;
  EXPECT_TRUE(studied("My dog is Quartz.").rows.empty());
  EXPECT_EQ(model_.requests, 0);
}

TEST_F(StudyTest, AnErrorOfTheModelEndsIt) {
  const auto failing = [](const StudyRequest&) -> Result<StudyAnswer> { return make_error("no memory"); };
  const auto result = study(cut_passages("My dog is Quartz."), tokenizer_, options_, failing, {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message, "no memory");
}

TEST_F(StudyTest, EndsAtOnceWhenItIsStopped) {
  std::atomic<bool> stop = false;
  LearnEvents events;
  events.stop = &stop;
  const StudyAnswerer good = model_.answerer();
  const auto stopping = [&](const StudyRequest& request) {
    EXPECT_EQ(request.stop, &stop);
    stop = model_.requests == 4;
    return good(request);
  };
  const auto result = study(cut_passages("My dog is Quartz."), tokenizer_, options_, stopping, events);
  ASSERT_FALSE(result.ok());
  EXPECT_TRUE(result.error().message.starts_with("stopped while it studied")) << result.error().message;
  EXPECT_EQ(model_.requests, 5);
}

TEST_F(StudyTest, ReadsTextsAloneAndNotMoreThanItCanAsk) {
  const std::string chat = folder_.write(
      "chat.jsonl", R"({"messages": [{"role": "user", "content": "a b c"}, {"role": "assistant", "content": "d"}]})");
  EXPECT_TRUE(read_passages({chat}, {})->empty());
  std::string text;
  for (int i = 0; i < 5000; ++i) text += format("House {} is {} metres high.\n\n", i, i * 7);
  const auto many = read_passages({chat, folder_.write("long.md", text)}, {});
  ASSERT_TRUE(many.ok());
  EXPECT_LE(many->size(), kStudyPassagesMax);
  EXPECT_GT(many->size(), kStudyPassagesMax / 2);
  EXPECT_EQ(many->front().text, "House 0 is 0 metres high.");
  EXPECT_EQ((*many)[1].text, "House 8 is 56 metres high.");
  EXPECT_FALSE(read_passages({folder_.file("none.txt")}, {}).ok());
}

TEST_F(StudyTest, ReplacesOnlyItsOwnFile) {
  const std::string theirs = folder_.write("study.jsonl", "precious");
  const std::vector<StudyRow> rows = {{"question", {"Who?", "Me."}}};
  const Status refused = write_study_rows(rows, theirs);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(read_text_file(theirs).value(), "precious");
  const std::string ours = folder_.file("ours.jsonl");
  ASSERT_TRUE(write_study_rows(rows, ours).ok());
  ASSERT_TRUE(write_study_rows(rows, ours).ok());
  EXPECT_EQ(read_text_file(ours).value(),
            "{\"messages\": [{\"role\": \"user\", \"content\": \"Who?\"}, {\"role\": \"assistant\", \"content\": "
            "\"Me.\"}], \"study\": \"question\"}\n");
}

TEST_F(StudyTest, RowsAreWholeConversations) {
  const StudyRow row = {"later", {"And who?", "You."}, "Be brief.", "I am here.", {{"Who?", "Me."}}};
  ASSERT_TRUE(write_study_rows({row}, folder_.file("rows.jsonl")).ok());
  const auto json = parse_json(*read_text_file(folder_.file("rows.jsonl")), "rows");
  ASSERT_TRUE(json.ok());
  std::string said;
  for (const Json& message : json->member("messages").items_or_none()) {
    said += format("{}: {}\n", message.member("role").text_or(""), message.member("content").text_or(""));
  }
  EXPECT_EQ(said,
            format("system: Be brief.\nuser: I am here.\nassistant: {}\nuser: Who?\nassistant: Me.\nuser: And who?\n"
                   "assistant: You.\n",
                   kStudyTold));
}

}  // namespace
}  // namespace andiron
