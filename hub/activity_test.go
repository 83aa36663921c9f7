package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// kindsOf writes activities as words such as "c2d:sent".
func kindsOf(list []Activity) string {
	var words []string
	for _, a := range list {
		words = append(words, string(a.Kind)+":"+a.Event)
	}
	return strings.Join(words, " ")
}

func (f *fixture) activity(q ActivityQuery) ActivityPage {
	f.t.Helper()
	page, err := f.ReadActivity(context.Background(), q, 1000)
	if err != nil {
		f.t.Fatalf("activity: %v", err)
	}
	return page
}

func (f *fixture) mustSend(c *Connection, body string) {
	f.t.Helper()
	done := make(chan error, 1)
	c.SendTelemetry(context.Background(), iothub.Telemetry{Body: []byte(body)}, func(err error) { done <- err })
	if err := <-done; err != nil {
		f.t.Fatalf("telemetry: %v", err)
	}
}

// One life of a device: everything is there, in order, with what it is about.
func TestActivities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, ctx := newFixture(t), context.Background()
		id := f.device("d1")
		step := func() { time.Sleep(time.Second) } // of the bubble, so that times differ
		step()
		c, client := f.connect(id, "amqp")
		c.EnableMethods(true)
		c.EnableC2D(true)
		step()
		f.mustSend(c, "hello")
		step()
		go func() {
			c.AnswerMethod((<-client.methods).RequestID, iothub.MethodResponse{Status: 207, Payload: []byte(`{"a":1}`)})
		}()
		if _, err := f.InvokeMethod(ctx, id, iothub.MethodRequest{MethodName: "go", Payload: []byte(`5`)}); err != nil {
			t.Fatal(err)
		}
		step()
		if _, err := f.InvokeMethod(ctx, id, iothub.MethodRequest{MethodName: "stay", ResponseTimeout: 5 * time.Second}); err == nil {
			t.Fatal("answered")
		}
		<-client.methods
		step()
		if _, err := f.PatchTwin(ctx, id, iothub.TwinPatch{Desired: map[string]any{"x": 1.0}}, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Report(ctx, []byte(`{"y":2}`), nil); err != nil {
			t.Fatal(err)
		}
		step()
		f.send(id, "m1", iothub.AckFull)
		d, ok := c.ReceiveC2D()
		if !ok {
			t.Fatal("nothing to receive")
		}
		if err := f.AbandonC2D(ctx, id, d.LockToken); err != nil {
			t.Fatal(err)
		}
		if d, ok = c.ReceiveC2D(); !ok {
			t.Fatal("nothing to receive again")
		}
		if err := f.CompleteC2D(ctx, id, d.LockToken); err != nil {
			t.Fatal(err)
		}
		step()
		f.Refused("connect", "mqtt", "there", id, errors.New("inside"))
		f.Refused("connect", "mqtt", "there", id, context.Canceled)
		step()
		c.CloseBecause(iothub.NewError(iothub.CodeMessageTooLarge, "too large"))
		step()
		if err := f.DeleteIdentity(ctx, id, "*"); err != nil {
			t.Fatal(err)
		}

		all := f.activity(ActivityQuery{}).Activities
		const want = "identity:created connection:connected telemetry:received method:called method:answered method:called method:failed " +
			"twin:patched twin:reported c2d:sent c2d:delivered c2d:abandoned c2d:delivered feedback:recorded c2d:ended refusal:refused " +
			"connection:disconnected identity:deleted"
		if got := kindsOf(all); got != want {
			t.Fatalf("happened:\n%s\nwant:\n%s", got, want)
		}
		for i, a := range all {
			if a.ID != id || a.Time.IsZero() || i > 0 && a.Time.Before(all[i-1].Time) {
				t.Errorf("%d: %+v", i, a)
			}
		}
		if m := all[4].Method; m.Name != "go" || string(m.Payload) != "5" || m.Status != 207 || string(m.Response) != `{"a":1}` || all[4].Protocol != "amqp" {
			t.Errorf("answer: %+v", m)
		}
		if a := all[6]; a.Error.Code != iothub.CodeGatewayTimeout || a.Method.Took != 5*time.Second {
			t.Errorf("failure: %+v, %+v", a.Error, a.Method)
		}
		for i, path := range map[int]string{7: "desired", 8: "reported"} {
			var change struct {
				Properties map[string]map[string]any
			}
			if err := json.Unmarshal(all[i].Body, &change); err != nil || change.Properties[path] == nil || change.Properties[path]["$version"] == nil {
				t.Errorf("change of the twin: %s", all[i].Body)
			}
		}
		if a := all[14]; a.Outcome != iothub.OutcomeSuccess || a.C2D.System.MessageID != "m1" || a.C2D.DeliveryCount != 1 {
			t.Errorf("end of the message: %+v", a)
		}
		if a := all[15]; a.Error.Code != iothub.CodeServerError || strings.Contains(a.Error.Message, "inside") || a.Operation != "connect" {
			t.Errorf("refusal: %+v", a.Error)
		}
		if a := all[16]; a.Error.Code != iothub.CodeMessageTooLarge || a.Protocol != "amqp" || a.RemoteAddr != "test" {
			t.Errorf("end of the connection: %+v", a.Error)
		}
	})
}

