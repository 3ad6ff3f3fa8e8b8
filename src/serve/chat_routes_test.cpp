#include "serve/chat_routes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <tuple>

#include "http/raw_client.h"
#include "http/security_matrix.h"
#include "serve/chat_requests.h"
#include "store/store_fixture.h"

namespace andiron {
namespace {

struct Answer {
  int status = 0;
  std::string head, body;
  Json json;
};

class ChatRoutesTest : public StoreTest {
 protected:
  Answer ask(const std::string& method, const std::string& path, const std::string& body = "") {
    const std::string content =
        body.empty() ? "" : format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
    const std::string whole =
        server_.ask(format("{} /api/store/{} HTTP/1.1\r\nHost: HERE\r\n{}\r\n{}", method, path, content, body));
    Answer out;
    const size_t end = whole.find("\r\n\r\n");
    out.status = status_in(whole);
    out.head = whole.substr(0, end);
    out.body = end == std::string::npos ? "" : whole.substr(end + 4);
    if (auto json = parse_json(out.body, "the answer"); json.ok()) out.json = std::move(*json);
    return out;
  }
  // The code and the field of an error.
  static std::string fault(const Answer& answer) {
    const Json& error = answer.json.member("error");
    return format("{} {} {}", answer.status, error.member("code").text_or("-"), error.member("param").text_or("-"));
  }
  std::string create(const std::string& body = "{}") {
    const Answer answer = ask("POST", "conversations", body);
    EXPECT_EQ(answer.status, 201) << answer.body;
    return std::string(answer.json.member("id").text_or(""));
  }
  std::string add(const std::string& conversation, const std::string& body) {
    const Answer answer = ask("POST", "conversations/" + conversation + "/messages", body);
    EXPECT_EQ(answer.status, 201) << answer.body;
    return std::string(answer.json.member("id").text_or(""));
  }

