package hub

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

type answer struct {
	iothub.MethodResponse
	err error
}

// invoke calls a method in the background.
func (f *fixture) invoke(ctx context.Context, id iothub.ID, req iothub.MethodRequest) <-chan answer {
	result := make(chan answer, 1)
	if req.MethodName == "" {
		req.MethodName = "reboot"
	}
	go func() {
		r, err := f.InvokeMethod(ctx, id, req)
		result <- answer{r, err}
	}()
	return result
}

func TestMethodRoundTrip(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	c, client := f.connect(id, "mqtt")
	c.EnableMethods(true)
	result := f.invoke(t.Context(), id, iothub.MethodRequest{Payload: json.RawMessage(`{"a":1}`)})
	req := <-client.methods
	if req.MethodName != "reboot" || string(req.Payload) != `{"a":1}` {
		t.Errorf("request %+v", req)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(req.RequestID) {
		t.Errorf("request ID %q", req.RequestID)
	}
	c.AnswerMethod("unknown", iothub.MethodResponse{Status: 1})
	c.AnswerMethod(req.RequestID, iothub.MethodResponse{Status: 201, Payload: json.RawMessage(`"ok"`)})
	c.AnswerMethod(req.RequestID, iothub.MethodResponse{Status: 500})
	if r := <-result; r.err != nil || r.Status != 201 || string(r.Payload) != `"ok"` {
		t.Errorf("answer %+v", r)
	}
}

func TestMethodBadAnswers(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	c, client := f.connect(id, "mqtt")
	c.EnableMethods(true)
	for payload, want := range map[string]iothub.Code{
		"": 0, "null": 0, "{": iothub.CodeIotHubFormatError,
		`"` + strings.Repeat("x", iothub.MaxMethodPayload) + `"`: iothub.CodeMessageTooLarge,
	} {
		result := f.invoke(t.Context(), id, iothub.MethodRequest{})
		c.AnswerMethod((<-client.methods).RequestID, iothub.MethodResponse{Payload: json.RawMessage(payload)})
		if r := <-result; iothub.ErrorCode(r.err) != want {
			t.Errorf("%.10q: %v", payload, r.err)
		}
	}
}

func TestMethodRefusals(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	call := func(id iothub.ID, req iothub.MethodRequest) error {
		_, err := f.InvokeMethod(t.Context(), id, req)
		return err
	}
	wantCode(t, call(iothub.ID{DeviceID: "x"}, iothub.MethodRequest{MethodName: "m"}), iothub.CodeDeviceNotFound)
	wantCode(t, call(iothub.ID{DeviceID: "d", ModuleID: "x"}, iothub.MethodRequest{MethodName: "m"}), iothub.CodeModuleNotFound)
	wantCode(t, call(id, iothub.MethodRequest{}), iothub.CodeArgumentInvalid)
	offline := func() {
		t.Helper()
		err := call(id, iothub.MethodRequest{MethodName: "m"})
		wantCode(t, err, iothub.CodeDeviceNotOnline)
		if e := iothub.AsError(err); e.Info["timeout"] != "00:00:00" {
			t.Errorf("info %v", e.Info)
		}
	}
	offline()
	c, client := f.connect(id, "mqtt")
	offline()
	c.EnableMethods(true)
	client.refuse = true
	offline()
}

func TestMethodTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d")
		start := time.Now()
		r := <-f.invoke(t.Context(), id, iothub.MethodRequest{ConnectTimeout: 7 * time.Second})
		wantCode(t, r.err, iothub.CodeDeviceNotOnline)
		if e := iothub.AsError(r.err); e.Info["timeout"] != "00:00:07" || time.Since(start) != 7*time.Second {
			t.Errorf("info %v after %v", e.Info, time.Since(start))
		}
		c, client := f.connect(id, "mqtt")
		c.EnableMethods(true)
		start = time.Now()
		r = <-f.invoke(t.Context(), id, iothub.MethodRequest{})
		wantCode(t, r.err, iothub.CodeGatewayTimeout)
		if time.Since(start) != iothub.DefaultResponseTimeout {
			t.Errorf("after %v", time.Since(start))
		}
		// Too late: dropped.
		c.AnswerMethod((<-client.methods).RequestID, iothub.MethodResponse{Status: 200})
	})
}

func TestMethodWaitsForTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d")
		result := f.invoke(t.Context(), id, iothub.MethodRequest{ConnectTimeout: 10 * time.Second})
		time.Sleep(5 * time.Second)
		c, client := f.connect(id, "mqtt")
		synctest.Wait()
		if len(client.methods) != 0 {
			t.Error("delivered before methods were enabled")
		}
		c.EnableMethods(true)
		c.AnswerMethod((<-client.methods).RequestID, iothub.MethodResponse{Status: 200})
		if r := <-result; r.err != nil || r.Status != 200 {
			t.Errorf("answer %+v", r)
		}
	})
}

func TestMethodEndsWithItsConnection(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	c, client := f.connect(id, "mqtt")
	c.EnableMethods(true)
	result := f.invoke(t.Context(), id, iothub.MethodRequest{})
	<-client.methods
	c.Close()
	wantCode(t, (<-result).err, iothub.CodeDeviceConnectionClosedRemotely)

	c, client = f.connect(id, "mqtt")
	c.EnableMethods(true)
	result = f.invoke(t.Context(), id, iothub.MethodRequest{})
	req := <-client.methods
	f.connect(id, "mqtt")
	wantCode(t, (<-result).err, iothub.CodeConnectionForcefullyClosedOnNewConnection)
	c.AnswerMethod(req.RequestID, iothub.MethodResponse{})
}

func TestMethodCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d")
		ctx, cancel := context.WithCancel(t.Context())
		waiting := f.invoke(ctx, id, iothub.MethodRequest{ConnectTimeout: 10 * time.Second})
		synctest.Wait()
		cancel()
		if r := <-waiting; !errors.Is(r.err, context.Canceled) {
			t.Error(r.err)
		}
		c, client := f.connect(id, "mqtt")
		c.EnableMethods(true)
		ctx, cancel = context.WithCancel(t.Context())
		pending := f.invoke(ctx, id, iothub.MethodRequest{})
		<-client.methods
		cancel()
		if r := <-pending; !errors.Is(r.err, context.Canceled) {
			t.Error(r.err)
		}
		// Both are uncounted.
		if p := c.p; p.calls != 0 || len(p.pending) != 0 {
			t.Errorf("%d calls, %d pending", p.calls, len(p.pending))
		}
	})
}

func TestMethodInflightLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d")
		ctx, cancel := context.WithCancel(t.Context())
		for range MaxInflightMethods {
			f.invoke(ctx, id, iothub.MethodRequest{ConnectTimeout: 10 * time.Second})
		}
		synctest.Wait()
		_, err := f.InvokeMethod(ctx, id, iothub.MethodRequest{MethodName: "m"})
		wantCode(t, err, iothub.CodeDeviceMaximumInflightMethodExceeded)
		cancel()
	})
}

// A movable clock rules the time-outs: frozen it holds them, advanced it ends
// them at the next Sweep.
func TestMethodObeysTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := newMovableClock()
		f := newFixture(t, func(o *Options) { o.Now = clock.now })
		id := f.device("d")
		c, client := f.connect(id, "mqtt")
		c.EnableMethods(true)
		result := f.invoke(t.Context(), id, iothub.MethodRequest{})
		<-client.methods
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case r := <-result:
			t.Fatalf("timed out on a frozen clock: %v", r.err)
		default:
		}
		f.Sweep(clock.advance(29 * time.Second))
		synctest.Wait()
		if len(result) != 0 {
			t.Error("timed out too early")
		}
		before := time.Now()
		f.Sweep(clock.advance(time.Second))
		wantCode(t, (<-result).err, iothub.CodeGatewayTimeout)
		if time.Since(before) != 0 {
			t.Errorf("waited %v of real time", time.Since(before))
		}
	})
}

func TestCloseEndsMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id, offline := f.device("d"), f.device("o")
		c, client := f.connect(id, "mqtt")
		c.EnableMethods(true)
		pending := f.invoke(t.Context(), id, iothub.MethodRequest{})
		waiting := f.invoke(t.Context(), offline, iothub.MethodRequest{ConnectTimeout: 10 * time.Second})
		<-client.methods
		synctest.Wait()
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		wantCode(t, (<-pending).err, iothub.CodeDeviceConnectionClosedRemotely)
		wantCode(t, (<-waiting).err, iothub.CodeServiceUnavailable)
		wantCode(t, <-client.gone, iothub.CodeServiceUnavailable)
		_, err := f.InvokeMethod(t.Context(), id, iothub.MethodRequest{MethodName: "m"})
		wantCode(t, err, iothub.CodeServiceUnavailable)
	})
}