// Positions go on where an answer ended, over telemetry and everything else, and those of another run begin anew.
func TestActivityPositions(t *testing.T) {
	f := newFixture(t)
	c, _ := f.connect(f.device("d1"), "mqtt")
	other, _ := f.connect(f.device("d2"), "mqtt")
	for i := range 5 {
		f.mustSend(c, fmt.Sprint(i))
		f.mustSend(other, fmt.Sprint(i))
		f.Refused("x", "mqtt", "", c.ID(), iothub.NewError(iothub.CodeServerError, "%d", i))
	}
	whole := f.activity(ActivityQuery{})
	for _, size := range []int{1, 2, 3, 7, 100} {
		var got []Activity
		position := ""
		for {
			page, err := f.ReadActivity(context.Background(), ActivityQuery{Since: position}, size)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Activities) == 0 {
				break
			}
			got, position = append(got, page.Activities...), page.Position
		}
		if kindsOf(got) != kindsOf(whole.Activities) || len(got) != 19 {
			t.Errorf("pages of %d: %s, want %s", size, kindsOf(got), kindsOf(whole.Activities))
		}
		if position != whole.Position {
			t.Errorf("ends at %s, want %s", position, whole.Position)
		}
	}
	// What is not wanted is passed over.
	one := f.activity(ActivityQuery{Kinds: []ActivityKind{ActivityTelemetry, ActivityRefusal}, DeviceID: "d1", Select: func(a *Activity) bool {
		return a.Telemetry == nil || string(a.Telemetry.Body) == "3"
	}})
	if got := kindsOf(one.Activities); strings.Count(got, "refusal") != 5 || strings.Count(got, "telemetry") != 1 {
		t.Errorf("selected %s", got)
	}
	if again := f.activity(ActivityQuery{Since: whole.Position}); len(again.Activities) != 0 {
		t.Errorf("after the end: %s", kindsOf(again.Activities))
	}
	latest, err := f.ActivityPosition()
	if err != nil || latest != whole.Position {
		t.Errorf("the latest position is %s, %v, want %s", latest, err, whole.Position)
	}
	for _, bad := range []string{"x", "a-b-c", "1-2", "x-1-1.x", "x--1-0.0.0.0", "a-1-0.-1"} {
		_, err := f.ReadActivity(context.Background(), ActivityQuery{Since: bad}, 1)
		wantCode(t, err, iothub.CodeArgumentInvalid)
	}
	f.restart()
	if got := f.activity(ActivityQuery{Since: whole.Position}); strings.Count(kindsOf(got.Activities), "telemetry") != 10 {
		t.Errorf("after a restart: %s", kindsOf(got.Activities))
	}
}

