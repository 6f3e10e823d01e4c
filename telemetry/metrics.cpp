#include "telemetry/metrics.hpp"

#include <utility>

#include <prometheus/text_serializer.h>

namespace weir {

metrics_registry::metrics_registry() : registry_(std::make_shared<prometheus::Registry>()) {}

void metrics_registry::before_scrape(std::function<void()> sample) {
  std::lock_guard lock{mutex_};
  samplers_.push_back(std::move(sample));
}

std::string metrics_registry::text() {
  {
    std::lock_guard lock{mutex_};
    for (const auto& sample : samplers_)
      sample();
  }
  return prometheus::TextSerializer{}.Serialize(registry_->Collect());
}

prometheus::Counter& make_counter(prometheus::Registry& registry, const char* name, const char* help,
                                  const metric_labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
}

prometheus::Gauge& make_gauge(prometheus::Registry& registry, const char* name, const char* help,
                              const metric_labels& labels) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(labels);
}

prometheus::Histogram& make_histogram(prometheus::Registry& registry, const char* name, const char* help,
                                      const prometheus::Histogram::BucketBoundaries& buckets,
                                      const metric_labels& labels) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(labels, buckets);
}

const prometheus::Histogram::BucketBoundaries& duration_buckets() {
  static const prometheus::Histogram::BucketBoundaries buckets{0.0001, 0.0003, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1,
                                                               0.2,    0.5,    1,     2,     5,    10,   30,   60};
  return buckets;
}

const prometheus::Histogram::BucketBoundaries& size_buckets() {
  static const prometheus::Histogram::BucketBoundaries buckets{256,     1'024,     4'096,     16'384,    65'536,
                                                               262'144, 1'048'576, 4'194'304, 16'777'216};
  return buckets;
}

} // namespace weir
