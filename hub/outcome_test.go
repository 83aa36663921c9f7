package hub

import (
	"context"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
)

func TestSendC2DAndWait(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	type result struct {
		outcome iothub.Outcome
		err     error
	}
	c, client := f.connect(id, "amqp")
	c.EnableC2D(true)
	send := func(ctx context.Context) <-chan result {
		done := make(chan result, 1)
		go func() {
			_, outcome, err := f.SendC2DAndWait(ctx, iothub.C2DMessage{ID: id, Ack: iothub.AckNone})
			done <- result{outcome, err}
		}()
		return done
	}
	for _, tt := range []struct {
		settle func(context.Context, iothub.ID, string) error
		want   iothub.Outcome
	}{{f.CompleteC2D, iothub.OutcomeSuccess}, {f.RejectC2D, iothub.OutcomeRejected}} {
		done := send(t.Context())
		<-client.waiting
		d, ok := c.ReceiveC2D()
		if !ok {
			t.Fatal("nothing to receive")
		}
		if err := tt.settle(t.Context(), id, d.LockToken); err != nil {
			t.Fatal(err)
		}
		if got := <-done; got.err != nil || got.outcome != tt.want {
			t.Errorf("%+v, want %s", got, tt.want)
		}
		c.ReceiveC2D() // comes up empty, so that the next one is announced
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := send(ctx)
	<-client.waiting
	cancel()
	if got := <-done; got.err != nil || got.outcome != "" {
		t.Errorf("cancelled: %+v", got)
	}
	if _, err := f.PurgeC2D(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if n := len(f.feedback.outcomes.waiting); n != 0 {
		t.Errorf("%d watches left", n)
	}
	if _, _, err := f.SendC2DAndWait(t.Context(), iothub.C2DMessage{ID: iothub.ID{DeviceID: "x"}}); iothub.ErrorCode(err) != iothub.CodeDeviceNotFound {
		t.Error(err)
	}
}