  TestServer server_{chat_routes(*store_)};
};

TEST_F(ChatRoutesTest, AConversationIsMadeReadChangedAndRemoved) {
  const std::string id = create(R"({"title": "A", "system": "Be brief.", "sampling": {"temperature": 0.5}})");
  Answer read = ask("GET", "conversations/" + id);
  EXPECT_EQ(read.status, 200);
  EXPECT_EQ(read.json.member("conversation").member("system").text_or(""), "Be brief.");
  EXPECT_EQ(read.json.member("conversation").member("sampling").member("temperature").number_or(0), 0.5);
  EXPECT_EQ(read.json.member("messages").items().size(), 0U);

  Answer changed = ask("PATCH", "conversations/" + id, R"({"title": "B", "for_training": true})");
  EXPECT_EQ(changed.status, 200) << changed.body;
  EXPECT_EQ(changed.json.member("title").text_or(""), "B");
  EXPECT_TRUE(changed.json.member("for_training").bool_or(false));
  EXPECT_EQ(changed.json.member("system").text_or(""), "Be brief.") << "what is not given stays";

  Answer removed = ask("DELETE", "conversations/" + id);
  EXPECT_EQ(removed.status, 200);
  EXPECT_EQ(removed.json.member("removed").member("conversations").number_or(0), 1);
  EXPECT_TRUE(removed.json.member("traces_gone").bool_or(false));
  EXPECT_EQ(fault(ask("GET", "conversations/" + id)), "404 not_found -");
  EXPECT_EQ(fault(ask("PATCH", "conversations/" + id, "{}")), "404 not_found -");
  EXPECT_EQ(fault(ask("DELETE", "conversations/" + id)), "404 not_found -");
}

TEST_F(ChatRoutesTest, AListTellsWhetherThereAreMore) {
  std::vector<std::string> ids;
  for (const char* title : {"one", "two", "three"}) {
    ids.push_back(create(format(R"({{"title": "{}", "system": "long"}})", title)));
  }
  Answer some = ask("GET", "conversations?limit=2");
  ASSERT_EQ(some.json.member("conversations").items_or_none().size(), 2U);
  EXPECT_TRUE(some.json.member("more").bool_or(false));
  EXPECT_EQ(some.json.member("conversations").items()[0].member("id").text_or(""), ids[2]) << "the newest first";
  EXPECT_EQ(some.json.member("conversations").items()[0].find("system"), nullptr);
  Answer rest = ask("GET", "conversations?limit=2&offset=2");
  EXPECT_EQ(rest.json.member("conversations").items_or_none().size(), 1U);
  EXPECT_FALSE(rest.json.member("more").bool_or(true));
}

TEST_F(ChatRoutesTest, MessagesMakeATreeOfWhichABranchIsShown) {
  const std::string id = create();
  const std::string question = add(id, R"({"role": "user", "content": "What is 2 + 2?"})");
  const std::string wrong = add(id, format(R"({{"parent": "{}", "role": "assistant", "content": "5"}})", question));
  const std::string right =
      add(id, format(R"({{"parent": "{}", "edit_of": "{}", "role": "assistant", "content": "4"}})", question, wrong));
  const auto shown = [&] {
    return std::string(ask("GET", "conversations/" + id).json.member("conversation").member("shown").text_or(""));
  };
  EXPECT_EQ(shown(), right) << "the last one added";
  EXPECT_EQ(ask("PATCH", "conversations/" + id, format(R"({{"shown": "{}"}})", wrong)).status, 200);
  EXPECT_EQ(shown(), wrong);

  Answer thumb = ask("PUT", "messages/" + right + "/thumb", R"({"thumb": 1})");
  EXPECT_EQ(thumb.status, 200) << thumb.body;
  EXPECT_EQ(must(store_->message(right))->thumb, 1);

  Answer removed = ask("DELETE", "messages/" + wrong);
  EXPECT_EQ(removed.json.member("removed").member("messages").number_or(0), 1);
  EXPECT_EQ(shown(), right);
  EXPECT_EQ(ask("GET", "conversations/" + id).json.member("messages").items().size(), 2U);
}

TEST_F(ChatRoutesTest, AMessageThatIsSentTwiceIsThereOnce) {
  const std::string id = create();
  const std::string body = R"({"id": "mine", "role": "user", "content": "Hello"})";
  EXPECT_EQ(add(id, body), "mine");
  EXPECT_EQ(add(id, body), "mine");
  EXPECT_EQ(must(store_->messages(id)).size(), 1U);
  EXPECT_EQ(
      fault(ask("POST", "conversations/" + id + "/messages", R"({"id": "mine", "role": "user", "content": "Other"})")),
      "409 exists id");
}

TEST_F(ChatRoutesTest, WhatIsWrongIsNamed) {
  const std::string id = create(R"({"id": "here"})"), other = create();
  const std::string message = add(id, R"({"role": "user", "content": "Hello"})");
  const std::string messages = "conversations/" + other + "/messages";
  const std::vector<std::tuple<std::string, std::string, std::string, std::string>> cases = {
      {"POST", "conversations", R"({"id": "here"})", "409 exists id"},
      {"POST", "conversations", R"({"name": "x"})", "400 unknown_parameter name"},
      {"POST", "conversations", R"({"created_ms": 1})", "400 unsupported_parameter created_ms"},
      {"POST", "conversations", R"({"title": 5})", "400 invalid_value title"},
      {"POST", "conversations", R"({"sampling": []})", "400 invalid_value sampling"},
      {"POST", "conversations", R"({"id": "no/slash"})", "400 invalid_value -"},
      {"PATCH", "conversations/here", R"({"id": "x"})", "400 unknown_parameter id"},
      {"PATCH", "conversations/" + other, format(R"({{"shown": "{}"}})", message), "400 invalid_value shown"},
      {"GET", "conversations?limit=0", "", "400 invalid_value limit"},
      {"GET", "conversations?limit=all", "", "400 invalid_value limit"},
      {"GET", "conversations?page=2", "", "400 unknown_parameter page"},
      {"POST", messages, R"({"content": "x"})", "400 missing_required_parameter role"},
      {"POST", messages, R"({"role": "user"})", "400 missing_required_parameter content"},
      {"POST", messages, R"({"role": "poet", "content": "x"})", "400 invalid_value -"},
      {"POST", messages, R"({"role": "user", "content": "x", "thumb": 1})", "400 unsupported_parameter thumb"},
      {"POST", messages, R"({"role": "user", "content": "x", "parent": "none"})", "400 invalid_value parent"},
      {"POST", messages, format(R"({{"role": "user", "content": "x", "parent": "{}"}})", message),
       "400 invalid_value parent"},
      {"POST", messages, R"({"role": "user", "content": "x", "files": ["abc"]})", "400 invalid_value files"},
      {"POST", "conversations/here/messages",
       format(R"({{"role": "assistant", "content": "x", "edit_of": "{}"}})", message), "400 invalid_value edit_of"},
      {"POST", "conversations/none/messages", R"({"role": "user", "content": "x"})", "404 not_found -"},
      {"PUT", "messages/" + message + "/thumb", R"({"thumb": 2})", "400 invalid_value thumb"},
      {"PUT", "messages/" + message + "/thumb", "{}", "400 missing_required_parameter thumb"},
      {"PUT", "messages/none/thumb", R"({"thumb": 1})", "404 not_found -"},
      {"DELETE", "messages/none", "", "404 not_found -"},
      {"GET", "search?q=a&x=1", "", "400 unknown_parameter x"},
      {"GET", "search?q=" + std::string(2000, 'a'), "", "400 invalid_value q"},
      {"PUT", "settings/page", "{}", "400 missing_required_parameter value"},
      {"GET", "export?conversation=none", "", "400 not_found conversation"},
      {"GET", "export?all=1", "", "400 unknown_parameter all"},
      {"POST", "import", R"({"text": ""})", "400 unknown_parameter text"},
      {"POST", "import", R"({"lines": "{}\n"})", "400 import_failed lines"},
  };
  for (const auto& [method, path, body, expected] : cases) {
    const Answer answer = ask(method, path, body);
    EXPECT_EQ(fault(answer), expected) << method << " " << path << " " << body << "\n" << answer.body;
  }
}

TEST_F(ChatRoutesTest, SearchGivesSnippetsInPieces) {
  const std::string id = create(R"({"title": "Tea"})");
  const std::string message = add(id, R"({"role": "user", "content": "How long should grün tea brew?"})");
  Answer found = ask("GET", "search?q=gr%C3%BCn%20te");
  ASSERT_EQ(found.json.member("hits").items_or_none().size(), 1U) << found.body;
  const Json& hit = found.json.member("hits").items()[0];
  EXPECT_EQ(hit.member("conversation").text_or(""), id);
  EXPECT_EQ(hit.member("message").text_or(""), message);
  EXPECT_EQ(hit.member("title").text_or(""), "Tea");
  std::string text;
  std::set<std::string> marked;
  for (const Json& piece : hit.member("snippet").items()) {
    text += piece.member("text").text_or("");
    if (piece.member("found").bool_or(false)) marked.emplace(piece.member("text").text_or(""));
  }
  EXPECT_EQ(text, "How long should grün tea brew?");
  EXPECT_FALSE(marked.empty());
  for (const std::string& mark : marked) EXPECT_NE(std::string("grün tea").find(mark), std::string::npos) << mark;
  EXPECT_EQ(ask("GET", "search?q=coffee").json.member("hits").items().size(), 0U);
  EXPECT_EQ(ask("GET", "search").json.member("hits").items().size(), 0U);
}

TEST_F(ChatRoutesTest, SettingsAreKeptUnderTheirNames) {
  EXPECT_EQ(ask("PUT", "settings/page.defaults", R"({"value": {"model": "ember"}})").status, 200);
  EXPECT_EQ(ask("GET", "settings").json.member("settings").member("page.defaults").member("model").text_or(""),
            "ember");
  const Answer removed = ask("DELETE", "settings/page.defaults");
  EXPECT_EQ(removed.status, 200);
  EXPECT_TRUE(removed.json.member("traces_gone").bool_or(false));
  EXPECT_EQ(ask("GET", "settings").body, R"({"settings": {}})");
}

// What else remembers a chat is asked before the answer tells of it.
TEST_F(ChatRoutesTest, TracesAreGoneOnceAllHaveForgotten) {
  std::atomic<bool> forgets{true};
  std::atomic<size_t> runs{0};
  TestServer server(chat_routes(*store_, [&](std::span<const std::string> told) {
    runs = told.size();
    return forgets.load();
  }));
  const auto removed = [&](const std::string& path) {
    return server.ask(format("DELETE /api/store/{} HTTP/1.1\r\nHost: HERE\r\n\r\n", path));
  };
  StoredRun run;
  run.id = "run";
  must(store_->put_run(run));
  for (const bool all : {true, false}) {
    const std::string id = create(), message = add(id, R"({"role": "user", "content": "Hello"})");
    must(store_->add_lessons({{"run", id, message, "chat"}}));
    forgets = all;
    for (const std::string& path : {"messages/" + message, "conversations/" + id}) {
      const std::string answer = removed(path);
      EXPECT_EQ(status_in(answer), 200);
      EXPECT_NE(answer.find(format("\"traces_gone\": {}", all ? "true" : "false")), std::string::npos) << answer;
      EXPECT_NE(answer.find(R"("runs": ["run"])"), std::string::npos) << answer;
      EXPECT_EQ(runs.exchange(0), 1U);
      EXPECT_NE(must(store_->owes_forgetting()), all);
    }
  }
  int asked = 0;
  for (const bool all : {false, true, true}) {  // at three starts, of which the last has nothing left to do
    finish_forgetting(*store_, [&](std::span<const std::string> told) { return ++asked, told.empty() && all; });
    EXPECT_NE(must(store_->owes_forgetting()), all);
  }
  EXPECT_EQ(asked, 2);
}

TEST_F(ChatRoutesTest, WhatIsExportedComesBack) {
  const std::string one = create(R"({"title": "One", "for_training": true})"), two = create();
  add(one, R"({"role": "user", "content": "Hello \"you\"\nthere"})");
  add(two, R"({"role": "user", "content": "Second"})");
  Answer all = ask("GET", "export");
  EXPECT_EQ(all.status, 200);
  EXPECT_EQ(all.body, exported());
  EXPECT_NE(all.head.find("content-type: application/x-ndjson"), std::string::npos);
  EXPECT_NE(all.head.find("content-disposition: attachment"), std::string::npos);
  Answer some = ask("GET", "export?conversation=" + two);
  EXPECT_EQ(some.body.find("Hello"), std::string::npos);

