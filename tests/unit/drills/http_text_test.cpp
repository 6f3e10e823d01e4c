#include <doctest/doctest.h>

#include <string>

#include "drills/http_call.hpp"
#include "drills/http_text.hpp"

using namespace weir::drills;

TEST_CASE("an answer is read once all of it is there, and not before") {
  const std::string text =
      "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello";
  for (std::size_t size = 0; size < text.size(); ++size)
    CHECK_FALSE(read_http_answer(std::string_view{text}.substr(0, size)));
  const auto answer = read_http_answer(text);
  REQUIRE(answer);
  CHECK_EQ(answer->status, 429u);
  CHECK_EQ(answer->retry_after_s, 7u);
  CHECK_EQ(answer->body, "hello");
  CHECK_FALSE(answer->keep_alive);
}

TEST_CASE("what is no answer of HTTP is not taken for one") {
  CHECK_FALSE(read_http_answer("SSH-2.0-OpenSSH\r\n\r\n"));
  CHECK_FALSE(read_http_answer("HTTP/1.1 abc\r\n\r\n"));
  CHECK_FALSE(read_http_answer("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"));
  CHECK_FALSE(read_http_answer("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"));
}

TEST_CASE("a metric is summed over its labels, and over nothing that only begins alike") {
  const std::string text = "# HELP a x\na{r=\"x\"} 2\na{r=\"y\"} 3\na_total 100\nab 7\n";
  CHECK_EQ(sum_metric(text, "a"), 5);
  CHECK_EQ(sum_metric(text, "a", "r=\"y\""), 3);
  CHECK_EQ(sum_metric(text, "a_total"), 100);
  CHECK_EQ(sum_metric(text, "none"), 0);
}
