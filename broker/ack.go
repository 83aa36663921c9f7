package broker

import "sync"

// ackQueue sends the PUBACKs of a connection in the order of the publishes,
// whatever order the operations end in (MQTT 3.1.1 4.6, MQTT-4.6.0-2).
type ackQueue struct {
	conn *conn

	mu sync.Mutex
	// waiting holds the publishes not yet acknowledged, oldest first, from head
	// on; first is the ticket of waiting[head].
	waiting []pendingAck
	head    int
	first   uint64
	// buf gathers PUBACKs.
	buf []byte
}

type pendingAck struct {
	packetID uint16
	done     bool
}

// take enters a publish and returns its ticket for done.
func (q *ackQueue) take(packetID uint16) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head > 0 && len(q.waiting) == cap(q.waiting) {
		n := copy(q.waiting, q.waiting[q.head:])
		q.waiting, q.head = q.waiting[:n], 0
	}
	q.waiting = append(q.waiting, pendingAck{packetID: packetID})
	return q.first + uint64(len(q.waiting)-q.head) - 1
}

// done says that a publish has been taken over and sends what may be sent now.
// It does not wait.
func (q *ackQueue) done(ticket uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting[q.head+int(ticket-q.first)].done = true
	q.buf = q.buf[:0]
	for q.head < len(q.waiting) && q.waiting[q.head].done {
		q.buf = appendPuback(q.buf, q.waiting[q.head].packetID)
		q.head++
		q.first++
	}
	if q.head == len(q.waiting) {
		q.waiting, q.head = q.waiting[:0], 0
	}
	if len(q.buf) > 0 {
		// An error means that the connection ends; the client sends again.
		_ = q.conn.enqueue(q.buf)
	}
}
