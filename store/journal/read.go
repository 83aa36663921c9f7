package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"

	"github.com/hubnerite/hubnerite/store"
)

// maxReadBytes bounds the payloads that one Read takes from a segment.
const maxReadBytes = 4 << 20

// Read returns durable records in order; a page may be shorter than asked for.
func (l *Log) Read(ctx context.Context, p int, from int64, limit int) ([]store.LogRecord, error) {
	if p < 0 || p >= len(l.partitions) {
		return nil, fmt.Errorf("%w: %d", ErrPartition, p)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l.mu.Lock()
		if l.isClosed() {
			l.mu.Unlock()
			return nil, store.ErrClosed
		}
		part := &l.partitions[p]
		from = max(from, l.segments[0].start[p].next)
		if from >= part.next || limit <= 0 {
			l.mu.Unlock()
			return nil, nil
		}
		tail := part.next - int64(len(part.tail))
		if from >= tail {
			records := part.tail[from-tail:]
			records = append([]store.LogRecord(nil), records[:min(limit, len(records))]...)
			l.mu.Unlock()
			return records, nil
		}
		// The last segment that starts at or before from is the one that holds it.
		at := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].start[p].next > from }) - 1
		s := l.segments[at]
		after := tail
		if at+1 < len(l.segments) {
			after = l.segments[at+1].start[p].next
		}
		s.readers++
		index, size := s.index, s.size
		var entries []entry
		if index != nil {
			entries = index[p]
		}
		l.mu.Unlock()
		records, err := l.readSegment(ctx, s, index == nil, entries, size, p, from, limit)
		l.release(s)
		switch {
		case errors.Is(err, os.ErrClosed):
			continue // the log was closed meanwhile
		case err != nil || len(records) > 0:
			return records, err
		}
		l.options.Logger.Warn("journal: records are missing in a damaged segment", "segment", s.number,
			"partition", p, "from", from, "to", after)
		from = max(after, from+1)
	}
}

// release ends the reading of a segment.
func (l *Log) release(s *segment) {
	l.mu.Lock()
	s.readers--
	last := s.dropped && s.readers == 0
	l.mu.Unlock()
	if last {
		l.remove(s)
	}
}

// loadEntries loads the index of a sealed segment.
func (l *Log) loadEntries(s *segment, p int) (entries []entry, size int64, err error) {
	index, end, err := s.loadIndex()
	if err != nil {
		return nil, 0, err
	}
	l.mu.Lock()
	s.index, s.size = index, end
	l.mu.Unlock()
	return index[p], end, nil
}

// readSegment reads records of one partition from one segment, up to size.
func (l *Log) readSegment(ctx context.Context, s *segment, load bool, entries []entry, size int64, p int, from int64, limit int) ([]store.LogRecord, error) {
	if load {
		var err error
		if entries, size, err = l.loadEntries(s, p); err != nil {
			return nil, err
		}
	}
	position, ok := seek(entries, from)
	if !ok {
		return nil, nil
	}
	in := bufio.NewReaderSize(io.NewSectionReader(s.file, position, size-position), 64<<10)
	salt := salt(s.number)
	var header [frameHeader]byte
	var records []store.LogRecord
	for total := 0; len(records) < limit && total < maxReadBytes; {
		if _, err := io.ReadFull(in, header[:]); err != nil {
			return records, endOfFile(err)
		}
		r, n, ok := parseHeader(header[:], len(l.partitions))
		if !ok || position+frameSize(n) > size {
			return records, nil
		}
		position += frameSize(n)
		if r.Partition != p || r.SequenceNumber < from {
			if _, err := in.Discard(n); err != nil {
				return records, endOfFile(err)
			}
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		frame := make([]byte, frameHeader+n)
		copy(frame, header[:])
		if _, err := io.ReadFull(in, frame[frameHeader:]); err != nil {
			return records, endOfFile(err)
		}
		if !whole(salt, frame) {
			l.options.Logger.Warn("journal: a damaged record is passed over", "segment", s.number, "position", position)
			continue
		}
		r.Payload = frame[frameHeader:]
		records = append(records, r)
		total += n
	}
	return records, nil
}
