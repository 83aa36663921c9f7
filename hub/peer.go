package hub

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// shardCount spreads the peers; a power of two.
const shardCount = 64

// idleUnload is how long the waiting messages of an unconnected identity stay
// in memory after their last use.
const idleUnload = 5 * time.Minute

type counter = atomic.Int64

// shard holds the peers of some devices, their modules included.
type shard struct {
	mu    sync.Mutex
	peers map[iothub.ID]*peer
}

// peer is the live state of one identity. See the package comment for locks.
type peer struct {
	id iothub.ID
	// refs counts the uses; guarded by the shard's mutex.
	refs int
	// due is the Unix time in nanoseconds at which Sweep shall look at the peer.
	due atomic.Int64
	// lastActivity in Unix nanoseconds, 0 for never.
	lastActivity atomic.Int64

	io   sync.Mutex
	twin sync.Mutex

	mu           sync.Mutex
	conn         *Connection
	stateUpdated time.Time
	// online is closed when the client starts to take methods; nil without waiters.
	online  chan struct{}
	pending map[string]*call
	// calls counts direct methods in progress, also those that wait for the device.
	calls int
	queue c2dQueue
	// inputs are the messages at a module's inputs; arrivals are on their way there.
	inputs   c2dQueue
	arrivals inputArrivals
	// loaded says that the queues are what the store has; nextExpiry keeps the
	// earliest expiry that matters while it is not.
	loaded     bool
	nextExpiry time.Time
	lastUse    time.Time
	// marker is the number of the entry in markerQueue, 0 for none.
	marker uint64
}

// partitionHash is FNV-1a, 32 bits: stable over restarts and versions, because
// the partition of a device must never change.
func partitionHash(deviceID string) uint32 {
	hash := uint32(2166136261)
	for i := range len(deviceID) {
		hash = (hash ^ uint32(deviceID[i])) * 16777619
	}
	return hash
}

func (h *Hub) shard(id iothub.ID) *shard {
	return &h.shards[partitionHash(id.DeviceID)%shardCount]
}

// acquire returns the peer of id, made if need be; release gives it back.
func (h *Hub) acquire(id iothub.ID) *peer {
	s := h.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[id]
	if p == nil {
		p = &peer{id: id}
		p.due.Store(math.MaxInt64)
		s.peers[id] = p
	}
	p.refs++
	return p
}

// find is acquire for an identity that may have no peer: then nil.
func (h *Hub) find(id iothub.ID) *peer {
	s := h.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[id]
	if p != nil {
		p.refs++
	}
	return p
}

// hold adds a use of a peer that the caller has acquired.
func (h *Hub) hold(p *peer) {
	s := h.shard(p.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.refs++
}

// release ends a use and drops the peer if it has nothing to remember.
func (h *Hub) release(p *peer) {
	s := h.shard(p.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.refs--
	// With no use left nobody holds or waits for p.mu.
	if p.refs == 0 && p.forgettable() {
		delete(s.peers, p.id)
	}
}

func (p *peer) forgettable() bool {
	return p.conn == nil && p.stateUpdated.IsZero() && p.lastActivity.Load() == 0 &&
		len(p.queue.entries) == 0 && len(p.inputs.entries) == 0 && p.nextExpiry.IsZero() && p.marker == 0
}

// neighbours acquires the peers of a device and of its modules.
func (h *Hub) neighbours(deviceID string) []*peer {
	s := h.shard(iothub.ID{DeviceID: deviceID})
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*peer
	for id, p := range s.peers {
		if id.DeviceID == deviceID {
			p.refs++
			found = append(found, p)
		}
	}
	return found
}

func (h *Hub) allPeers() []*peer { return h.duePeers(time.Unix(0, math.MaxInt64)) }

// duePeers acquires the peers that Sweep must look at.
func (h *Hub) duePeers(now time.Time) []*peer {
	limit := now.UnixNano()
	var found []*peer
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		for _, p := range s.peers {
			if p.due.Load() <= limit {
				p.refs++
				found = append(found, p)
			}
		}
		s.mu.Unlock()
	}
	return found
}

// scheduleLocked computes when Sweep is needed next.
func (p *peer) scheduleLocked() {
	var due time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	if p.conn != nil {
		earlier(p.conn.endLocked())
	}
	if p.loaded {
		earlier(p.queue.nextDue())
		earlier(p.inputs.nextDue())
		if p.conn == nil {
			earlier(p.lastUse.Add(idleUnload))
		}
	} else {
		earlier(p.nextExpiry)
	}
	if due.IsZero() {
		p.due.Store(math.MaxInt64)
		return
	}
	p.due.Store(due.UnixNano())
}

// sweepPeer does what is due for one identity.
func (h *Hub) sweepPeer(p *peer, now time.Time) {
	p.mu.Lock()
	c := p.conn
	expired := c != nil && !c.endLocked().IsZero() && !now.Before(c.endLocked())
	mustLoad := !p.loaded && !p.nextExpiry.IsZero() && !now.Before(p.nextExpiry)
	p.mu.Unlock()
	if expired {
		c.lapsed.Store(true)
		h.disconnectIf(p, c, iothub.NewError(iothub.CodeIotHubUnauthorized, "The token of the connection expired."))
	}
	if mustLoad {
		if err := h.loadExisting(context.Background(), p); err != nil {
			h.o.Logger.Error("loading a cloud-to-device queue failed", "device", p.id, "err", err)
			return
		}
	}
	p.mu.Lock()
	ended := append(p.queue.refresh(now), p.inputs.refresh(now)...)
	waiting := p.wakeLocked()
	if p.loaded && p.conn == nil && p.queue.quiet() && p.inputs.quiet() && !now.Before(p.lastUse.Add(idleUnload)) {
		p.unloadLocked()
	}
	p.scheduleLocked()
	p.mu.Unlock()
	wake(waiting)
	_ = h.endAndWait(p, ended, iothub.OutcomeExpired, now) // end has logged it
	h.dropMarker(p)
}

// touch notes activity of the identity.
func (p *peer) touch(now time.Time) { p.lastActivity.Store(now.UnixNano()) }