  ask("DELETE", "conversations/" + one);
  Json body = Json::object();
  body.set("lines", all.body);
  Answer back = ask("POST", "import", body.dump());
  EXPECT_EQ(back.status, 200) << back.body;
  EXPECT_EQ(back.json.member("conversations").number_or(0), 1);
  EXPECT_EQ(back.json.member("messages").number_or(0), 1);
  EXPECT_EQ(back.json.member("kept").number_or(0), 2) << "the other conversation and its message";
  EXPECT_FALSE(must(store_->conversation(one))->for_training) << "consent counts only where it is asked for";
  ask("DELETE", "conversations/" + one);
  body.set("keep_consent", true);
  ask("POST", "import", body.dump());
  EXPECT_TRUE(must(store_->conversation(one))->for_training);
}

TEST_F(ChatRoutesTest, AnExportIsMadeInPieces) {
  const std::string id = create();
  const size_t third = kExportPieceBytes / 3;
  for (const size_t bytes : {third, third, third, 2 * kExportPieceBytes, third}) {
    add(id, format(R"({{"role": "user", "content": "{}"}})", std::string(bytes, 'x')));
  }
  ChatResult made = export_chats(*store_, HttpRequest());
  ASSERT_TRUE(made.ok()) << made.error().message;
  std::string whole;
  for (const std::string& piece : made->pieces) {
    EXPECT_TRUE(piece.size() <= kExportPieceBytes || std::count(piece.begin(), piece.end(), '\n') == 1);
    EXPECT_LT(piece.capacity(), piece.size() + kExportPieceBytes) << "nor is there room that nobody needs";
    whole += piece;
  }
  EXPECT_TRUE(whole == exported());
  EXPECT_EQ(made->pieces.size(), 4U) << "two and what stands before, the third, the large one, the last";
  Answer sent = ask("GET", "export");
  EXPECT_TRUE(sent.body == whole);
  EXPECT_NE(sent.head.find(format("content-length: {}", whole.size())), std::string::npos) << sent.head;
}

// An export that nobody reads lies in memory; those who begin many and read none must not fill it.
TEST_F(ChatRoutesTest, ExportsThatNobodyReadsAreFew) {
  const std::string id = create();
  add(id, format(R"({{"role": "user", "content": "{}"}})", std::string(3 << 20, 'x')));
  const std::string request = format("GET /api/store/export HTTP/1.1\r\n{}\r\n", server_.host());
  std::vector<RawClient> slow;
  for (size_t i = 0; i < kExportsAtOnce; ++i) {
    slow.emplace_back(server_.port(), 4096);
    slow.back().send(request);
    EXPECT_EQ(status_in(slow.back().until("\r\n\r\n")), 200);
  }
  const Answer refused = ask("GET", "export");
  EXPECT_EQ(fault(refused), "429 too_many_exports -");
  EXPECT_NE(refused.head.find("retry-after: "), std::string::npos);
  EXPECT_EQ(ask("GET", "conversations/" + id).status, 200) << "everything else is answered";
  slow.pop_back();
  // Each of these is taken to its end, and makes room for the next.
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(comes_true([&] { return ask("GET", "export").status == 200; }));
  }
}

