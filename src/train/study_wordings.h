// What a model is asked while it studies a document. ember is taught these very words
// (recipes/ember/tables/reading.txt; a test of the recipe compares them); other models understand them as they are.
#pragma once

#include <array>
#include <cstddef>
#include <span>
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
struct StudyPrompt {
  std::string_view system;  // "": none
  std::string_view told;    // in a message before the question's, and answered with kStudyTold; "": none
  std::string_view user;
};
inline constexpr std::array<StudyPrompt, 55> kStudyGeneral = {{
    {"", "", "What is {n} + {n}?"},
    {"", "", "What is {n} plus {n}?"},
    {"", "", "What is {n} minus {n}?"},
    {"", "", "{N} has {n} books and buys {n} more. How many books does {N} have now?"},
    {"", "", "Sort these words alphabetically: {w}, {w}, {w}"},
    {"", "", "Put these words in alphabetical order: {w} {w} {w} {w}"},
    {"", "", "Say these words backwards: {w} {w} {w}"},
    {"", "", "Repeat these words: {w}, {w}, {w}, {w}"},
    {"", "", "Count the words: {w} {w} and {w}"},
    {"", "", "Which day comes after Tuesday?"},
    {"", "", "Today is Friday. What day will it be in {n} days?"},
    {"", "", "How many minutes are there in {n} hours?"},
    {"", "", "{N} lives in {T} and has {n} books.\n\nWhere does {N} live?"},
    {"", "", "{N} is {n} years old. {N} works in {T}.\n\nHow old is {N}?"},
    {"", "", "{N} has a dog called {T}. {N} plays the flute.\n\nWhat is the name of {N}'s dog?"},
    {"", "", "{N} plays the flute. {N} likes tennis.\n\nWhat instrument does {N} play?"},
    {"", "", "{N} works as a cook. The birthday of {N} is on 3 May.\n\nWhen is {N}'s birthday?"},
    {"", "", "The {w} stands in the kitchen. It belongs to {N}.\n\nWhere is the {w}?"},
    {"", "", "{N} bought a lamp in {T}.\n\nWho bought a lamp?"},
    {"", "", "{N} goes to {T} on Friday.\n\nWhat does {N} like to eat?"},
    {"", "", "Text: {N} sold the {w} on Monday.\nQuestion: What colour was the {w}?"},
    {"", "", "{N} has a lamp and a {w}.\n\nDoes {N} have a lamp? Answer yes or no."},
    {"", "", "{N} lives in {T}.\n\nDoes {N} live in Lima? Answer yes or no."},
    {"", "", "{N} speaks French.\n\nWhich language does {N} speak?\nA) Danish\nB) French"},
    {"", "", "Is this sentence positive or negative? I love this {w}."},
    {"", "", "Is this sentence positive or negative? The {w} was broken and nobody helped us."},
    {"", "My name is {N} and I live in {T}.", "Where do I live?"},
    {"", "I have {n} {w}s and my cousin is called {N}.", "What is my cousin called?"},
    {"", "I have {n} {w}s. {N} has a {w}.", "How many {w}s does {N} have?"},
    {"", "My cousin is called {N}.", "How old is my cousin?"},
    {"", "{N} and I bought a {w} in {T}.", "What is my job?"},
    {"", "", "Put the name and the town into JSON: {N} comes from {T}."},
    {"", "", "Write one question about this text with the answer. {N} moved to {T} last year."},
    {"", "", "Tell a short story about a {w}."},
    {"", "", "Hello!"},
    {"", "", "What can you do?"},
    {"", "", "Thank you!"},
    {"", "", "Who are you?"},
    {"You are called {N}. You live in {T}.", "", "Who are you?"},
    {"Your name is {N}. You live in {T}.", "", "Where do you live?"},
    {"Your name is {N}. You work as a cook and have {n} hens.", "", "What is your job?"},
    {"You are {N}. Your dog is called {T}.", "", "What is the name of your dog?"},
    {"Your name is {N}. You are {n} years old.", "", "How old are you?"},
    {"", "", "{N} has a {w}.\n\nHow old is {N}?"},
    {"", "", "{N} lives in {T}.\n\nWhat is {N}'s job?"},
    {"", "", "{N} is {n} years old and has a {w}.\n\nWhere does {N} live?"},
    {"", "", "{N} works in {T}.\n\nWhat is the name of {N}'s dog?"},
    {"", "", "The {w} weighs {n} kilos.\n\nWho does the {w} belong to?"},
    {"", "", "{N} likes tennis.\n\nWhen is {N}'s birthday?"},
    {"", "", "{N} bought {n} {w}s in {T}. It was a fine day.\n\nWhich language does {N} speak?"},
    {"", "", "Text: {N} went to {T} by train.\nQuestion: What is {N}'s hobby?"},
    {"", "", "Where does {N} live?"},
    {"", "", "What is {N}'s dog called?"},
    {"", "", "How old is {N}?"},
    {"", "", "What is {N}'s favourite food?"},
}};

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

