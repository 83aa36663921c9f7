package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// model is a naive store: the truth that random operations are compared with.
type model struct {
	records map[iothub.ID]store.Record
	queues  map[string][]store.Entry
	last    map[string]uint64
}

func (m *model) owned(queue string) bool {
	if queue[0] == '/' {
		return true
	}
	for id := range m.records {
		if store.QueueName(id) == queue {
			return true
		}
	}
	return false
}

func (m *model) put(r store.Record) (uint64, error) {
	old, ok := m.records[r.Identity.ID]
	_, parent := m.records[r.Identity.ID.Device()]
	switch {
	case r.Revision == 0 && ok:
		return 0, store.ErrExists
	case r.Revision != 0 && !ok, !ok && r.Identity.ID.IsModule() && !parent:
		return 0, store.ErrNotFound
	case r.Revision != old.Revision:
		return 0, store.ErrConflict
	}
	r.Revision++
	m.records[r.Identity.ID] = r
	return r.Revision, nil
}

func (m *model) delete(id iothub.ID, revision uint64) error {
	old, ok := m.records[id]
	switch {
	case !ok:
		return store.ErrNotFound
	case revision != 0 && revision != old.Revision:
		return store.ErrConflict
	}
	for other := range m.records {
		if other == id || !id.IsModule() && other.DeviceID == id.DeviceID {
			delete(m.records, other)
			delete(m.queues, store.QueueName(other))
			delete(m.last, store.QueueName(other))
		}
	}
	return nil
}

func (m *model) append(queue string, payload []byte) (uint64, error) {
	if !m.owned(queue) {
		return 0, store.ErrNotFound
	}
	m.last[queue]++
	m.queues[queue] = append(m.queues[queue], store.Entry{Number: m.last[queue], Payload: payload})
	return m.last[queue], nil
}

func (m *model) find(queue string, n uint64) int {
	return slices.IndexFunc(m.queues[queue], func(e store.Entry) bool { return e.Number == n })
}

func (m *model) remove(queue string, n uint64) {
	if at := m.find(queue, n); at >= 0 {
		m.queues[queue] = slices.Delete(m.queues[queue], at, at+1)
	}
}

