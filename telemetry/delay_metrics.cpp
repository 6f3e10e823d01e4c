#include "telemetry/delay_metrics.hpp"

#include <algorithm>

namespace weir {

delay_metrics::delay_metrics(prometheus::Registry& registry)
    : ingest_durable(make_histogram(registry, "weir_ingest_durable_seconds",
                                    "From the last byte of a body until its events and their account are on disk.",
                                    duration_buckets())),
      family_(&prometheus::BuildHistogram()
                   .Name("weir_delivery_delay_seconds")
                   .Help("From the arrival of an object's first event until the object was committed, by dataset.")
                   .Register(registry)) {}

void delay_metrics::delivered(std::string_view dataset, double seconds) {
  std::lock_guard lock{mutex_};
  auto found = by_dataset_.find(dataset);
  if (found == by_dataset_.end()) {
    const std::string name{by_dataset_.size() < most_datasets ? dataset : "other"};
    auto& made = family_->Add({{"dataset", name}}, delivery_buckets());
    found = by_dataset_.emplace(name, &made).first;
  }
  found->second->Observe(std::max(0.0, seconds));
}

const prometheus::Histogram::BucketBoundaries& delivery_buckets() {
  static const prometheus::Histogram::BucketBoundaries buckets{
      0.1, 0.3, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1'800, 3'600, 10'800, 21'600, 43'200, 86'400, 172'800, 259'200};
  return buckets;
}

} // namespace weir