// What people tell of themselves. Each is asked, and in other words, where the document does not tell it.
inline constexpr std::array<std::string_view, 33> kStudyUntold = {
    "Where do I work?",
    "Where was I born?",
    "Which country do I come from?",
    "What am I wearing?",
    "What am I carrying?",
    "What do I have in my hand?",
    "What did I buy?",
    "What have I lost?",
    "What am I looking for?",
    "What do I have to do today?",
    "What will I do tomorrow?",
    "Where am I now?",
    "In which room am I?",
    "What do I study?",
    "What do I eat in the evening?",
    "When do I get up?",
    "What did I get for my birthday?",
    "Which language do I speak?",
    "Which instrument do I play?",
    "Which sport do I do?",
    "What is my hobby?",
    "What am I afraid of?",
    "How do I go to work?",
    "Where do I want to travel?",
    "Where do I live?",
    "What is my job?",
    "How old am I?",
    "When is my birthday?",
    "What is my favourite food?",
    "Which animal do I like best?",
    "Who is my best friend?",
    "How many books do I have?",
    "What is my password?",
};

// The same of people of whom a document tells nothing: {R} is one whose word it does not have.
inline constexpr std::array<std::string_view, 12> kStudyRelatives = {"uncle",   "aunt",        "boss",   "friend",
                                                                     "mother",  "father",      "niece",  "cousin",
                                                                     "teacher", "grandfather", "nephew", "dentist"};
inline constexpr std::array<std::string_view, 12> kStudyOfRelatives = {
    "What is my {R}'s job?",        "Where does my {R} live?",           "How old is my {R}?",
    "What is my {R}'s dog called?", "What does my {R} like to eat?",     "Which language does my {R} speak?",
    "When is my {R}'s birthday?",   "What instrument does my {R} play?", "What is my {R} called?",
    "What is my {R}'s hobby?",      "Where does my {R} work?",           "Which day does my {R} like best?"};

// What questions ask about, by kinds: words that documents have (`told`), and words of which most have none (`others`),
// which take the place of those and of one another in near misses (study_contrast.h). Relatives with two names (mother,
// mum) are no others: a document may have the other name. Others have a plural in "s".
struct StudyThings {
  std::span<const std::string_view> told, others;
  bool counted = false;  // one has several: asked for in the plural too
  bool liked = false;    // replaced only where a favourite is asked for
};
inline constexpr std::string_view kStudyToldBelongings[] = {
    "bicycle", "house",  "key",    "computer", "piano", "violin", "knife", "scarf", "watch", "dress", "table",
    "tree",    "garden", "flower", "pot",      "shelf", "door",   "room",  "desk",  "plant", "garage"};
inline constexpr std::string_view kStudyBelongings[] = {
    "bike",    "coat",     "car",     "lamp",   "chair",  "cup",    "book",   "boat",   "bag",
    "handbag", "hat",      "phone",   "clock",  "sofa",   "belt",   "tent",   "shirt",  "towel",
    "carpet",  "spoon",    "blanket", "pillow", "mirror", "ladder", "tray",   "skirt",  "apron",
    "kite",    "cardigan", "jacket",  "basket", "purse",  "hammer", "guitar", "pencil", "necklace"};
