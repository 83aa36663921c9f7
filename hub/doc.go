// Package hub is what happens now, and the one door that every protocol uses:
// connections, telemetry, cloud-to-device queues and their feedback, direct
// methods, twin notifications, scheduled jobs, configurations. Front ends parse, call the hub and reply.
//
// # State
//
// Each identity in use has a peer: its connection, its cloud-to-device queue,
// its pending methods. Peers live in shards chosen by the device ID, so that a
// device and its modules are neighbours and nothing on the telemetry path is
// shared by all devices. A peer that has nothing to remember is dropped; the
// queue of an idle one is unloaded and read again when somebody asks.
//
// # Locks
//
// In the order in which they are taken; a later one is never held while an
// earlier one is taken:
//
//  1. peer.io, held across storage: loading a queue, enqueueing, connecting,
//     deleting. Of two peers the device comes before its modules, those in ID order.
//  2. peer.twin, held across the commit of a twin change and the hand-over of
//     its notification, which is what keeps notifications in version order.
//  3. peer.mu, for memory only. Neither storage nor a Client is called under it.
//  4. shard.mu, ServiceQueue.mu and the small mutexes of Hub, for memory only.
//
// Storage callbacks (the done functions of store.Queues and store.Log) take
// only 3 and 4, so they never wait for storage.
//
// # Time
//
// Options.Now decides what is due. It is asked when something happens, and
// Sweep brings about what nobody asks for. Direct methods also keep a real
// timer, so that they time out without a Sweep; when it fires the clock is asked
// again, so a frozen clock keeps them waiting and an advanced one ends them at the next Sweep.
package hub
