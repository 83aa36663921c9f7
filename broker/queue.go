package broker

import "sync"

// opQueue runs the operations of one connection that wait for the store, one
// after the other and away from the goroutine that reads. It has a goroutine
// only while it has work.
type opQueue struct {
	limit int

	mu      sync.Mutex
	changed sync.Cond
	waiting []func()
	running bool
	stopped bool
}

func newOpQueue(limit int) *opQueue {
	q := &opQueue{limit: limit}
	q.changed.L = &q.mu
	return q
}

// tryAdd adds an operation unless the queue is full. Operations added to a
// stopped queue are forgotten.
func (q *opQueue) tryAdd(op func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.stopped && len(q.waiting) >= q.limit {
		return false
	}
	q.addLocked(op)
	return true
}

// add adds an operation and waits while the queue is full.
func (q *opQueue) add(op func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.stopped && len(q.waiting) >= q.limit {
		q.changed.Wait()
	}
	q.addLocked(op)
}

func (q *opQueue) addLocked(op func()) {
	if q.stopped {
		return
	}
	q.waiting = append(q.waiting, op)
	if !q.running {
		q.running = true
		go q.run()
	}
}

func (q *opQueue) run() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) > 0 {
		op := q.waiting[0]
		q.waiting[0] = nil
		q.waiting = q.waiting[1:]
		q.changed.Broadcast()
		q.mu.Unlock()
		op()
		q.mu.Lock()
	}
	q.waiting, q.running = nil, false
	q.changed.Broadcast()
}

// stop forgets what has not begun, refuses more, and waits for what runs.
func (q *opQueue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped, q.waiting = true, nil
	q.changed.Broadcast()
	for q.running {
		q.changed.Wait()
	}
}
