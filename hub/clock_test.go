package hub

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/clock"
	"github.com/hubnerite/hubnerite/iothub"
)

// clockFixture is a hub on a clock that a test moves; no time passes by itself but that of the bubble.
func clockFixture(t *testing.T, change ...func(*Options)) (*fixture, *clock.Clock) {
	c := clock.New(nil)
	f := newFixture(t, append(change, func(o *Options) { o.Now = c.Now })...)
	t.Cleanup(c.Watch(f.ClockMoved))
	return f, c
}

func advance(t *testing.T, c *clock.Clock, d time.Duration) {
	t.Helper()
	began := time.Now()
	if err := c.Advance(d); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took != 0 {
		t.Errorf("an advance took %v of real time", took)
	}
}

// A message whose time to live is over has ended when the advance returns, and its feedback is there.
func TestAdvanceEndsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := clockFixture(t)
		id := f.device("d1")
		f.send(id, "m0", iothub.AckFull)
		advance(t, c, iothub.DefaultC2DSettings().DefaultTTL-time.Second)
		if _, ok, err := f.Feedback().Receive(context.Background()); ok || err != nil {
			t.Fatalf("feedback %v, %v before the end", ok, err)
		}
		f.send(id, "m1", iothub.AckNone)
		advance(t, c, time.Hour)
		d, ok, err := f.Feedback().Receive(context.Background())
		if err != nil || !ok {
			t.Fatalf("no feedback of the expired message: %v", err)
		}
		t.Logf("feedback: %s", d.Body)
		if d, ok, err := f.ReceiveC2D(context.Background(), id); err != nil || ok && d.Message.System.MessageID != "m1" {
			t.Errorf("receives %+v, %v", d.Message, err)
		}
	})
}

// Both time-outs of a direct method end by the clock alone, and neither ends while it stands still.
func TestAdvanceEndsMethodTimeouts(t *testing.T) {
	for name, tc := range map[string]struct {
		connected bool
		code      iothub.Code
	}{
		"connect":  {false, iothub.CodeDeviceNotOnline},
		"response": {true, iothub.CodeGatewayTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := clockFixture(t)
				id := f.device("d1")
				if tc.connected {
					connection, _ := f.connect(id, "mqtt")
					connection.EnableMethods(true)
				}
				if err := c.Freeze(time.Time{}); err != nil {
					t.Fatal(err)
				}
				result := make(chan error, 1)
				go func() {
					_, err := f.InvokeMethod(context.Background(), id, iothub.MethodRequest{
						MethodName: "m", ConnectTimeout: 30 * time.Second, ResponseTimeout: 30 * time.Second,
					})
					result <- err
				}()
				time.Sleep(time.Hour) // of the bubble: the clock stands still
				select {
				case err := <-result:
					t.Fatalf("ended while the clock stood still: %v", err)
				default:
				}
				advance(t, c, 29*time.Second)
				synctest.Wait()
				if len(result) != 0 {
					t.Fatalf("ended a second early: %v", <-result)
				}
				advance(t, c, time.Second)
				wantCode(t, <-result, tc.code)
			})
		})
	}
}

// A connection ends when the clock has passed the expiry of its token.
func TestAdvanceEndsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := clockFixture(t)
		o := options("mqtt")
		o.Grant.Expiry = c.Now().Add(time.Hour)
		client := newFakeClient()
		if _, err := f.Connect(context.Background(), f.device("d1"), o, client); err != nil {
			t.Fatal(err)
		}
		advance(t, c, time.Hour-time.Minute)
		if len(client.gone) != 0 {
			t.Fatal("ended before its token")
		}
		advance(t, c, time.Minute)
		select {
		case why := <-client.gone:
			if why.Code != iothub.CodeIotHubUnauthorized {
				t.Errorf("disconnected by %v", why)
			}
		default:
			t.Error("is still connected")
		}
	})
}

// A job starts at its time, on the clock.
func TestAdvanceStartsJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := clockFixture(t)
		f.tagged("n", "d1")
		at := c.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		if _, err := f.schedule("j", strings.Replace(northPatch, "{", fmt.Sprintf(`{"startTime":%q,`, at), 1)); err != nil {
			t.Fatal(err)
		}
		advance(t, c, time.Hour-time.Second)
		synctest.Wait()
		if got := f.GetJob("j").Status; got != iothub.JobScheduled && got != iothub.JobQueued {
			t.Fatalf("%s before its time", got)
		}
		advance(t, c, time.Second)
		synctest.Wait()
		if got := f.GetJob("j").Status; got != iothub.JobCompleted {
			t.Errorf("%s after its time", got)
		}
	})
}

// A clock that is set back leaves nobody waiting in a throttle.
func TestSetBackForgivesThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := clockFixture(t, tier(iothub.TierF1, 1))
		for _, name := range []string{"d0", "d1", "d2"} {
			f.device(name)
		}
		if err := sendMany(f, 0, 100); err != nil {
			t.Fatal(err)
		}
		if err := c.Set(c.Now().Add(-24 * time.Hour)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := sendMany(f, 100, 1); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("waited %v", took)
		}
	})
}