func testDataModel(t *testing.T, b DataBackend) {
	ids := []iothub.ID{device("a"), device("a0"), device("a-"), device("b"), module("a", "m"), module("a", "n"), module("b", "m")}
	queues := []string{"a", "a0", "a-", "b", "a/m", "a/n", "b/m", "/one", "/two"}
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "storetest")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		s, err := b.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		m := &model{map[iothub.ID]store.Record{}, map[string][]store.Entry{}, map[string]uint64{}}
		same := func(what string, got, want uint64, gotErr, wantErr error) {
			if !errors.Is(gotErr, wantErr) || wantErr == nil && (gotErr != nil || got != want) {
				t.Fatalf("%s: %d, %v, want %d, %v", what, got, gotErr, want, wantErr)
			}
		}
		drawID := func() iothub.ID { return rapid.SampledFrom(ids).Draw(t, "id") }
		drawQueue := func(label string) string { return rapid.SampledFrom(queues).Draw(t, label) }
		drawNumber := func() uint64 { return rapid.Uint64Range(1, 6).Draw(t, "number") }
		drawPayload := func() []byte { return rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "payload") }
		actions := map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				r := record(drawID())
				r.Revision = rapid.Uint64Range(0, 3).Draw(t, "revision")
				if rapid.Bool().Draw(t, "current") {
					r.Revision = m.records[r.Identity.ID].Revision
				}
				r.Identity.StatusReason = fmt.Sprint(rapid.Int().Draw(t, "reason"))
				if rapid.Bool().Draw(t, "disabled") {
					r.Identity.Status = iothub.StatusDisabled
				}
				got, gotErr := s.Records.Put(ctx, r)
				want, wantErr := m.put(r)
				same("put", got, want, gotErr, wantErr)
			},
			"delete": func(t *rapid.T) {
				id, revision := drawID(), rapid.Uint64Range(0, 2).Draw(t, "revision")
				same("delete", 0, 0, s.Records.Delete(ctx, id, revision), m.delete(id, revision))
			},
			"append": func(*rapid.T) {
				q, p := drawQueue("queue"), drawPayload()
				got, gotErr := s.Queues.Append(ctx, q, p)
				want, wantErr := m.append(q, p)
				same("append", got, want, gotErr, wantErr)
			},
			"replace": func(*rapid.T) {
				q, n, p := drawQueue("queue"), drawNumber(), drawPayload()
				wantErr := store.ErrNotFound
				if at := m.find(q, n); at >= 0 {
					m.queues[q][at].Payload, wantErr = p, nil
				}
				same("replace", 0, 0, s.Queues.Replace(ctx, q, n, p), wantErr)
			},
			"remove": func(*rapid.T) {
				q, n, k := drawQueue("queue"), drawNumber(), drawNumber()
				same("remove", 0, 0, s.Queues.Remove(ctx, q, n, k), nil)
				m.remove(q, n)
				m.remove(q, k)
			},
			"removeAsync": func(*rapid.T) {
				q, n := drawQueue("queue"), drawNumber()
				done := make(chan error, 1)
				s.Queues.RemoveAsync(q, n, func(err error) { done <- err })
				same("removeAsync", 0, 0, <-done, nil)
				m.remove(q, n)
			},
			"move": func(t *rapid.T) {
				q, n, to, p := drawQueue("queue"), drawNumber(), drawQueue("to"), drawPayload()
				var want uint64
				wantErr := store.ErrNotFound
				if m.find(q, n) >= 0 && m.owned(to) {
					m.remove(q, n)
					want, wantErr = m.append(to, p)
				}
				type result struct {
					n   uint64
					err error
				}
				if !rapid.Bool().Draw(t, "async") {
					got, gotErr := s.Queues.Move(ctx, q, n, to, p)
					same("move", got, want, gotErr, wantErr)
					return
				}
				done := make(chan result, 1)
				s.Queues.MoveAsync(q, n, to, p, func(n uint64, err error) { done <- result{n, err} })
				got := <-done
				same("moveAsync", got.n, want, got.err, wantErr)
			},
			"": func(t *rapid.T) { m.compare(t, s, ids, queues) },
		}
		if b.Durable {
			actions["reopen"] = func(t *rapid.T) {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				var err error
				if s, err = b.Open(dir); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Repeat(actions)
	})
}

// compare checks everything the contract shows of the store.
func (m *model) compare(t *rapid.T, s Data, ids []iothub.ID, queues []string) {
	ctx := context.Background()
	var counts store.Counts
	for _, id := range ids {
		want, ok := m.records[id]
		got, err := s.Records.Get(ctx, id)
		if ok != (err == nil) || !ok && !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("get %s: %v, want one: %v", id, err, ok)
		}
		if !ok {
			continue
		}
		if d := diff(want, got); d != "" {
			t.Fatalf("%s:\n%s", id, d)
		}
		switch {
		case id.IsModule():
			counts.Modules++
		case want.Identity.Status == iothub.StatusDisabled:
			counts.DisabledDevices++
			fallthrough
		default:
			counts.Devices++
		}
	}
	if got, err := s.Records.Count(ctx); err != nil || got != counts {
		t.Fatalf("count: %+v, %v, want %+v", got, err, counts)
	}
	all, next, err := s.Records.List(ctx, store.ListFilter{}, "", len(ids))
	if err != nil || next != "" || len(all) != len(m.records) {
		t.Fatalf("list: %d records, next %q, %v; want %d", len(all), next, err, len(m.records))
	}
	for _, q := range queues {
		got, err := s.Queues.Load(ctx, q)
		if d := diff(m.queues[q], got); err != nil || d != "" {
			t.Fatalf("queue %s: %v\n%s", q, err, d)
		}
	}
}
