#include "supervisors/kept_config.hpp"

#include <utility>

#include <fmt/format.h>

#include "config/config_builder.hpp"

namespace weir {

namespace {

config_snapshot_ptr empty_config(const node_config& config) {
  snapshot_identity identity;
  identity.cluster = config.cluster;
  return config_builder{config.datasets, config.pusher.object}.finish(std::move(identity));
}

} // namespace

kept_config::kept_config(std::shared_ptr<disk> on, const std::string& directory, config_signer signer)
    : disk_(std::move(on)),
      directory_(directory),
      signer_(std::make_shared<const config_signer>(std::move(signer))),
      files_(*disk_, directory) {}

kept_config::opened kept_config::open(std::shared_ptr<disk> on, const node_config& config) {
  opened result;
  const auto directory = config.data_dir + "/config";
  if (const auto why = on->make_directories(directory)) {
    result.problem = fmt::format("cannot make {}: {}", directory, why.message());
    return result;
  }
  std::string error;
  auto signer = config_signer::open(*on, directory + "/signing-key.pem", error);
  if (!signer) {
    result.problem = std::move(error);
    return result;
  }
  const auto key = signer->public_key();
  result.kept.reset(new kept_config{std::move(on), directory, std::move(*signer)});
  forwarding_expectations expected;
  expected.cluster = config.cluster;
  expected.datasets = config.datasets;
  expected.defaults = config.pusher.object;
  expected.max_jobs = readable_jobs(config.limits);
  expected.keys = {key};
  auto found = result.kept->files_.load(expected);
  result.first_start = found.first_start;
  if (!found.first_start && found.main_reason != config_refusal::none)
    result.refused.push_back({good_copy::main, std::string{name_of(found.main_reason)}, std::move(found.main_text)});
  if (!found.first_start && found.spare_reason != config_refusal::none)
    result.refused.push_back({good_copy::spare, std::string{name_of(found.spare_reason)}, std::move(found.spare_text)});
  result.snapshot = found.snapshot ? std::move(found.snapshot) : empty_config(config);
  return result;
}

std::string kept_config::keep(const config_snapshot& snapshot) {
  std::lock_guard lock{mutex_};
  if (const auto why = files_.write(snapshot, *signer_))
    return fmt::format("the last known good config in {} cannot be written: {}", directory_, why.message());
  return {};
}

} // namespace weir
