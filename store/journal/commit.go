package journal

import (
	"errors"
	"os"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

const (
	// maxRound bounds the bytes of one write.
	maxRound = 4 << 20
	// A synced write into space that holds zeros already is nearly twice as fast
	// as one that grows the file. Zeros are laid out in steps, unless the writes
	// are so large that it does not matter.
	zeroStep     = 1 << 20
	zeroMaxWrite = 256 << 10
)

// writer is what only the goroutine touches whose turn it is.
type writer struct {
	segment *segment
	// position is behind the last record; filled is how far the file holds zeros
	// or a recycled file's old content.
	position, filled int64
	// since is when the segment got its first record, zero when it has none.
	since  time.Time
	states []state
	// nextStates is the memory of what states will be after the round.
	nextStates []state
	// broken: the last write failed and what is behind position must go first.
	broken  error
	buffer  []byte
	records []store.LogRecord
	zeros   []byte
	// spare is the memory of the last batch, for the next one.
	spare []pending

	// writeAt and sync are the file operations, replaced in tests of faults.
	writeAt func(*os.File, []byte, int64) (int, error)
	sync    func(*os.File) error
}

func (l *Log) durable() bool { return l.options.Durability == store.DurabilityFsync }

// commitLoop is the committer.
func (l *Log) commitLoop() {
	defer close(l.stopped)
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	var swept []chan struct{}
	for {
		if batch, closing, ok := l.take(); ok {
			l.commit(batch)
			for _, finished := range swept {
				close(finished)
			}
			swept = swept[:0]
			if len(batch) > 0 {
				continue
			}
			if closing {
				return
			}
		}
		select {
		case <-l.wake:
		case <-ticker.C:
		case finished := <-l.sweep:
			swept = append(swept, finished)
		}
	}
}

// take gives the committer its turn and what is pending, and makes room for
// more. It reports false while another goroutine has the turn, which will wake
// the committer at its end.
func (l *Log) take() (batch []pending, closing, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writing {
		l.wanted = true
		return nil, false, false
	}
	return l.takeLocked(), l.closing, true
}

// takeLocked begins a turn, which is the time for which the writer belongs to
// one goroutine.
func (l *Log) takeLocked() []pending {
	l.writing = true
	batch := l.pending
	l.pending, l.w.spare = l.w.spare, nil
	clear(l.buffered)
	if l.space != nil {
		close(l.space)
		l.space = nil
	}
	return batch
}

// commit stores what take returned, and ends the turn.
func (l *Log) commit(batch []pending) {
	l.retain()
	for rest := batch; len(rest) > 0; {
		rest = rest[l.round(rest):]
	}
	clear(batch)
	l.mu.Lock()
	l.w.spare = batch[:0]
	l.writing = false
	wake := l.wanted || len(l.pending) > 0 && (l.due || l.holds == 0)
	l.wanted, l.due = false, false
	l.mu.Unlock()
	if wake {
		l.signal()
	}
}

// round stores the first records of batch, as many as one write takes, and
// returns their number. It calls their done either way.
func (l *Log) round(batch []pending) int {
	w := &l.w
	err := l.repair()
	if err == nil && w.position >= l.options.SegmentBytes && !w.since.IsZero() {
		err = l.roll()
	}
	if err != nil {
		l.options.Logger.Error("journal: telemetry cannot be stored", "err", err)
		for _, p := range batch {
			p.done(store.LogRecord{}, err)
		}
		return len(batch)
	}
	states := append(w.nextStates[:0], w.states...)
	w.buffer, w.records = w.buffer[:0], w.records[:0]
	for _, p := range batch {
		size := frameSize(len(p.payload))
		full := w.position+int64(len(w.buffer))+size > l.options.SegmentBytes || len(w.buffer) >= maxRound
		if full && len(w.records) > 0 {
			break
		}
		st := &states[p.partition]
		r := store.LogRecord{
			Partition: p.partition, SequenceNumber: st.next, Offset: st.offset,
			EnqueuedTime: p.enqueued.UTC().Truncate(time.Millisecond), Payload: p.payload,
		}
		if r.EnqueuedTime.Before(st.lastTime) {
			r.EnqueuedTime = st.lastTime
		}
		st.advance(r)
		w.buffer = appendFrame(w.buffer, w.segment.salt, r)
		w.records = append(w.records, r)
	}
	batch = batch[:len(w.records)]
	if l.options.Durability == store.DurabilityNone {
		l.show(states)
		l.acknowledge(batch)
		if err := l.write(); err != nil {
			l.options.Logger.Error("journal: acknowledged telemetry could not be written", "err", err)
		}
		return l.finish(batch)
	}
	if err := l.write(); err != nil {
		l.options.Logger.Error("journal: telemetry could not be written", "err", err)
		for _, p := range batch {
			p.done(store.LogRecord{}, err)
		}
		return l.finish(batch)
	}
	l.show(states)
	l.acknowledge(batch)
	return l.finish(batch)
}

func (l *Log) acknowledge(batch []pending) {
	for i, p := range batch {
		p.done(l.w.records[i], nil)
	}
}

// finish lets go of the round's records and of memory that readers no longer
// need.
func (l *Log) finish(batch []pending) int {
	clear(l.w.records)
	if cap(l.w.buffer) > 2*maxRound {
		l.w.buffer = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.tailOrder) > 1 && l.tailBytes > l.options.TailBytes {
		part := &l.partitions[l.tailOrder[0]]
		l.tailBytes -= frameSize(len(part.tail[0].Payload))
		part.tail[0] = store.LogRecord{}
		part.tail = part.tail[1:]
		l.tailOrder = l.tailOrder[1:]
	}
	return len(batch)
}

// write writes and, if asked for, syncs the encoded records, and enters them
// into the index.
func (l *Log) write() error {
	w := &l.w
	end := w.position + int64(len(w.buffer))
	if err := l.writeAndSync(end); err != nil {
		w.broken = err
		return err
	}
	l.mu.Lock()
	position := w.position
	for _, r := range w.records {
		note(w.segment.index, r, position)
		position += frameSize(len(r.Payload))
		if r.EnqueuedTime.After(w.segment.newest) {
			w.segment.newest = r.EnqueuedTime
		}
	}
	w.segment.size = end
	l.mu.Unlock()
	w.position = end
	if w.since.IsZero() {
		w.since = l.options.Now()
	}
	return nil
}

func (l *Log) writeAndSync(end int64) error {
	w := &l.w
	if l.durable() && end > w.filled && len(w.buffer) <= zeroMaxWrite && end+zeroStep <= l.options.SegmentBytes {
		if w.zeros == nil {
			w.zeros = make([]byte, zeroStep)
		}
		from := max(w.filled, w.position)
		if _, err := w.writeAt(w.segment.file, w.zeros, from); err != nil {
			return err
		}
		w.filled = from + zeroStep
	}
	if _, err := w.writeAt(w.segment.file, w.buffer, w.position); err != nil {
		return err
	}
	if l.durable() {
		return w.sync(w.segment.file)
	}
	return nil
}

// show makes the round's records readable and wakes who waits for them.
func (l *Log) show(states []state) {
	l.w.states, l.w.nextStates = states, l.w.states
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.w.records {
		part := &l.partitions[r.Partition]
		part.remember(r)
		part.next, part.last, part.lastTime = r.SequenceNumber+1, r.Offset, r.EnqueuedTime
		l.tailOrder = append(l.tailOrder, uint8(r.Partition))
		l.tailBytes += frameSize(len(r.Payload))
		if part.changed != nil {
			close(part.changed)
			part.changed = nil
		}
	}
}

// repair removes what a failed write may have left behind the records, so that
// nothing of it can ever pass for a record.
func (l *Log) repair() error {
	w := &l.w
	if w.broken == nil {
		return nil
	}
	if err := w.segment.file.Truncate(w.position); err != nil {
		return errors.Join(w.broken, err)
	}
	w.filled = w.position
	if l.durable() {
		if err := w.sync(w.segment.file); err != nil {
			return errors.Join(w.broken, err)
		}
	}
	w.broken = nil
	return nil
}

// roll seals the segment and starts the next one.
func (l *Log) roll() error {
	w := &l.w
	old := w.segment
	l.mu.Lock()
	spare := l.spare
	l.spare = ""
	l.mu.Unlock()
	footer := old.encodeIndex(w.position, old.index)
	_, err := w.writeAt(old.file, footer, w.position)
	if err == nil {
		err = old.file.Truncate(w.position + int64(len(footer)))
	}
	if err == nil && l.durable() {
		err = w.sync(old.file)
	}
	var next *segment
	if err == nil {
		next, err = createSegment(l.dir, spare, old.number+1, w.states, l.durable())
	}
	if err != nil {
		w.broken = err
		return err
	}
	w.segment, w.position, w.filled, w.since = next, next.size, next.size, time.Time{}
	if spare != "" {
		if info, err := next.file.Stat(); err == nil {
			w.filled = info.Size()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments = append(l.segments, next)
	return nil
}

// retain removes the oldest segments that age or size no longer allow.
func (l *Log) retain() {
	w := &l.w
	now := l.options.Now()
	if r := l.options.Retention; r > 0 && !w.since.IsZero() && w.broken == nil {
		// A segment that fills slowly must not hold its first records for long.
		if now.Sub(w.since) >= r/8 || w.segment.newest.Before(now.Add(-r)) {
			if err := l.roll(); err != nil {
				l.options.Logger.Error("journal: a new segment could not be started", "err", err)
			}
		}
	}
	for _, s := range l.expired(now) {
		l.remove(s)
	}
}

// expired takes the oldest segments that age or size no longer allow off the
// list, and returns those that nobody reads: the last reader removes the others.
func (l *Log) expired(now time.Time) (unread []*segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	total := int64(0)
	for _, s := range l.segments {
		total += s.size
	}
	for len(l.segments) > 1 {
		oldest := l.segments[0]
		old := l.options.Retention > 0 && oldest.newest.Before(now.Add(-l.options.Retention))
		if !old && (l.options.MaxBytes < 0 || total <= l.options.MaxBytes) {
			break
		}
		total -= oldest.size
		l.segments = l.segments[1:]
		oldest.dropped = true
		if oldest.readers == 0 {
			unread = append(unread, oldest)
		}
	}
	return unread
}

// remove removes the file of a dropped segment, or keeps it to recycle. The lock
// is not held: a large file takes milliseconds, for which senders and readers
// would wait.
func (l *Log) remove(s *segment) {
	err := s.file.Close()
	l.mu.Lock()
	recycle := l.durable() && l.spare == "" && !l.closing
	l.mu.Unlock()
	unwanted, spare := s.path, s.path+".tmp" // a name of its own: the committer may be taking another
	if recycle && os.Rename(s.path, spare) == nil {
		l.mu.Lock()
		unwanted, l.spare = l.spare, spare // there may be one by now
		l.mu.Unlock()
	}
	if unwanted != "" {
		err = errors.Join(err, os.Remove(unwanted))
	}
	if err != nil {
		l.options.Logger.Warn("journal: an old segment could not be removed", "err", err)
	}
}