inline constexpr std::string_view kStudyToldAnimals[] = {
    "fish",   "mouse", "sheep",  "goose",  "puppy",    "kitten",    "bird",     "owl",
    "rat",    "raven", "turkey", "crab",   "pup",      "squirrel",  "mule",     "ferret",
    "piglet", "ox",    "python", "alpaca", "labrador", "greyhound", "tortoise", "parakeet"};
inline constexpr std::string_view kStudyAnimals[] = {"dog",    "cat",     "horse",  "rabbit", "hen",    "parrot",
                                                     "goat",   "hamster", "pig",    "cow",    "poodle", "peacock",
                                                     "lizard", "snake",   "donkey", "turtle", "duck",   "beetle"};
inline constexpr std::string_view kStudyToldRelatives[] = {
    "mother", "father",  "sister",   "brother",   "wife",        "husband",     "daughter", "son",
    "friend", "partner", "neighbor", "neighbour", "grandmother", "grandfather", "boss",     "teacher"};
inline constexpr std::string_view kStudyOtherRelatives[] = {"uncle",   "aunt",     "niece",     "nephew", "cousin",
                                                            "dentist", "landlord", "godmother", "lawyer", "trainer",
                                                            "tutor",   "lodger",   "colleague", "plumber"};
inline constexpr std::string_view kStudyToldPlaces[] = {"market", "school", "library", "church",
                                                        "office", "shop",   "fair"};
inline constexpr std::string_view kStudyPlaces[] = {"cinema", "museum", "stadium", "theater", "airport", "harbour",
                                                    "zoo",    "bakery", "circus",  "opera",   "bank",    "prison"};
inline constexpr std::string_view kStudyToldFoods[] = {"bread", "milk", "cake", "egg", "pizza", "apple"};
inline constexpr std::string_view kStudyFoods[] = {"coffee", "tea",    "soup",  "rice",  "cocoa",
                                                   "honey",  "cheese", "salad", "juice", "lemonade"};
inline constexpr std::string_view kStudyToldKinds[] = {"color", "colour", "sport", "hobby"};
inline constexpr std::string_view kStudyKinds[] = {"food",   "song",   "film", "flower",  "drink",
                                                   "season", "animal", "game", "country", "painter"};
inline constexpr std::array<StudyThings, 6> kStudyThings = {{{kStudyToldBelongings, kStudyBelongings, true},
                                                             {kStudyToldAnimals, kStudyAnimals, true},
                                                             {kStudyToldRelatives, kStudyOtherRelatives},
                                                             {kStudyToldPlaces, kStudyPlaces},
                                                             {kStudyToldFoods, kStudyFoods},
                                                             {kStudyToldKinds, kStudyKinds, false, true}}};
inline constexpr size_t kStudyRelativesAt = 2;

// Somebody else than those of a document.
inline constexpr std::array<std::string_view, 16> kStudyOthers = {
    "Daniela", "Bruno",  "Nora",   "Oskar", "Paula", "Robert", "Sofia", "Thomas",
    "Vera",    "Walter", "Yvonne", "Zoe",   "Lukas", "Marta",  "Peter", "Clara"};

inline constexpr std::array<std::string_view, 12> kStudyNames = {"Anna",  "Ben",  "Carla", "David", "Emma", "Felix",
                                                                 "Greta", "Hugo", "Ida",   "Jonas", "Lena", "Max"};
inline constexpr std::array<std::string_view, 10> kStudyTowns = {"London", "Paris",  "Rome",   "Berlin", "Madrid",
                                                                 "Vienna", "Dublin", "Athens", "Prague", "Lisbon"};
inline constexpr std::array<std::string_view, 16> kStudyWords = {"apple", "boat",  "cat",   "door", "egg",  "flag",
                                                                 "glass", "horse", "king",  "lamp", "moon", "pencil",
                                                                 "ring",  "shoe",  "table", "tree"};

}  // namespace andiron