// A disk of which every such call fails; `full`: because there is no room.
FaultyVfs::Fault failing(FaultyVfs::Call call, bool full = false) {
  FaultyVfs::Fault fault;
  fault.calls[call] = true;
  fault.at = 1;
  fault.persistent = true;
  fault.full = full;
  return fault;
}

TEST_F(ChatRoutesTest, AFailingDiskIsNoFaultOfTheRequest) {
  const std::string id = create(), other = create();
  const std::string hello = R"({"role": "user", "content": "Hello"})";
  add(other, hello);
  Json lines = Json::object();
  lines.set("lines", ask("GET", "export").body);
  ASSERT_EQ(ask("DELETE", "conversations/" + other).status, 200);
  for (const bool full : {true, false}) {
    const std::string expected = full ? "507 disk_full -" : "500 store_failed -";
    vfs_.set(failing(FaultyVfs::kWrite, full));
    EXPECT_EQ(fault(ask("POST", "conversations", "{}")), expected);
    EXPECT_EQ(fault(ask("POST", "conversations/" + id + "/messages", hello)), expected);
    EXPECT_EQ(fault(ask("PUT", "settings/page", R"({"value": 1})")), expected);
    EXPECT_EQ(fault(ask("POST", "import", lines.dump())), expected);
    EXPECT_EQ(fault(ask("DELETE", "conversations/" + id)), expected);
  }
  vfs_.set(failing(FaultyVfs::kRead));
  EXPECT_EQ(fault(ask("GET", "search?q=hello")), "500 store_failed -");
  vfs_.set({});
  EXPECT_EQ(ask("GET", "conversations/" + id).json.member("messages").items_or_none().size(), 0U);
  EXPECT_EQ(ask("GET", "search?q=hello").json.member("hits").items_or_none().size(), 0U);
  EXPECT_EQ(ask("POST", "import", lines.dump()).status, 200);
}

