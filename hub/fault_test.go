package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

var errDisk = errors.New("no space left")

// faultyQueues refuses writes while broken.
type faultyQueues struct {
	store.Queues
	broken atomic.Bool
}

func (q *faultyQueues) err() error {
	if q.broken.Load() {
		return errDisk
	}
	return nil
}

func (q *faultyQueues) Append(ctx context.Context, queue string, payload []byte) (uint64, error) {
	if err := q.err(); err != nil {
		return 0, err
	}
	return q.Queues.Append(ctx, queue, payload)
}

func (q *faultyQueues) Replace(ctx context.Context, queue string, number uint64, payload []byte) error {
	if err := q.err(); err != nil {
		return err
	}
	return q.Queues.Replace(ctx, queue, number, payload)
}

func (q *faultyQueues) Remove(ctx context.Context, queue string, numbers ...uint64) error {
	if err := q.err(); err != nil {
		return err
	}
	return q.Queues.Remove(ctx, queue, numbers...)
}

func (q *faultyQueues) RemoveAsync(queue string, number uint64, done func(error)) {
	if err := q.err(); err != nil {
		go done(err)
		return
	}
	q.Queues.RemoveAsync(queue, number, done)
}

func (q *faultyQueues) MoveAsync(queue string, number uint64, to string, payload []byte, done func(uint64, error)) {
	if err := q.err(); err != nil {
		go done(0, err)
		return
	}
	q.Queues.MoveAsync(queue, number, to, payload, done)
}

