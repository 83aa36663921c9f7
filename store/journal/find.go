package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"

	"github.com/hubnerite/hubnerite/store"
)

// findPage is how many records are compared at a time between two entries of
// the index.
const findPage = 256

// Find returns the sequence number of the first record to read from a position
// on. It narrows the search by the headers of the segments and by the sparse
// index, and reads only what lies between two of its entries.
func (l *Log) Find(ctx context.Context, p int, at store.Position) (int64, error) {
	if p < 0 || p >= len(l.partitions) {
		return 0, fmt.Errorf("%w: %d", ErrPartition, p)
	}
	info, err := l.Info(p)
	if err != nil {
		return 0, err
	}
	switch at.Kind {
	case store.PositionEarliest:
		return info.First, nil
	case store.PositionLatest:
		return info.Next, nil
	case store.PositionSequenceNumber, store.PositionOffset, store.PositionEnqueuedTime:
	default:
		return 0, fmt.Errorf("journal: unknown kind of position %q", at.Kind)
	}
	from, found, err := l.narrow(ctx, p, at)
	for !found && err == nil {
		var records []store.LogRecord
		if records, err = l.Read(ctx, p, from, findPage); len(records) == 0 {
			break
		}
		i := sort.Search(len(records), func(i int) bool { return !at.Before(&records[i]) })
		found = i < len(records)
		from = records[min(i, len(records)-1)].SequenceNumber
		if !found {
			from++
		}
	}
	return from, err
}

// narrow returns the first record to read, if it is in memory, or else the
// sequence number of one before it that is close.
func (l *Log) narrow(ctx context.Context, p int, at store.Position) (from int64, found bool, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, false, err
		}
		l.mu.Lock()
		if l.isClosed() {
			l.mu.Unlock()
			return 0, false, store.ErrClosed
		}
		part := &l.partitions[p]
		first, tail := l.segments[0].start[p].next, part.next-int64(len(part.tail))
		i := sort.Search(len(part.tail), func(i int) bool { return !at.Before(&part.tail[i]) })
		if i > 0 || tail <= first {
			l.mu.Unlock()
			return max(tail+int64(i), first), true, nil
		}
		// The record is the tail's first or older: in the last segment before which
		// there is none to read, or where a damaged one was.
		after := sort.Search(len(l.segments), func(i int) bool {
			st := l.segments[i].start[p]
			return st.next > first && !at.Before(&store.LogRecord{SequenceNumber: st.next - 1, Offset: st.last, EnqueuedTime: st.lastTime})
		})
		s := l.segments[max(after-1, 0)]
		from, index := s.start[p].next, s.index
		s.readers++
		var entries []entry
		if index != nil {
			entries = index[p]
		}
		l.mu.Unlock()
		if index == nil {
			entries, _, err = l.loadEntries(s, p)
		}
		l.release(s)
		if errors.Is(err, os.ErrClosed) {
			continue // the log was closed meanwhile
		}
		i = sort.Search(len(entries), func(i int) bool {
			e := entries[i]
			return !at.Before(&store.LogRecord{SequenceNumber: e.sequence, Offset: e.offset, EnqueuedTime: e.enqueued})
		})
		if i > 0 {
			from = entries[i-1].sequence
		}
		return max(from, first), false, err
	}
}