TEST_F(ChatRoutesTest, EveryRouteRefusesStrangers) {
  ServerOptions options;
  options.security.api_key = "0123456789abcdef0123456789abcdef";
  TestServer guarded(chat_routes(*store_), options);
  SecurityMatrix matrix(guarded, guarded.server().router(), options.security.api_key);
  const auto passes = [](const Route& route, int status) {
    const bool is_busy = status == 429 && route.pattern == "/api/store/export";  // the one before may still be sent
    return status == 200 || status == 201 || status == 204 || status == 400 || status == 404 || is_busy;
  };
  const auto routes = static_cast<int>(chat_routes(*store_).size());
  EXPECT_GE(matrix.run(passes), routes * SecurityMatrix::kCellsOfRoute);
}

// The store's clock is asked while a change is being made: who holds it holds the store's thread.
TEST_F(ChatRoutesTest, TooManyRequestsAtOnceAreAskedToComeBack) {
  std::atomic<bool> held{true}, waits{false};
  StoreOptions slow = options();
  slow.now_ms = [&]() -> int64_t {
    waits = true;
    while (held) std::this_thread::yield();
    return 1;
  };
  const auto store = must(Store::open(folder_.file("slow/chats.db"), slow));
  TestServer server(chat_routes(*store));
  const std::string create = format(
      "POST /api/store/conversations HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
      server.host());
  RawClient first = server.connect();
  first.send(create);
  ASSERT_TRUE(comes_true([&] { return waits.load(); }));
  std::vector<RawClient> waiting;
  for (size_t i = 0; i < kStoreRequestsWaiting; ++i) {
    waiting.push_back(server.connect());
    waiting.back().send(create);
    ASSERT_TRUE(comes_true([&] { return server.server().counts().requests == i + 2; }));
  }
  const std::string refused = server.ask(create);
  EXPECT_EQ(status_in(refused), 503);
  EXPECT_NE(refused.find("retry-after: 1\r\n"), std::string::npos);
  held = false;
  EXPECT_EQ(status_in(first.answer()), 201);
  for (RawClient& client : waiting) EXPECT_EQ(status_in(client.answer()), 201);
}

}  // namespace
}  // namespace andiron
