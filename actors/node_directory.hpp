#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <caf/send.hpp>

#include "messages/credit.hpp"
#include "messages/interfaces.hpp"

namespace weir {

/// A role's instance as others reach it: its handle, and the credit of the edge that leads to it.
/// A null handle means that it is being restarted; then there is no credit either.
template <class Handle>
struct endpoint {
  Handle actor;
  std::shared_ptr<credit_window> window;

  explicit operator bool() const noexcept { return static_cast<bool>(actor); }
  /// Sends without a sender, so that no answer and no error comes back; false if it is down.
  template <class... Ts>
  bool tell(Ts&&... xs) const {
    if (actor)
      caf::anon_send(actor, std::forward<Ts>(xs)...);
    return static_cast<bool>(actor);
  }
};

/// Who is who in this process. Supervisors enter what they start and take out what died; roles look
/// their neighbours up once per message, so a restarted neighbour needs no restart of theirs.
/// Thread-safe; a lookup is a short lock and a copy of a handle.
class node_directory {
 public:
  template <class Handle>
  using instances = std::vector<endpoint<Handle>>;

  node_directory(std::size_t forwarders, std::size_t receivers, std::size_t shards)
      : forwarders_(forwarders), receivers_(receivers), shards_(shards) {}

  std::size_t shard_count() const noexcept { return shards_.size(); }
  std::size_t receiver_count() const noexcept { return receivers_.size(); }
  std::size_t forwarder_count() const noexcept { return forwarders_.size(); }

  endpoint<forwarder_actor> forwarder(std::size_t i) const { return read(forwarders_[i]); }
  endpoint<receiver_actor> receiver(std::size_t i) const { return read(receivers_[i]); }
  endpoint<shard_actor> shard(std::size_t i) const { return read(shards_[i]); }
  endpoint<store_writer_actor> writer() const { return read(writer_); }
  endpoint<buffers_actor> buffers() const { return read(buffers_); }
  endpoint<pusher_actor> pusher() const { return read(pusher_); }

  void enter_forwarder(std::size_t i, endpoint<forwarder_actor> x) { write(forwarders_[i], std::move(x)); }
  void enter_receiver(std::size_t i, endpoint<receiver_actor> x) { write(receivers_[i], std::move(x)); }
  void enter_shard(std::size_t i, endpoint<shard_actor> x) { write(shards_[i], std::move(x)); }
  void enter_writer(endpoint<store_writer_actor> x) { write(writer_, std::move(x)); }
  void enter_buffers(endpoint<buffers_actor> x) { write(buffers_, std::move(x)); }
  void enter_pusher(endpoint<pusher_actor> x) { write(pusher_, std::move(x)); }

  /// Which shard has the job's data. The same in every process with as many shards.
  std::size_t shard_of(job_id job) const noexcept {
    return static_cast<std::size_t>((number(job) * 0x9e3779b97f4a7c15ull) >> 32) % shards_.size();
  }

  /// Lets go of every handle, so that the actor system can end.
  void clear();

 private:
  template <class T>
  T read(const T& x) const {
    std::lock_guard lock{mutex_};
    return x;
  }
  template <class T>
  void write(T& to, T x) {
    std::lock_guard lock{mutex_};
    std::swap(to, x); // the old one is let go of outside the lock
  }

  mutable std::mutex mutex_;
  instances<forwarder_actor> forwarders_;
  instances<receiver_actor> receivers_;
  instances<shard_actor> shards_;
  endpoint<store_writer_actor> writer_;
  endpoint<buffers_actor> buffers_;
  endpoint<pusher_actor> pusher_;
};

} // namespace weir
