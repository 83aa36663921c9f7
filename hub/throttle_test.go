package hub

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

func tier(name iothub.Tier, units int) func(*Options) {
	return func(o *Options) { o.Tier, o.Units = name, units }
}

// sendMany sends n messages, 40 to each device, and returns the last error.
func sendMany(f *fixture, from, n int) (err error) {
	for i := from; i < from+n && err == nil; i++ {
		id := iothub.ID{DeviceID: fmt.Sprintf("d%d", i/40)}
		_, err = f.SendC2D(context.Background(), iothub.C2DMessage{ID: id})
	}
	return err
}

func TestThrottleLetsBurstsPassThenShapesThenRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, tier(iothub.TierF1, 1))
		for i := range 5 {
			f.device(fmt.Sprintf("d%d", i))
		}
		start := time.Now()
		if err := sendMany(f, 0, 100); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("a minute's worth took %v", took)
		}
		if err := sendMany(f, 100, 1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 600*time.Millisecond {
			t.Errorf("the next send waited %v, want its share of the minute", took)
		}
		// What is more than ten seconds behind is refused, and costs nothing.
		results := make(chan error, 40)
		for i := range 40 {
			go func() { results <- sendMany(f, 101+i, 1) }()
		}
		synctest.Wait()
		refused := len(results)
		for range refused {
			err := <-results
			wantCode(t, err, iothub.CodeThrottlingBacklogTimeout)
			if !strings.Contains(err.Error(), "Wait 10 seconds and try again. Operation type: CloudToDeviceSend") {
				t.Errorf("the refusal says %q", err)
			}
		}
		// 10 s of a rate of 100 a minute are 16 sends.
		if refused != 40-16 {
			t.Errorf("%d of 40 are refused at once", refused)
		}
		for range 40 - refused {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestFirstDelayIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		f := newFixture(t, tier(iothub.TierF1, 1), func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		for i := range 3 {
			f.device(fmt.Sprintf("d%d", i))
		}
		if err := sendMany(f, 0, 100); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(log.String(), "throttled") {
			t.Errorf("before any delay: %s", log.String())
		}
		if err := sendMany(f, 100, 3); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "msg=\"throttled"); n != 1 || !strings.Contains(log.String(), "operation=CloudToDeviceSend tier=F1 units=1 rate=100 seconds=60 delay=600ms") {
			t.Errorf("%d lines: %s", n, log.String())
		}
	})
}

func TestThrottleObeysTheHubsClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := newMovableClock()
		f := newFixture(t, tier(iothub.TierS1, 1), func(o *Options) { o.Now = clock.now })
		for i := range 3 {
			f.device(fmt.Sprintf("d%d", i))
		}
		if err := sendMany(f, 0, 100); err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() { sent <- sendMany(f, 100, 1) }()
		synctest.Wait()
		if len(sent) != 0 {
			t.Fatal("the send did not wait")
		}
		f.Sweep(clock.advance(time.Second))
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

func TestThrottleWaitEndsWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, tier(iothub.TierS1, 1))
		ctx, cancel := context.WithCancel(context.Background())
		if err := f.Throttle(ctx, iothub.ThrottleQuery, 20); err != nil {
			t.Fatal(err)
		}
		waiting := make(chan error, 2)
		go func() { waiting <- f.Throttle(ctx, iothub.ThrottleQuery, 1) }()
		go func() { waiting <- f.Throttle(context.Background(), iothub.ThrottleQuery, 1) }()
		synctest.Wait()
		cancel()
		if err := <-waiting; err != context.Canceled { //nolint:errorlint // exactly that
			t.Errorf("a caller that left got %v", err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		wantCode(t, <-waiting, iothub.CodeServiceUnavailable)
	})
}

func TestThrottleCountsMethodsByTheirBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, tier(iothub.TierS1, 1))
		id := f.device("d")
		for range 2 {
			c, client := f.connect(id, "mqtt")
			c.EnableMethods(true)
			go func() {
				for req := range client.methods {
					c.AnswerMethod(req.RequestID, iothub.MethodResponse{Status: 200})
				}
			}()
			defer close(client.methods)
		}
		body := []byte(`"` + strings.Repeat("x", 80<<10-2) + `"`)
		start := time.Now()
		for range 3 {
			req := iothub.MethodRequest{MethodName: "m", Payload: body, ResponseTimeout: 30 * time.Second}
			if _, err := f.InvokeMethod(context.Background(), id, req); err != nil {
				t.Fatal(err)
			}
		}
		// Two fill the second's 160 KiB; the third waits for half a second's worth.
		if took := time.Since(start); took != 500*time.Millisecond {
			t.Errorf("three calls of 80 KiB took %v", took)
		}
		// 20 chunks for each request and 1 for each empty answer.
		if q := f.Quota(); q.Used != 63 || q.Daily != 400_000 || q.Units != 1 {
			t.Errorf("quota: %+v", q)
		}
	})
}

func TestQuotaEndsAtMidnightUTC(t *testing.T) {
	clock := newMovableClock()
	f := newFixture(t, tier(iothub.TierF1, 1), func(o *Options) { o.Now = clock.now })
	c, _ := f.connect(f.device("d"), "mqtt")
	send := func() error {
		result := make(chan error, 1)
		c.SendTelemetry(context.Background(), iothub.Telemetry{Body: make([]byte, 100<<10)}, func(err error) { result <- err })
		return <-result
	}
	// 200 messages of 512 bytes each.
	for i := range 40 {
		if err := send(); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	wantCode(t, send(), iothub.CodeIotHubQuotaExceeded)
	_, err := f.SendC2D(context.Background(), iothub.C2DMessage{ID: iothub.ID{DeviceID: "d"}})
	wantCode(t, err, iothub.CodeIotHubQuotaExceeded)
	clock.advance(14*time.Hour - time.Nanosecond)
	wantCode(t, send(), iothub.CodeIotHubQuotaExceeded)
	clock.advance(time.Nanosecond)
	if err := send(); err != nil {
		t.Errorf("a new day began: %v", err)
	}
	if q := f.Quota(); q.Used != 200 {
		t.Errorf("quota of the new day: %+v", q)
	}
}

func TestTierUnits(t *testing.T) {
	f := newFixture(t)
	if f.Quota() != (Quota{}) {
		t.Error("a hub without a tier has a quota")
	}
	for _, c := range []struct {
		tier  iothub.Tier
		units int
	}{{iothub.TierF1, 2}, {iothub.TierS1, 201}, {iothub.TierS3, 11}, {iothub.TierS2, -1}} {
		o := f.options
		o.Tier, o.Units = c.tier, c.units
		if h, err := New(o); err == nil {
			_ = h.Close()
			t.Errorf("%s with %d units is accepted", c.tier, c.units)
		}
	}
}
