package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

func feedbackTexts(t reporter, body []byte) (out []string) {
	t.Helper()
	if body == nil {
		return nil
	}
	var records []iothub.FeedbackRecord
	if err := json.Unmarshal(body, &records); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	for _, r := range records {
		if r.Description != string(r.StatusCode) {
			t.Errorf("description %q of %q", r.Description, r.StatusCode)
		}
		out = append(out, r.OriginalMessageID+" "+string(r.StatusCode))
	}
	return out
}

// complete sends, receives and completes a message.
func (f *fixture) complete(id iothub.ID, messageID string, ack iothub.Ack) {
	f.t.Helper()
	f.send(id, messageID, ack)
	got, token := f.receive(id)
	if got != messageID {
		f.t.Fatalf("received %q, want %q", got, messageID)
	}
	if err := f.CompleteC2D(context.Background(), id, token); err != nil {
		f.t.Fatalf("complete: %v", err)
	}
}

func TestFeedbackMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d")
		identity, err := f.GetIdentity(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		f.complete(id, "none", iothub.AckNone)
		f.complete(id, "negative", iothub.AckNegative)
		f.wantNoFeedback(t)
		at := time.Now()
		f.complete(id, "m1", iothub.AckPositive)
		time.Sleep(time.Second)
		d, ok, err := f.Feedback().Receive(t.Context())
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		want := fmt.Sprintf(`[{"originalMessageId":"m1","description":"Success","deviceGenerationId":%q,"deviceId":"d","enqueuedTimeUtc":%q,"statusCode":"Success"}]`,
			identity.GenerationID, iothub.FormatTime(at))
		if string(d.Body) != want {
			t.Errorf("body %s\nwant %s", d.Body, want)
		}
		if d.System.UserID != "hub1" || d.System.ContentType != iothub.FeedbackContentType || d.LockToken == "" ||
			!d.EnqueuedTime.Equal(at) || !d.ExpiryTime.Equal(at.Add(time.Hour)) {
			t.Errorf("delivery %+v", d)
		}
	})
}

func TestFeedbackIsBatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		wakes := 0
		defer f.Feedback().OnWaiting(func() { wakes++ })()
		id := f.device("d")
		f.complete(id, "first", iothub.AckFull)
		f.wantFeedback(t, "first Success")
		if wakes != 1 {
			t.Errorf("%d wakes, want 1", wakes)
		}
		f.complete(id, "a", iothub.AckFull)
		f.complete(id, "b", iothub.AckFull)
		f.wantNoFeedback(t)
		time.Sleep(DefaultFeedbackInterval - time.Nanosecond)
		f.Sweep(time.Now())
		f.wantNoFeedback(t)
		time.Sleep(time.Nanosecond)
		f.Sweep(time.Now())
		if wakes != 2 {
			t.Errorf("%d wakes, want 2", wakes)
		}
		f.wantFeedback(t, "a Success", "b Success")
		// 64 records do not wait.
		var want []string
		for i := range maxFeedbackRecords + 1 {
			f.complete(id, fmt.Sprint(i), iothub.AckFull)
			want = append(want, fmt.Sprint(i, " Success"))
		}
		f.wantFeedback(t, want[:maxFeedbackRecords]...)
		f.wantNoFeedback(t)
		time.Sleep(DefaultFeedbackInterval)
		f.wantFeedback(t, want[maxFeedbackRecords])
		f.wantNoFeedback(t)
	})
}

func TestFeedbackLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(o *Options) {
			o.C2D = iothub.DefaultC2DSettings()
			o.C2D.FeedbackMaxDeliveryCount = 3
		})
		id := f.device("d")
		f.complete(id, "m", iothub.AckFull)
		receive := func(count int) string {
			t.Helper()
			d, ok, err := f.Feedback().Receive(t.Context())
			if err != nil || !ok || d.DeliveryCount != count {
				t.Fatalf("%v %v, delivery count %d, want %d", ok, err, d.DeliveryCount, count)
			}
			f.wantNoFeedback(t)
			return d.LockToken
		}
		token := receive(0)
		time.Sleep(time.Minute)
		wantCode(t, f.Feedback().Complete(t.Context(), token), iothub.CodeDeviceMessageLockLost)
		wantCode(t, f.Feedback().Abandon(t.Context(), token), iothub.CodeDeviceMessageLockLost)
		token = receive(0)
		f.Feedback().Release(token)
		token = receive(0)
		if err := f.Feedback().Abandon(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		f.restart()
		token = receive(1)
		if err := f.Feedback().Abandon(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if err := f.Feedback().Abandon(t.Context(), receive(2)); err != nil {
			t.Fatal(err)
		}
		f.wantNoFeedback(t)
		f.restart()
		f.wantNoFeedback(t)
	})
}

func TestFeedbackSurvivesRestartUntilCompleted(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	f.complete(id, "1", iothub.AckFull)
	f.complete(id, "2", iothub.AckFull)
	if _, ok, err := f.Feedback().Receive(t.Context()); !ok || err != nil {
		t.Fatal(ok, err)
	}
	f.restart()
	f.wantFeedback(t, "1 Success", "2 Success")
	f.restart()
	f.wantNoFeedback(t)
}

func TestFeedbackExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d")
		f.complete(id, "1", iothub.AckFull)
		time.Sleep(time.Hour)
		f.Sweep(time.Now())
		f.wantNoFeedback(t)
		synctest.Wait()
		if entries, err := f.store.Queues().Load(t.Context(), feedbackQueueName); err != nil || len(entries) != 0 {
			t.Errorf("the store keeps %v, %v", entries, err)
		}
	})
}

func TestDeletingADeviceDiscardsItsFeedbackOnly(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.FeedbackInterval = time.Nanosecond })
	id, module, other := f.device("d"), f.device("d/m"), f.device("e")
	f.complete(id, "1", iothub.AckFull)
	f.complete(module, "2", iothub.AckFull)
	f.complete(other, "3", iothub.AckFull)
	if err := f.DeleteIdentity(t.Context(), id, "*"); err != nil {
		t.Fatal(err)
	}
	f.wantFeedback(t, "3 Success")
	f.wantNoFeedback(t)
}
