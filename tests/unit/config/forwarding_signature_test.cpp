#include "config/forwarding_signature.hpp"

#include <doctest/doctest.h>

#include "messages/forwarding.pb.h"
#include "tests/support/fake_disk.hpp"
#include "tests/unit/config/snapshot_fixture.hpp"

using namespace weir;

namespace {

std::string text_of(disk& on, const std::string& path) {
  std::unique_ptr<disk_file> file;
  REQUIRE_FALSE(on.open(path, disk::open_mode::read, file));
  std::uint64_t size = 0;
  REQUIRE_FALSE(file->size(size));
  std::string result(size, '\0');
  std::size_t got = 0;
  REQUIRE_FALSE(file->read(0, result.data(), result.size(), got));
  return result;
}

void put_text(disk& on, const std::string& path, const std::string& text) {
  std::unique_ptr<disk_file> file;
  REQUIRE_FALSE(on.open(path, disk::open_mode::create, file));
  REQUIRE_FALSE(file->write(0, {text}));
}

forwarding_expectations trusting(const config_signer& signer) {
  forwarding_expectations result;
  result.cluster = "weir";
  result.datasets = listed_datasets();
  result.keys = {signer.public_key()};
  return result;
}

std::string refusal_of(const std::string& bytes, const forwarding_expectations& expected) {
  std::istringstream from(bytes);
  const auto result = load_forwarding_config(from, expected);
  CHECK_EQ(result.snapshot == nullptr, result.reason != config_refusal::none);
  return std::string{name_of(result.reason)};
}

// The config with another signature in its envelope; the header and its checksum stay.
std::string with_signature(const std::string& bytes, const std::string& signature) {
  std::size_t size = 0;
  for (unsigned i = 0; i < 4; ++i)
    size |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[8 + i])) << (8 * i);
  proto::ForwardingEnvelope envelope;
  REQUIRE(envelope.ParseFromString(bytes.substr(12, size)));
  envelope.set_signature(signature);
  const auto text = envelope.SerializeAsString();
  std::string length;
  for (unsigned i = 0; i < 4; ++i)
    length += static_cast<char>(text.size() >> (8 * i));
  return bytes.substr(0, 8) + length + text + bytes.substr(12 + size);
}

} // namespace

TEST_CASE("a node's signing key is made on the first start and read again on the next") {
  fake_disk on;
  std::string error;
  const auto first = config_signer::open(on, "data/config/signing-key.pem", error);
  REQUIRE_MESSAGE(first, error);
  const auto again = config_signer::open(on, "data/config/signing-key.pem", error);
  REQUIRE_MESSAGE(again, error);
  CHECK(first->public_key() == again->public_key());
  CHECK(config_signer::make().public_key() != first->public_key());
  CHECK(verify_signature("text", again->sign("text"), {first->public_key()}));
}

TEST_CASE("a signing key that was used once survives a power cut") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    fake_disk on;
    std::string error;
    const auto first = config_signer::open(on, "data/key.pem", error);
    REQUIRE_MESSAGE(first, error);
    on.crash(seed);
    const auto again = config_signer::open(on, "data/key.pem", error);
    REQUIRE_MESSAGE(again, error);
    CHECK(first->public_key() == again->public_key());
  }
}

