// What a model is asked while it studies a document. ember is taught these very words
// (recipes/ember/tables/reading.txt; a test of the recipe compares them); other models understand them as they are.
#pragma once

#include <array>
#include <string_view>

namespace andiron {

// {COUNT} questions about {TEXT}.
inline constexpr std::array<std::string_view, 4> kStudyWrite = {
    "Write {COUNT} about this text with their answers.\n{TEXT}",
    "Make {COUNT} from this text and answer:\n{TEXT}",
    "{TEXT}\n\nWrite {COUNT} about this text and answer.",
    "Read the text and write {COUNT}, with answers.\n\n{TEXT}",
};
inline constexpr std::array<std::string_view, 3> kStudyCount = {"one question", "two questions", "three questions"};

// The question {Q} once more.
inline constexpr std::array<std::string_view, 2> kStudyReword = {
    "Say this question in other words: {Q}",
    "Ask this question in another way: {Q}",
};

// A question with its text before it.
inline constexpr std::string_view kStudyAsk = "{TEXT}\n\n{Q}";
// What somebody tells of himself is told first, and answered with this.
inline constexpr std::string_view kStudyTold = "I will remember that.";

// How a question comes when the text is no longer there: each is learned as it is and in one of these.
inline constexpr std::array<std::string_view, 4> kStudyLead = {"Tell me: {Q}", "Please tell me: {Q}",
                                                               "Do you know: {Q}", "My question: {Q}"};

// What has nothing to do with any document. The model's own answers to these are learned beside the new ones, lest it
// forget how to do them. {n} is a number from 2 to 60, {N} a name, {T} a town, {w} a word.
inline constexpr std::array<std::string_view, 24> kStudyGeneral = {
    "What is {n} + {n}?",
    "What is {n} plus {n}?",
    "What is {n} minus {n}?",
    "Sort these words alphabetically: {w}, {w}, {w}",
    "Put these words in alphabetical order: {w} {w} {w} {w}",
    "Say these words backwards: {w} {w} {w}",
    "Which day comes after Tuesday?",
    "How many minutes are there in {n} hours?",
    "{N} lives in {T} and has {n} books.\n\nWhere does {N} live?",
    "{N} is {n} years old. {N} works in {T}.\n\nHow old is {N}?",
    "{N} bought a {w} in {T}.\n\nWho bought a {w}?",
    "Text: {N} sold the {w} on Monday.\nQuestion: What colour was the {w}?",
    "{N} has a {w}. {N} has no {w}.\n\nDoes {N} have a {w}? Answer yes or no.",
    "Is this sentence positive or negative? I love this {w}.",
    "Is this sentence positive or negative? The {w} was broken and nobody helped us.",
    "My name is {N} and I live in {T}. Where do I live?",
    "I have {n} {w}s and my brother is called {N}. What is my brother called?",
    "Put the name and the town into JSON: {N} comes from {T}.",
    "Write one question about this text with the answer. {N} moved to {T} last year.",
    "Tell a short story about a {w}.",
    "Who are you?",
    "Hello!",
    "What can you do?",
    "Thank you!",
};

// What a document seldom tells of somebody. Asked for none whose words it has, so that the answers stay what they are:
// that it is not known.
inline constexpr std::array<std::string_view, 24> kStudyUnknown = {
    "What is my shoe size?",
    "Which school did I go to?",
    "What is my telephone number?",
    "How tall am I?",
    "Which language did my grandmother speak?",
    "What is the name of my dentist?",
    "What time did I get up today?",
    "Which book did I read last?",
    "What did I eat for breakfast?",
    "How much money do I earn?",
    "Who is my best friend?",
    "What is my uncle called?",
    "Where does my boss live?",
    "What colour are my eyes?",
    "Which film do I like best?",
    "When did I buy my computer?",
    "Where did I park the car?",
    "What does my aunt do for a living?",
    "How many shirts do I have?",
    "Where is my umbrella?",
    "Which team do I support?",
    "When is my next holiday?",
    "Who is my doctor?",
    "What is my favourite song?",
};

inline constexpr std::array<std::string_view, 12> kStudyNames = {"Anna",  "Ben",  "Carla", "David", "Emma", "Felix",
                                                                 "Greta", "Hugo", "Ida",   "Jonas", "Lena", "Max"};
inline constexpr std::array<std::string_view, 10> kStudyTowns = {"London", "Paris",  "Rome",   "Berlin", "Madrid",
                                                                 "Vienna", "Dublin", "Athens", "Prague", "Lisbon"};
inline constexpr std::array<std::string_view, 16> kStudyWords = {"apple", "boat",  "cat",   "door", "egg",  "flag",
                                                                 "glass", "horse", "king",  "lamp", "moon", "pencil",
                                                                 "ring",  "shoe",  "table", "tree"};

}  // namespace andiron