// The oldest is forgotten first, by number and by size.
func TestActivitiesAreBounded(t *testing.T) {
	f := newFixture(t)
	for i := range maxActivities + 100 {
		f.note(Activity{Kind: ActivityFault, Event: EventHit, Operation: fmt.Sprint(i)})
	}
	page, err := f.ReadActivity(context.Background(), ActivityQuery{}, 2*maxActivities)
	if err != nil || len(page.Activities) != maxActivities || page.Activities[0].Operation != "100" || page.Activities[maxActivities-1].Operation != fmt.Sprint(maxActivities+99) {
		t.Fatalf("%d are kept, from %s, %v", len(page.Activities), page.Activities[0].Operation, err)
	}
	large := make([]byte, 1<<20)
	for range 20 {
		f.note(Activity{Kind: ActivityTwin, Body: large})
	}
	if page, err = f.ReadActivity(context.Background(), ActivityQuery{}, 2*maxActivities); err != nil || len(page.Activities) != maxActivityBytes>>20 {
		t.Errorf("%d large ones are kept, %v", len(page.Activities), err)
	}
	if f.activities.bytes != maxActivityBytes {
		t.Errorf("%d bytes are counted", f.activities.bytes)
	}
}

// A wait is woken by telemetry and by anything else, and by nothing that it does not want.
func TestWaitActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		c, _ := f.connect(f.device("d1"), "mqtt")
		position, err := f.ActivityPosition()
		if err != nil {
			t.Fatal(err)
		}
		q := ActivityQuery{Kinds: []ActivityKind{ActivityTelemetry, ActivityConnection}, Since: position}
		results := make(chan ActivityPage, 1)
		go func() {
			page, err := f.WaitActivity(context.Background(), q, 2, 10, time.Hour)
			if err != nil {
				t.Error(err)
			}
			results <- page
		}()
		synctest.Wait()
		f.Refused("x", "mqtt", "", c.ID(), iothub.NewError(iothub.CodeServerError, "x"))
		f.mustSend(c, "1")
		synctest.Wait()
		if len(results) != 0 {
			t.Fatalf("woken early: %s", kindsOf((<-results).Activities))
		}
		began := time.Now()
		c.Close()
		if page := <-results; kindsOf(page.Activities) != "telemetry:received connection:disconnected" || time.Since(began) != 0 {
			t.Errorf("%s after %v", kindsOf(page.Activities), time.Since(began))
		}
		page, err := f.WaitActivity(context.Background(), ActivityQuery{Since: LatestPosition}, 1, 10, time.Minute)
		if err != nil || len(page.Activities) != 0 || time.Since(began) != time.Minute {
			t.Errorf("%s, %v after %v", kindsOf(page.Activities), err, time.Since(began))
		}
		go func() { _ = f.Close() }()
		if _, err := f.WaitActivity(context.Background(), ActivityQuery{Since: LatestPosition}, 1, 10, time.Hour); iothub.ErrorCode(err) != iothub.CodeServiceUnavailable {
			t.Errorf("a closing hub: %v", err)
		}
	})
}

// A follower gets everything once.
func TestFollowActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		c, _ := f.connect(f.device("d1"), "mqtt")
		ctx, cancel := context.WithCancel(context.Background())
		got := make(chan string, 1000)
		ended := make(chan error, 1)
		go func() {
			ended <- f.FollowActivity(ctx, ActivityQuery{Kinds: []ActivityKind{ActivityTelemetry, ActivityRefusal}}, func(p ActivityPage) error {
				for _, a := range p.Activities {
					if a.Telemetry != nil {
						got <- string(a.Telemetry.Body)
					} else {
						got <- a.Error.Message
					}
				}
				return nil
			})
		}()
		for i := range 300 {
			if i%2 == 0 {
				f.mustSend(c, fmt.Sprint(i))
			} else {
				f.Refused("x", "", "", c.ID(), iothub.NewError(iothub.CodeServerError, "%d", i))
			}
			if want := fmt.Sprint(i); <-got != want {
				t.Fatalf("%s is missing", want)
			}
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended by %v", err)
		}
	})
}

func BenchmarkNote(b *testing.B) {
	h := &Hub{o: Options{Now: time.Now}}
	h.activities.begin()
	id := iothub.ID{DeviceID: "d1"}
	b.ReportAllocs()
	for b.Loop() {
		h.note(Activity{Kind: ActivityConnection, Event: EventConnected, ID: id, Protocol: "mqtt"})
	}
}
