#include "drills/generate_receipts.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace weir::generate {

namespace {

using nlohmann::json;

/// An object of counts (`shed` by reason, `rejected` with `count`) or a count.
std::uint64_t count_of(const json& answer, const char* name) {
  const auto found = answer.find(name);
  if (found == answer.end())
    return 0;
  if (found->is_number_unsigned())
    return found->get<std::uint64_t>();
  if (!found->is_object())
    return 0;
  if (const auto count = found->find("count"); count != found->end() && count->is_number_unsigned())
    return count->get<std::uint64_t>();
  std::uint64_t sum = 0;
  for (const auto& part : *found)
    if (part.is_number_unsigned())
      sum += part.get<std::uint64_t>();
  return sum;
}

} // namespace

bool parse_answer(std::string_view text, acknowledged_body& body) {
  const auto answer = json::parse(text, nullptr, false);
  if (!answer.is_object() || !answer.contains("accepted"))
    return false;
  body.accepted = count_of(answer, "accepted") + count_of(answer, "repeated");
  body.not_entitled = count_of(answer, "not_entitled");
  body.filtered = count_of(answer, "filtered");
  body.shed = count_of(answer, "shed");
  body.rejected = count_of(answer, "rejected");
  return true;
}

receipt_writer::receipt_writer(const std::string& path, const traffic& what)
    : path_(path), fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
  if (fd_ < 0)
    throw std::system_error(errno, std::generic_category(), path);
  put(fmt::format(R"({{"weir_receipts":1,"seed":{},"zones":{},"zipf":{}}})"
                  "\n",
                  what.seed, what.zones, what.zipf));
}

receipt_writer::~receipt_writer() {
  if (fd_ >= 0)
    ::close(fd_);
}

void receipt_writer::put(std::string_view line) {
  while (!line.empty()) {
    const auto n = ::write(fd_, line.data(), line.size());
    if (n < 0 && errno != EINTR)
      throw std::system_error(errno, std::generic_category(), path_);
    if (n > 0)
      line.remove_prefix(static_cast<std::size_t>(n));
  }
}

void receipt_writer::write(const acknowledged_body& b) {
  put(fmt::format(
      R"({{"key":"{}","first":{},"count":{},"accepted":{},"not_entitled":{},"filtered":{},"shed":{},"rejected":{}}})"
      "\n",
      b.key, b.first, b.count, b.accepted, b.not_entitled, b.filtered, b.shed, b.rejected));
}

void read_receipts(const std::string& path,
                   const std::function<void(const traffic&, const acknowledged_body&)>& visit) {
  std::ifstream in{path};
  if (!in)
    throw std::system_error(errno, std::generic_category(), path);
  traffic what;
  bool described = false;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (in.eof())
      return; // a line without its end: the writer was killed inside it
    const auto bad = [&](std::string_view why) {
      return std::runtime_error(fmt::format("{}:{}: {}", path, number, why));
    };
    try {
      const auto record = json::parse(line);
      if (record.contains("weir_receipts")) {
        if (record.at("weir_receipts") != 1)
          throw bad("a version of receipts that this build does not know");
        what = {record.at("seed").get<std::uint64_t>(), record.at("zones").get<std::uint64_t>(),
                record.at("zipf").get<double>()};
        described = true;
        continue;
      }
      if (!described)
        throw bad("no line before this one says whose receipts these are");
      visit(what, {record.at("key").get<std::string>(), record.at("first").get<std::uint64_t>(),
                   record.at("count").get<std::uint64_t>(), record.at("accepted").get<std::uint64_t>(),
                   record.at("not_entitled").get<std::uint64_t>(), record.at("filtered").get<std::uint64_t>(),
                   record.at("shed").get<std::uint64_t>(), record.at("rejected").get<std::uint64_t>()});
    } catch (const json::exception&) {
      throw bad("not a receipt");
    }
  }
}

} // namespace weir::generate
