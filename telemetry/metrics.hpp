#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

/// The node's metrics. Labels are small fixed sets: never a job, a URL or an error text; one job's
/// numbers belong to `/v1/ledger` and the console. Counters end in `_total`, units are base units.
namespace weir {

class metrics_registry {
 public:
  metrics_registry();

  prometheus::Registry& families() noexcept { return *registry_; }

  /// Has `sample` called before each scrape, on the scraping thread, to refresh gauges that nobody pushes.
  /// It must return at once and be valid as long as the registry.
  void before_scrape(std::function<void()> sample);

  /// Everything in Prometheus' text format 0.0.4.
  std::string text();

 private:
  std::shared_ptr<prometheus::Registry> registry_;
  std::mutex mutex_;
  std::vector<std::function<void()>> samplers_;
};

using metric_labels = std::map<std::string, std::string>;

prometheus::Counter& make_counter(prometheus::Registry& registry, const char* name, const char* help,
                                  const metric_labels& labels = {});
prometheus::Gauge& make_gauge(prometheus::Registry& registry, const char* name, const char* help,
                              const metric_labels& labels = {});
prometheus::Histogram& make_histogram(prometheus::Registry& registry, const char* name, const char* help,
                                      const prometheus::Histogram::BucketBoundaries& buckets,
                                      const metric_labels& labels = {});

/// 0.1 ms to 60 s, for durations of syncs, answers and uploads.
const prometheus::Histogram::BucketBoundaries& duration_buckets();
/// 256 B to 16 MiB, in steps of four.
const prometheus::Histogram::BucketBoundaries& size_buckets();

/// What one of several owners adds to a gauge that they share; taken back when the owner is gone.
class gauge_share {
 public:
  explicit gauge_share(prometheus::Gauge& gauge) : gauge_(&gauge) {}
  gauge_share(const gauge_share&) = delete;
  gauge_share& operator=(const gauge_share&) = delete;
  ~gauge_share() { set(0); }

  void set(double value) {
    if (value != value_)
      gauge_->Increment(value - value_);
    value_ = value;
  }

 private:
  prometheus::Gauge* gauge_;
  double value_ = 0;
};

/// Brings a counter up to a total that is counted elsewhere. One caller at a time.
inline void count_up_to(prometheus::Counter& counter, double total) {
  if (total > counter.Value())
    counter.Increment(total - counter.Value());
}

/// One metric for each value of an enumeration, told apart by one label. `name_of(Key)` gives its values.
template <class Metric, class Key, std::size_t Count>
class metrics_by {
 public:
  template <class Make>
  explicit metrics_by(Make&& make) {
    for (std::size_t i = 0; i < Count; ++i)
      metrics_[i] = &make(std::string{name_of(static_cast<Key>(i))});
  }
  Metric& operator[](Key key) const noexcept { return *metrics_[static_cast<std::size_t>(key)]; }

 private:
  std::array<Metric*, Count> metrics_{};
};

template <class Key, std::size_t Count>
metrics_by<prometheus::Counter, Key, Count> make_counters(prometheus::Registry& registry, const char* name,
                                                          const char* help, const char* label) {
  return metrics_by<prometheus::Counter, Key, Count>{[&](const std::string& value) -> prometheus::Counter& {
    return make_counter(registry, name, help, {{label, value}});
  }};
}

template <class Key, std::size_t Count>
metrics_by<prometheus::Gauge, Key, Count> make_gauges(prometheus::Registry& registry, const char* name,
                                                      const char* help, const char* label) {
  return metrics_by<prometheus::Gauge, Key, Count>{[&](const std::string& value) -> prometheus::Gauge& {
    return make_gauge(registry, name, help, {{label, value}});
  }};
}

} // namespace weir
