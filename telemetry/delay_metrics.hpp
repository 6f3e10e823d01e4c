#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "telemetry/metrics.hpp"

namespace weir {

/// How long data takes: until it is durable, and until it is at its destination. Observed once for a body and
/// once for an object, never for an event.
class delay_metrics {
 public:
  explicit delay_metrics(prometheus::Registry& registry);

  /// From a body's last byte until its events and their account are on disk. Refused and failed bodies are not in it.
  prometheus::Histogram& ingest_durable;

  /// An object was committed: `seconds` since the first of its events came in. Below zero, because the wall clock
  /// was set back meanwhile, counts as zero. Datasets are configured and few; should there ever have been more than
  /// `most_datasets` in one process, further ones share the label `other`. Thread-safe.
  void delivered(std::string_view dataset, double seconds);

  static constexpr std::size_t most_datasets = 100;

 private:
  prometheus::Family<prometheus::Histogram>* family_;
  std::mutex mutex_;
  std::map<std::string, prometheus::Histogram*, std::less<>> by_dataset_;
};

/// 0.1 s to 3 days: from what a job with an interval of a second shows to the age at which events expire.
const prometheus::Histogram::BucketBoundaries& delivery_buckets();

} // namespace weir