TEST_CASE("a file that is no key is never replaced by a new one") {
  fake_disk on;
  REQUIRE_FALSE(on.make_directories("data"));
  for (const std::string text : {"", "not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}) {
    put_text(on, "data/key.pem", text);
    std::string error;
    CHECK_FALSE(config_signer::open(on, "data/key.pem", error));
    CHECK_NE(error.find("data/key.pem"), std::string::npos);
    CHECK_EQ(text_of(on, "data/key.pem"), text);
    REQUIRE_FALSE(on.remove("data/key.pem"));
  }
  disk_fault fault;
  fault.kind = disk_operation::read;
  put_text(on, "data/key.pem", "x");
  on.inject(fault);
  std::string error;
  CHECK_FALSE(config_signer::open(on, "data/key.pem", error));
  CHECK_EQ(on.faults_struck(), 1u);
}

TEST_CASE("a signature is good for its text and its key, and for no other") {
  const auto signer = config_signer::make();
  const auto other = config_signer::make();
  const auto signature = signer.sign("text");
  REQUIRE_EQ(signature.size(), 64u);
  CHECK(verify_signature("text", signature, {signer.public_key()}));
  CHECK(verify_signature("text", signature, {other.public_key(), signer.public_key()}));
  CHECK_FALSE(verify_signature("text", signature, {other.public_key()}));
  CHECK_FALSE(verify_signature("text", signature, {}));
  CHECK_FALSE(verify_signature("Text", signature, {signer.public_key()}));
  CHECK_FALSE(verify_signature("text", "", {signer.public_key()}));
  CHECK_FALSE(verify_signature("text", signature + "x", {signer.public_key()}));
  for (std::size_t at = 0; at < signature.size(); ++at) {
    auto flipped = signature;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    CHECK_FALSE(verify_signature("text", flipped, {signer.public_key()}));
  }
}

TEST_CASE("a public key is written and read as PEM") {
  const auto signer = config_signer::make();
  std::string error;
  const auto text = public_key_text(signer.public_key());
  CHECK_EQ(text.find("-----BEGIN PUBLIC KEY-----"), 0u);
  const auto back = parse_public_key(text, error);
  REQUIRE_MESSAGE(back, error);
  CHECK(*back == signer.public_key());
  for (const auto& bad : {std::string{}, std::string{"x"}, text.substr(0, 60), std::string(1u << 20, 'A')}) {
    CHECK_FALSE(parse_public_key(bad, error));
    CHECK_NE(error.find("Ed25519"), std::string::npos);
  }
}

TEST_CASE("CFG-02: a config with a wrong key's signature, or none, is refused where signatures are needed") {
  const auto signer = config_signer::make();
  const auto stranger = config_signer::make();
  const auto made = made_of(plain_jobs(30), 7);
  const auto expected = trusting(signer);
  const auto good = bytes_of_config(*made, &signer);
  CHECK_EQ(refusal_of(good, expected), "none");
  CHECK_EQ(refusal_of(bytes_of_config(*made, &stranger), expected), "wrong_signature");
  CHECK_EQ(refusal_of(bytes_of_config(*made), expected), "unsigned_config");
  CHECK_EQ(refusal_of(with_signature(good, ""), expected), "unsigned_config");
  CHECK_EQ(refusal_of(with_signature(good, std::string(64, '\0')), expected), "wrong_signature");
  CHECK_EQ(refusal_of(with_signature(good, signer.sign("another header")), expected), "wrong_signature");
  CHECK_EQ(refusal_of(with_signature(good, "short"), expected), "wrong_signature");
  // Nothing of an unsigned config is looked at, not even whose it is.
  auto foreign = expected;
  foreign.cluster = "other";
  CHECK_EQ(refusal_of(bytes_of_config(*made), foreign), "unsigned_config");
  CHECK_EQ(refusal_of(good, foreign), "foreign_cluster");
  auto open = expected;
  open.keys.clear();
  CHECK_EQ(refusal_of(bytes_of_config(*made), open), "none");
}

TEST_CASE("CFG-02: one flipped byte in any region of a signed config refuses it") {
  const auto signer = config_signer::make();
  const auto made = made_of(plain_jobs(30), 7);
  const auto good = bytes_of_config(*made, &signer);
  const auto expected = trusting(signer);
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 400; ++i) {
    // Magic, length, envelope and parts all come up: the envelope is two thirds of this config.
    const auto at = i < 80 ? static_cast<std::size_t>(i) : random() % good.size();
    auto flipped = good;
    flipped[at] = static_cast<char>(flipped[at] ^ (1u << (random() % 8)));
    CHECK_MESSAGE(refusal_of(flipped, expected) != "none", at);
  }
}
