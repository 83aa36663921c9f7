package amqphub

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/memory"
)

// tappedLog counts the records that are read, and damages some.
type tappedLog struct {
	store.Log
	mu      sync.Mutex
	records int
	damaged map[int64]bool
	// gate, if set, holds up each Read until it can be received from.
	gate chan struct{}
}

func (l *tappedLog) Read(ctx context.Context, p int, from int64, limit int) ([]store.LogRecord, error) {
	if l.gate != nil {
		select {
		case <-l.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	records, err := l.Log.Read(ctx, p, from, limit)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records += len(records)
	for i := range records {
		if l.damaged[records[i].SequenceNumber] {
			records[i].Payload = []byte{0xff}
		}
	}
	return records, err
}

// tappedHub is a hub with n events of size bytes in partition 0.
func tappedHub(t *testing.T, n, size int) (*eventPages, *tappedLog) {
	t.Helper()
	st := memory.New(memory.Options{})
	reg, err := registry.New(registry.Options{Records: st.Records()})
	if err != nil {
		t.Fatal(err)
	}
	log := &tappedLog{Log: st.Log(), damaged: map[int64]bool{}}
	h, err := hub.New(hub.Options{Name: "hub1", Registry: reg, Queues: st.Queues(), Documents: st.Documents(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = h.Close(), st.Close() })
	for i := range n {
		body := make([]byte, size)
		body[0], body[1] = byte(i>>8), byte(i)
		done := make(chan error, 1)
		log.Append(t.Context(), 0, time.Now(), iothub.AppendTelemetry(nil, &iothub.Telemetry{ID: iothub.ID{DeviceID: "d"}, Body: body}),
			func(_ store.LogRecord, err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	return newEventPages(h, slog.New(slog.DiscardHandler)), log
}

// numbers reads everything from a sequence number on and returns which events
// were there, by the numbers in their bodies.
func numbers(t *testing.T, pages *eventPages, from int64) (found []int) {
	t.Helper()
	for {
		page, next, err := pages.get(t.Context(), 0, from)
		if err != nil {
			t.Fatal(err)
		}
		if page == nil && next == from {
			return found
		}
		if page != nil {
			for n := max(from, page.first); n < page.next; n++ {
				b := page.event(n)
				if len(b) == 0 {
					continue
				}
				m, err := wire.ScanMessage(b)
				if err != nil {
					t.Fatal(err)
				}
				number := int(m.Data()[0])<<8 | int(m.Data()[1])
				if int64(number) != n {
					t.Errorf("event %d has the body of %d", n, number)
				}
				found = append(found, number)
			}
		}
		from = next
	}
}

func wantNumbers(t *testing.T, got []int, from, to int, without ...int) {
	t.Helper()
	skip := map[int]bool{}
	for _, n := range without {
		skip[n] = true
	}
	var want []int
	for n := from; n < to; n++ {
		if !skip[n] {
			want = append(want, n)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("got %d events, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("event %d is %d, want %d", i, got[i], want[i])
		}
	}
}

// Readers that come after one another, and those that begin in the middle, find
// what is encoded already.
func TestPagesAreShared(t *testing.T) {
	pages, log := tappedHub(t, 1000, 256)
	for _, from := range []int{0, 0, 1, 517, 999} {
		wantNumbers(t, numbers(t, pages, int64(from)), from, 1000)
	}
	if log.records != 1000 {
		t.Errorf("%d records were read for 1000", log.records)
	}
}

// Readers who wait at the same place wait for one of them, and one who gives up
// does not take the others along.
func TestPagesAreMadeOnce(t *testing.T) {
	pages, log := tappedHub(t, 10, 256)
	log.gate = make(chan struct{})
	quitter, quit := context.WithCancel(t.Context())
	var first sync.WaitGroup
	first.Go(func() {
		if _, _, err := pages.get(quitter, 0, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("the one who gives up gets %v", err)
		}
	})
	var others sync.WaitGroup
	got := make([]*eventPage, 5)
	for i := range got {
		others.Go(func() { got[i], _, _ = pages.get(t.Context(), 0, 0) })
	}
	quit()
	first.Wait()
	log.gate <- struct{}{}
	others.Wait()
	for _, page := range got {
		if page == nil || page != got[0] {
			t.Fatal("readers at the same place have different pages")
		}
	}
	if log.records != 10 {
		t.Errorf("%d records were read for 10", log.records)
	}
}

// What is kept stays within its bound, and is in order.
func TestPagesAreBounded(t *testing.T) {
	pages, _ := tappedHub(t, 600, 30<<10)
	wantNumbers(t, numbers(t, pages, 0), 0, 600)
	wantNumbers(t, numbers(t, pages, 300), 300, 600)
	wantNumbers(t, numbers(t, pages, 0), 0, 600)
	if pages.bytes > pagesBytes || pages.bytes < pagesBytes/2 {
		t.Errorf("%d bytes are kept", pages.bytes)
	}
	total, kept := 0, pages.partitions[0].pages
	for i, page := range kept {
		total += page.size()
		if i > 0 && kept[i-1].first >= page.first {
			t.Error("pages are out of order")
		}
	}
	if total != pages.bytes || len(kept) != len(pages.order) {
		t.Errorf("%d bytes in %d pages; counted %d in %d", total, len(kept), pages.bytes, len(pages.order))
	}
}

// Events that cannot be read are passed over, wherever they are in a page.
func TestPagesPassOverDamage(t *testing.T) {
	pages, log := tappedHub(t, 600, 256)
	bad := []int{0, 1, 5, 127, 128, 598, 599}
	for n := 150; n < 500; n++ { // more than a page
		bad = append(bad, n)
	}
	for _, n := range bad {
		log.damaged[int64(n)] = true
	}
	wantNumbers(t, numbers(t, pages, 0), 0, 600, bad...)
	wantNumbers(t, numbers(t, pages, 160), 160, 600, bad...)
	if _, next, err := pages.get(t.Context(), 0, 598); next != 600 || err != nil {
		t.Errorf("behind the damage at the end is %d, %v", next, err)
	}
}