// A failing disk loses nothing and acknowledges nothing.
func TestStorageFaults(t *testing.T) {
	queues := &faultyQueues{}
	f := startFixtureOn(t, func(q store.Queues) store.Queues { queues.Queues = q; return queues })
	t.Cleanup(func() { _ = f.Close() })
	id := f.device("d")
	ctx := t.Context()
	f.send(id, "1", iothub.AckFull)

	queues.broken.Store(true)
	if _, err := f.SendC2D(ctx, iothub.C2DMessage{ID: id}); !errors.Is(err, errDisk) {
		t.Errorf("send: %v", err)
	}
	for name, settle := range map[string]func(context.Context, iothub.ID, string) error{
		"complete": f.CompleteC2D, "reject": f.RejectC2D, "abandon": f.AbandonC2D,
	} {
		d, ok, err := f.ReceiveC2D(ctx, id)
		if err != nil || !ok || d.Message.System.MessageID != "1" || d.Message.DeliveryCount != 0 {
			t.Fatalf("before %s: %+v %v %v", name, d, ok, err)
		}
		if err := settle(ctx, id, d.LockToken); !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.PurgeC2D(ctx, id); !errors.Is(err, errDisk) {
		t.Errorf("purge: %v", err)
	}
	f.wantNoFeedback(t)

	queues.broken.Store(false)
	_, token := f.receive(id)
	if err := f.CompleteC2D(ctx, id, token); err != nil {
		t.Fatal(err)
	}
	queues.broken.Store(true)
	d, ok, err := f.Feedback().Receive(ctx)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := f.Feedback().Complete(ctx, d.LockToken); !errors.Is(err, errDisk) {
		t.Errorf("complete feedback: %v", err)
	}
	if d, _, err = f.Feedback().Receive(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.Feedback().Abandon(ctx, d.LockToken); !errors.Is(err, errDisk) {
		t.Errorf("abandon feedback: %v", err)
	}
	queues.broken.Store(false)
	f.wantFeedback(t, "1 Success")
}

func TestNewRefusesIncompleteOptions(t *testing.T) {
	f := newFixture(t)
	for _, o := range []Options{
		{},
		{Registry: f.registry},
		{Registry: f.registry, Queues: f.options.Queues},
		{Registry: f.registry, Queues: f.options.Queues, Log: f.options.Log},
		{Registry: f.registry, Queues: f.options.Queues, Documents: f.options.Documents},
		{Queues: f.options.Queues, Documents: f.options.Documents, Log: f.options.Log},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("accepted %+v", o)
		}
	}
	if h, err := New(Options{
		Registry: f.registry, Queues: f.options.Queues, Documents: f.options.Documents, Log: f.options.Log,
	}); err != nil || h.Close() != nil {
		t.Error(err)
	}
}

// Unreadable entries are passed over, not fatal.
func TestUnreadableEntries(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	for _, queue := range []string{"d", feedbackQueueName, markerQueue} {
		if _, err := f.store.Queues().Append(t.Context(), queue, []byte("\xff/\xff")); err != nil {
			t.Fatal(err)
		}
	}
	f.restart()
	f.complete(id, "1", iothub.AckFull)
	f.wantFeedback(t, "1 Success")
}

// Senders, receivers that come and go, settlements and sweeps at once: every
// message is completed exactly once, in the end, with one feedback record.
func TestC2DUnderLoad(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.FeedbackInterval = time.Nanosecond })
	const devices, messages = 4, 150
	ctx := context.Background()
	var (
		mu        sync.Mutex
		completed = map[string]int{}
		all       sync.WaitGroup
		sweeping  sync.WaitGroup
	)
	stop := make(chan struct{})
	sweeping.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				f.Sweep(time.Now())
			}
		}
	})
	for d := range devices {
		id := f.device(fmt.Sprint("d", d))
		all.Go(func() {
			for i := 0; i < messages; {
				_, err := f.SendC2D(ctx, iothub.C2DMessage{
					ID: id, System: iothub.SystemProperties{MessageID: fmt.Sprint(id, "-", i)}, Ack: iothub.AckFull,
				})
				switch iothub.ErrorCode(err) {
				case iothub.CodeDeviceMaximumQueueDepthExceeded:
				case 0:
					i++
				default:
					t.Error(err)
					return
				}
			}
		})
		all.Go(func() {
			last := uint64(0)
			for left := messages; left > 0; {
				client := newFakeClient()
				c, err := f.Connect(ctx, id, options("mqtt"), client)
				if err != nil {
					t.Error(err)
					return
				}
				c.EnableC2D(true)
				for range 7 {
					if left == 0 {
						break
					}
					d, ok := c.ReceiveC2D()
					if !ok {
						<-client.waiting
						continue
					}
					if d.Message.SequenceNumber < last {
						t.Errorf("%s: %d after %d", id, d.Message.SequenceNumber, last)
					}
					last = d.Message.SequenceNumber
					if last%5 == 0 {
						break // Leaves without settling: it comes again at once.
					}
					if err := f.CompleteC2D(ctx, id, d.LockToken); err != nil {
						t.Errorf("complete: %v", err)
						return
					}
					mu.Lock()
					completed[d.Message.System.MessageID]++
					mu.Unlock()
					left--
				}
				c.Close()
				if last%5 == 0 && left > 0 {
					// The unsettled one is the first to come back.
					d, ok, err := f.ReceiveC2D(ctx, id)
					if err != nil || ok && d.Message.SequenceNumber < last {
						t.Errorf("%s: %d after %d, %v", id, d.Message.SequenceNumber, last, err)
					}
					if ok {
						last = d.Message.SequenceNumber
						if err := f.CompleteC2D(ctx, id, d.LockToken); err != nil {
							t.Errorf("complete: %v", err)
						}
						mu.Lock()
						completed[d.Message.System.MessageID]++
						mu.Unlock()
						left--
					}
				}
			}
		})
	}
	all.Wait()
	close(stop)
	sweeping.Wait()
	told := map[string]int{}
	for {
		d, ok, err := f.Feedback().Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		for _, r := range feedbackTexts(t, d.Body) {
			told[r]++
		}
		if err := f.Feedback().Complete(ctx, d.LockToken); err != nil {
			t.Fatal(err)
		}
	}
	if len(completed) != devices*messages || len(told) != devices*messages {
		t.Errorf("%d completed, %d told, want %d", len(completed), len(told), devices*messages)
	}
	for id, n := range completed {
		if n != 1 || told[id+" Success"] != 1 {
			t.Errorf("%s: completed %d times, told %d times", id, n, told[id+" Success"])
		}
	}
}
