package broker

import (
	"errors"
	"sync"

	"github.com/hubnerite/hubnerite/hub"
)

// ackQueue sends the PUBACKs of a connection in the order of the publishes,
// whatever order the operations end in (MQTT 3.1.1 4.6, MQTT-4.6.0-2).
type ackQueue struct {
	conn *conn
	// failed hears of a publish that was not taken over; there is no PUBACK then.
	failed func(error)

	mu sync.Mutex
	// waiting holds the publishes not yet acknowledged, oldest first, from head on.
	waiting []*pendingAck
	head    int
	// free are entries to use again, so that a message costs no allocation here.
	free []*pendingAck
	// buf gathers PUBACKs.
	buf []byte
}

// maxFreeAcks bounds the entries that a connection keeps for later.
const maxFreeAcks = 128

// pendingAck is a publish that has no PUBACK yet.
type pendingAck struct {
	// packetID is 0 when there shall be no PUBACK.
	packetID uint16
	done     bool
	// finish says, once, that the publish has been taken over, or why not. It
	// does not wait.
	finish func(error)
}

// take enters a publish.
func (q *ackQueue) take(packetID uint16) *pendingAck {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head > 0 && len(q.waiting) == cap(q.waiting) {
		n := copy(q.waiting, q.waiting[q.head:])
		clear(q.waiting[n:])
		q.waiting, q.head = q.waiting[:n], 0
	}
	var p *pendingAck
	if n := len(q.free); n > 0 {
		p = q.free[n-1]
		q.free = q.free[:n-1]
	} else {
		p = &pendingAck{}
		p.finish = func(err error) {
			if errors.Is(err, hub.ErrFaultTaken) {
				q.skip(p)
				return
			}
			if err != nil {
				q.failed(err)
				return
			}
			q.done(p)
		}
	}
	p.packetID, p.done = packetID, false
	q.waiting = append(q.waiting, p)
	return p
}

// skip lets a publish go without a PUBACK: it does not hold up the others.
func (q *ackQueue) skip(p *pendingAck) {
	q.mu.Lock()
	p.packetID = 0
	q.mu.Unlock()
	q.done(p)
}

// done sends what may be sent now that p is.
func (q *ackQueue) done(p *pendingAck) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p.done = true
	q.buf = q.buf[:0]
	for q.head < len(q.waiting) && q.waiting[q.head].done {
		first := q.waiting[q.head]
		if first.packetID != 0 {
			q.buf = appendPuback(q.buf, first.packetID)
		}
		q.waiting[q.head] = nil
		q.head++
		if len(q.free) < maxFreeAcks {
			q.free = append(q.free, first)
		}
	}
	if q.head == len(q.waiting) {
		q.waiting, q.head = q.waiting[:0], 0
	}
	if len(q.buf) > 0 {
		// An error means that the connection ends; the client sends again.
		_ = q.conn.enqueue(q.buf)
	}
}
