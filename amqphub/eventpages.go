package amqphub

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

const (
	// pageEvents and pageBytes bound a page; one event is a page however large.
	pageEvents = 128
	pageBytes  = 64 << 10
	// pagesBytes bounds the pages that are kept of a hub.
	pagesBytes = 8 << 20
	// pageOverhead is what a page costs beside its events, in bytes.
	pageOverhead = 256
)

// eventPage holds neighbouring events of a partition as they go over the wire.
// It is never changed, so that any number of readers can send from it.
type eventPage struct {
	partition int
	// first and next are the sequence numbers of the first event and of the one
	// behind the page.
	first, next int64
	// ends says where in data each event ends. One that cannot be read is empty.
	ends []uint32
	data []byte
}

// event returns the encoded event of a sequence number in the page, empty if
// that one is passed over.
func (p *eventPage) event(number int64) []byte {
	i := number - p.first
	start := uint32(0)
	if i > 0 {
		start = p.ends[i-1]
	}
	return p.data[start:p.ends[i]:p.ends[i]]
}

func (p *eventPage) size() int { return pageOverhead + 4*cap(p.ends) + cap(p.data) }

// eventPages are the pages of one hub that readers used last. Each event is
// taken from the log and encoded once for all readers who are near each other,
// and those who follow the end of a partition are.
type eventPages struct {
	hub *hub.Hub
	log *slog.Logger
	// rooms are buffers to encode in.
	rooms sync.Pool

	// readers counts who uses them; guarded by the server's lock.
	readers int

	mu         sync.Mutex
	bytes      int
	order      []*eventPage // as they came
	partitions []partitionPages
}

type partitionPages struct {
	pages []*eventPage // by first
	// average is the length of the events last encoded, in bytes.
	average int
	// loading are the pages being made, by where they begin.
	loading map[int64]*pageLoad
}

// pageLoad is a page being made; what it came to is set before done is closed.
type pageLoad struct {
	done chan struct{}
	page *eventPage
	// next is the sequence number to go on from when there is no page.
	next int64
	err  error
}

func newEventPages(h *hub.Hub, log *slog.Logger) *eventPages {
	p := &eventPages{hub: h, log: log, partitions: make([]partitionPages, h.Partitions())}
	for i := range p.partitions {
		p.partitions[i].loading = map[int64]*pageLoad{}
	}
	return p
}

// pagesOf returns the pages that the readers of a hub share, until done is called.
func (s *Server) pagesOf(h *hub.Hub) (pages *eventPages, done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pages = s.pages[h]; pages == nil {
		pages = newEventPages(h, s.log)
		s.pages[h] = pages
	}
	pages.readers++
	return pages, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if pages.readers--; pages.readers == 0 {
			delete(s.pages, h)
		}
	}
}

// get returns the page that holds the event with a sequence number, or the first
// one behind it that is still kept; nil when there is none yet.
// next is the sequence number to go on from after that.
func (e *eventPages) get(ctx context.Context, partition int, number int64) (page *eventPage, next int64, err error) {
	part := &e.partitions[partition]
	for {
		e.mu.Lock()
		found, limit := part.find(number)
		if found != nil {
			e.mu.Unlock()
			return found, found.next, nil
		}
		load := part.loading[number]
		if load == nil {
			load = &pageLoad{done: make(chan struct{}), next: number}
			part.loading[number] = load
			e.mu.Unlock()
			e.load(ctx, load, partition, number, limit)
			return load.page, load.next, load.err
		}
		e.mu.Unlock()
		select {
		case <-load.done:
			if load.err == nil {
				return load.page, load.next, nil
			}
			// Perhaps only the other reader is gone.
		case <-ctx.Done():
			return nil, number, ctx.Err()
		}
	}
}

// find returns the page that holds a sequence number, or how many events there are
// before the next page.
func (p *partitionPages) find(number int64) (*eventPage, int) {
	at := p.behind(number)
	if at > 0 && p.pages[at-1].next > number {
		return p.pages[at-1], 0
	}
	// Small pages of large events: no more shall be read from a file than is used.
	limit := min(pageBytes/max(p.average, 1)+1, pageEvents)
	if at < len(p.pages) {
		limit = int(min(p.pages[at].first-number, int64(limit)))
	}
	return nil, limit
}

// behind returns the index of the first page that begins behind number.
func (p *partitionPages) behind(number int64) int {
	at, _ := slices.BinarySearchFunc(p.pages, number+1, func(page *eventPage, n int64) int { return cmp.Compare(page.first, n) })
	return at
}

// load makes a page and keeps it. Whatever happens, nobody waits for it afterwards.
func (e *eventPages) load(ctx context.Context, load *pageLoad, partition int, number int64, limit int) {
	average := 0
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		part := &e.partitions[partition]
		delete(part.loading, number)
		if load.page != nil {
			part.average = average
			e.keepLocked(load.page)
		}
		close(load.done)
	}()
	average = e.encode(ctx, load, partition, number, limit)
}

func (e *eventPages) keepLocked(page *eventPage) {
	part := &e.partitions[page.partition]
	at := part.behind(page.first)
	if at > 0 && part.pages[at-1].first == page.first {
		return // asked for by numbers that the log has no more
	}
	part.pages = slices.Insert(part.pages, at, page)
	e.order = append(e.order, page)
	for e.bytes += page.size(); e.bytes > pagesBytes && len(e.order) > 1; {
		oldest := e.order[0]
		e.order[0] = nil
		e.order = e.order[1:]
		e.bytes -= oldest.size()
		part := &e.partitions[oldest.partition]
		at := part.behind(oldest.first) - 1
		part.pages = slices.Delete(part.pages, at, at+1)
	}
}

// encode reads events from the log and encodes them. It says how many bytes each
// took, roundabout, for the next page.
func (e *eventPages) encode(ctx context.Context, load *pageLoad, partition int, number int64, limit int) (average int) {
	room, _ := e.rooms.Get().(*[]byte)
	if room == nil {
		room = new([]byte)
	}
	data := (*room)[:0]
	page := &eventPage{partition: partition, first: -1}
	load.next, load.err = e.hub.EachEvent(ctx, partition, number, limit, func(t *iothub.Telemetry) bool {
		if page.first < 0 {
			page.first = t.SequenceNumber
			page.ends = make([]uint32, 0, limit)
		}
		gap := t.SequenceNumber - page.first - int64(len(page.ends))
		if gap > pageEvents {
			return false
		}
		for ; gap > 0; gap-- {
			page.ends = append(page.ends, uint32(len(data)))
		}
		encoded, err := appendEvent(data, t)
		if err != nil {
			e.log.Error("a stored message cannot be sent to readers; it is passed over",
				"partition", partition, "number", t.SequenceNumber, "err", err)
		} else {
			data = encoded
		}
		page.ends = append(page.ends, uint32(len(data)))
		return len(data) < pageBytes
	})
	if load.err == nil && page.first >= 0 {
		page.data = bytes.Clone(data)
		load.next = page.first + int64(len(page.ends))
		page.next = load.next
		load.page = page
		average = len(data) / len(page.ends)
	}
	if cap(data) <= 2*pageBytes {
		*room = data
		e.rooms.Put(room)
	}
	return average
}
