package amqphub

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"go.uber.org/goleak"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store/memory"
)

func TestMain(m *testing.M) {
	// The Event Hubs client forgets the goroutine that renews the claim of its
	// management link when it is closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(
		"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2/internal.(*Namespace).startNegotiateClaimRenewer.func3"))
}

// rig is a hub behind an AMQP server on a loopback port.
type rig struct {
	t      testing.TB
	hub    *hub.Hub
	store  *memory.Store
	server *Server
	addr   string

	mu  sync.Mutex
	now time.Time
}

func (r *rig) Now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	r.now = r.now.Add(d)
	r.mu.Unlock()
	r.hub.Sweep(r.Now())
	r.server.Sweep()
}

func newRig(t testing.TB, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Now()}
	st := memory.New(memory.Options{})
	r.store = st
	reg, err := registry.New(registry.Options{Records: st.Records(), Documents: st.Documents(), Now: r.Now})
	if err != nil {
		t.Fatal(err)
	}
	r.hub, err = hub.New(hub.Options{Name: "hub1", Registry: reg, Queues: st.Queues(), Documents: st.Documents(), Log: st.Log(), Files: shelf{}, Now: r.Now})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Now: r.Now, Hubs: func(host string) (*hub.Hub, error) {
		if strings.HasPrefix(host, "elsewhere") {
			return nil, iothub.NewError(iothub.CodeIotHubNotFound, "no hub %q", host)
		}
		return r.hub, nil
	}}
	for _, c := range change {
		c(&o)
	}
	r.server = New(o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = r.server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = r.server.Shutdown(ctx)
		<-done
		_ = r.hub.Close()
		_ = st.Close()
	})
	for _, id := range []iothub.ID{{DeviceID: "d"}, {DeviceID: "d", ModuleID: "m"}} {
		if _, err := r.hub.CreateIdentity(t.Context(), id, iothub.IdentityRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// token signs for a policy, valid for a minute.
func (r *rig) token(policy string) string {
	for _, p := range registry.DefaultPolicies() {
		if p.Name == policy {
			token, err := registry.SignSASToken("hub1.azure-devices.net", policy, p.PrimaryKey, r.Now().Add(time.Minute))
			if err != nil {
				r.t.Fatal(err)
			}
			return token
		}
	}
	r.t.Fatal("no policy " + policy)
	return ""
}

func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	r.t.Cleanup(cancel)
	return ctx
}

func (r *rig) dial(sasl goamqp.SASLType) *goamqp.Session { return r.session(r.conn(sasl)) }

func (r *rig) conn(sasl goamqp.SASLType) *goamqp.Conn {
	r.t.Helper()
	conn, err := goamqp.Dial(r.ctx(), "amqp://"+r.addr, &goamqp.ConnOptions{SASLType: sasl, HostName: "hub1.azure-devices.net"})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (r *rig) session(conn *goamqp.Conn) *goamqp.Session {
	r.t.Helper()
	s, err := conn.NewSession(r.ctx(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) plain(policy string) *goamqp.Session {
	return r.dial(goamqp.SASLTypePlain(policy+"@sas.root.hub1", r.token(policy)))
}

// cbs is a put-token client: the two links of $cbs.
type cbs struct {
	r        *rig
	sender   *goamqp.Sender
	receiver *goamqp.Receiver
}

func (r *rig) cbs(s *goamqp.Session) *cbs {
	snd, err := s.NewSender(r.ctx(), "$cbs", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	rcv, err := s.NewReceiver(r.ctx(), "$cbs", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return &cbs{r, snd, rcv}
}

// put sends a token and returns the status of the answer and its correlation ID.
func (c *cbs) put(id any, tokenType, audience string, token any) (int32, any) {
	m := &goamqp.Message{
		Properties:            &goamqp.MessageProperties{MessageID: id},
		ApplicationProperties: map[string]any{"operation": "put-token", "type": tokenType, "name": audience},
		Value:                 token,
	}
	if err := c.sender.Send(c.r.ctx(), m, nil); err != nil {
		c.r.t.Fatal(err)
	}
	reply, err := c.receiver.Receive(c.r.ctx(), nil)
	if err != nil {
		c.r.t.Fatal(err)
	}
	if err := c.receiver.AcceptMessage(c.r.ctx(), reply); err != nil {
		c.r.t.Fatal(err)
	}
	status, ok := reply.ApplicationProperties["status-code"].(int32)
	if !ok {
		c.r.t.Fatalf("status-code is a %T", reply.ApplicationProperties["status-code"])
	}
	if _, ok := reply.ApplicationProperties["status-description"].(string); !ok {
		c.r.t.Error("status-description is no string")
	}
	return status, reply.Properties.CorrelationID
}

func wantCondition(t testing.TB, what string, err error, want string) {
	t.Helper()
	var e *goamqp.Error
	var link *goamqp.LinkError
	var conn *goamqp.ConnError
	switch {
	case errors.As(err, &link) && link.RemoteErr != nil:
		e = link.RemoteErr
	case errors.As(err, &conn) && conn.RemoteErr != nil:
		e = conn.RemoteErr
	case errors.As(err, &e):
	}
	if e == nil || string(e.Condition) != want {
		t.Errorf("%s: got %v, want %s", what, err, want)
	}
}

func c2dMessage(to, body string) *goamqp.Message {
	m := goamqp.NewMessage([]byte(body))
	m.Properties = &goamqp.MessageProperties{To: &to}
	return m
}

const toDevice = "/devices/d/messages/devicebound"

func TestSendC2D(t *testing.T) {
	r := newRig(t)
	snd, err := r.plain("service").NewSender(r.ctx(), "amqps://hub1.azure-devices.net/messages/deviceBound", nil)
	if err != nil {
		t.Fatal(err)
	}
	m := c2dMessage(toDevice, "hello")
	m.Properties.MessageID, m.Properties.CorrelationID = "m1", uint64(7)
	expiry := r.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	m.Properties.AbsoluteExpiryTime = &expiry
	m.ApplicationProperties = map[string]any{"iothub-ack": "full", "zone": "n", "n": int64(5)}
	if err := snd.Send(r.ctx(), m, nil); err != nil {
		t.Fatal(err)
	}
	module := c2dMessage("/devices/d/modules/m/messages/devicebound", "to the module")
	if err := snd.Send(r.ctx(), module, nil); err != nil {
		t.Fatal(err)
	}
	d, ok, err := r.hub.ReceiveC2D(t.Context(), iothub.ID{DeviceID: "d"})
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	got := d.Message
	zone, _ := got.Properties.Get("zone")
	n, _ := got.Properties.Get("n")
	_, ackIsProperty := got.Properties.Get("iothub-ack")
	if string(got.Body) != "hello" || got.System.MessageID != "m1" || got.System.CorrelationID != "7" || got.Ack != iothub.AckFull ||
		zone != "n" || n != "5" || ackIsProperty || !got.ExpiryTime.Equal(expiry) || got.System.To != toDevice {
		t.Errorf("%+v", got)
	}
	if d, ok, err := r.hub.ReceiveC2D(t.Context(), iothub.ID{DeviceID: "d", ModuleID: "m"}); err != nil || !ok || string(d.Message.Body) != "to the module" {
		t.Error(d, ok, err)
	}
}

func TestSendC2DRefusals(t *testing.T) {
	r := newRig(t)
	snd, err := r.plain("service").NewSender(r.ctx(), "/messages/devicebound", nil)
	if err != nil {
		t.Fatal(err)
	}
	badAck := c2dMessage(toDevice, "x")
	badAck.ApplicationProperties = map[string]any{"iothub-ack": "perhaps"}
	past := c2dMessage(toDevice, "x")
	yesterday := r.Now().Add(-24 * time.Hour)
	past.Properties.AbsoluteExpiryTime = &yesterday
	list := &goamqp.Message{Value: []any{"a"}, Properties: &goamqp.MessageProperties{To: c2dMessage(toDevice, "").Properties.To}}
	for name, c := range map[string]struct {
		m    *goamqp.Message
		want string
	}{
		"unknown device":      {c2dMessage("/devices/none/messages/devicebound", "x"), "amqp:not-found"},
		"unknown module":      {c2dMessage("/devices/d/modules/none/messages/devicebound", "x"), "amqp:not-found"},
		"module of no device": {c2dMessage("/devices/none/modules/m/messages/devicebound", "x"), "amqp:not-found"},
		"no address":          {c2dMessage("", "x"), "com.microsoft:argument-error"},
		"too large":           {c2dMessage(toDevice, strings.Repeat("x", iothub.MaxC2DSize+1)), "amqp:link:message-size-exceeded"},
		"bad ack":             {badAck, "com.microsoft:argument-error"},
		"expired":             {past, "com.microsoft:argument-out-of-range"},
		"list body":           {list, "com.microsoft:argument-error"},
	} {
		err := snd.Send(r.ctx(), c.m, nil)
		wantCondition(t, name, err, c.want)
		var e *goamqp.Error
		var document struct {
			ErrorCode int    `json:"errorCode"`
			Message   string `json:"message"`
		}
		if errors.As(err, &e) && (json.Unmarshal([]byte(e.Description), &document) != nil || document.ErrorCode == 0 || document.Message == "") {
			t.Errorf("%s: description %q", name, e.Description)
		}
	}
	for i := range iothub.MaxC2DQueue {
		if err := snd.Send(r.ctx(), c2dMessage(toDevice, "x"), nil); err != nil {
			t.Fatal(i, err)
		}
	}
	wantCondition(t, "full queue", snd.Send(r.ctx(), c2dMessage(toDevice, "x"), nil), "amqp:resource-limit-exceeded")
}

func TestPlainRefusals(t *testing.T) {
	r := newRig(t)
	for name, password := range map[string]string{
		"no token": "secret", "signature of another key": strings.Replace(r.token("service"), "skn=service", "skn=iothubowner", 1),
	} {
		conn, err := goamqp.Dial(r.ctx(), "amqp://"+r.addr, &goamqp.ConnOptions{SASLType: goamqp.SASLTypePlain("service@sas.root.hub1", password)})
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s: let in", name)
		}
	}
	_, err := r.plain("registryRead").NewSender(r.ctx(), "/messages/devicebound", nil)
	wantCondition(t, "policy without ServiceConnect", err, "amqp:unauthorized-access")
	// The token decides, not the user name: the C client always says iothubowner.
	s := r.dial(goamqp.SASLTypePlain("iothubowner@sas.root.hub1", r.token("service")))
	if _, err := s.NewSender(r.ctx(), "/messages/devicebound", nil); err != nil {
		t.Error(err)
	}
}

// TestRefusedLoginInLog: the log names the user, but not a token that was put in
// its place, and not all of a long name.
func TestRefusedLoginInLog(t *testing.T) {
	for user, want := range map[string]string{
		"service@sas.root.hub1":                         `login of "service@sas.root.hub1": `,
		"SharedAccessSignature sr=hub1&sig=secret&se=1": `login of "SharedAccessSignature": `,
		strings.Repeat("u", 60000):                      `login of "` + strings.Repeat("u", 128) + `": `,
	} {
		var refusal *amqp.SASLRefusal
		err := refuseLogin(amqp.Credentials{Username: user, Password: "password"}, errors.New("why"))
		if !errors.As(err, &refusal) || refusal.Reason != want+"why" {
			t.Errorf("%.60s: %v", user, err)
		}
	}
}

func TestPutToken(t *testing.T) {
	r := newRig(t)
	s := r.dial(goamqp.SASLTypeAnonymous())
	_, err := s.NewSender(r.ctx(), "/messages/devicebound", nil)
	wantCondition(t, "before put-token", err, "amqp:unauthorized-access")
	c := r.cbs(s)
	const sas = "servicebus.windows.net:sastoken"
	for name, bad := range map[string]struct {
		tokenType string
		token     any
		status    int32
	}{
		"garbage":      {sas, "garbage", 401},
		"unknown type": {"kerberos", r.token("service"), 400},
		"Entra":        {"jwt", "x.y.z", 501},
		"binary":       {sas, []byte("x"), 400},
	} {
		if status, _ := c.put("id", bad.tokenType, "aud", bad.token); status != bad.status {
			t.Errorf("%s: %d, want %d", name, status, bad.status)
		}
	}
	// The correlation ID repeats the message ID with its type; 0 is an ID too.
	for _, id := range []any{uint64(0), "text", goamqp.UUID{1, 2, 3}} {
		status, correlation := c.put(id, sas, "https://hub1.azure-devices.net", r.token("service"))
		if status != 200 || correlation != id {
			t.Errorf("%T: %d, correlation %v (%T)", id, status, correlation, correlation)
		}
	}
	snd, err := s.NewSender(r.ctx(), "amqps://hub1.azure-devices.net/messages/devicebound", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := snd.Send(r.ctx(), c2dMessage(toDevice, "x"), nil); err != nil {
		t.Fatal(err)
	}
	// A token put again keeps the link; without one it ends at its expiry.
	r.advance(50 * time.Second)
	if status, _ := c.put("again", "azure-devices.net:sastoken", "https://hub1.azure-devices.net", r.token("service")); status != 200 {
		t.Fatal(status)
	}
	r.advance(30 * time.Second)
	if err := snd.Send(r.ctx(), c2dMessage(toDevice, "x"), nil); err != nil {
		t.Fatal(err)
	}
	r.advance(time.Minute)
	wantCondition(t, "after expiry", snd.Send(r.ctx(), c2dMessage(toDevice, "x"), nil), "amqp:unauthorized-access")
}

// Whoever proved nothing cannot fill the memory with links.
func TestStrangersMayAskForFewLinks(t *testing.T) {
	r := newRig(t)
	s := r.dial(goamqp.SASLTypeAnonymous())
	for range maxStrangerAttaches {
		if _, err := s.NewReceiver(r.ctx(), "$cbs", nil); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.NewReceiver(r.ctx(), "$cbs", nil)
	if err == nil {
		t.Fatal("a link too many was let in")
	}
	if _, err := s.NewReceiver(r.ctx(), "$cbs", nil); err == nil {
		t.Error("the connection is still there")
	}
}

func TestAddressRefusals(t *testing.T) {
	r := newRig(t)
	s := r.plain("service")
	for address, want := range map[string]string{
		"nowhere":                                  "amqp:not-found",
		"/messages/serviceBound/feedback":          "amqp:not-found",           // not for sending
		"/messages/serviceBound/filenotifications": "amqp:not-found",           // neither
		"messages/events/":                         "amqp:unauthorized-access", // nobody sends there
	} {
		_, err := s.NewSender(r.ctx(), address, nil)
		wantCondition(t, address, err, want)
	}
	_, err := s.NewReceiver(r.ctx(), "/messages/devicebound", nil)
	wantCondition(t, "receiving where one sends", err, "amqp:not-found")
	conn, err := goamqp.Dial(r.ctx(), "amqp://"+r.addr, &goamqp.ConnOptions{SASLType: goamqp.SASLTypeAnonymous(), HostName: "elsewhere.example"})
	if err == nil {
		_, err = conn.NewSession(r.ctx(), nil)
		_ = conn.Close()
	}
	if err == nil {
		t.Error("a host that is no hub was served")
	}
}

// settle makes a message with an end, so that there is feedback about it.
func (r *rig) settle(messageID string, end func(context.Context, iothub.ID, string) error) {
	id := iothub.ID{DeviceID: "d"}
	m := iothub.C2DMessage{ID: id, Ack: iothub.AckFull, System: iothub.SystemProperties{MessageID: messageID}}
	if _, err := r.hub.SendC2D(r.t.Context(), m); err != nil {
		r.t.Fatal(err)
	}
	d, ok, err := r.hub.ReceiveC2D(r.t.Context(), id)
	if err != nil || !ok {
		r.t.Fatal(ok, err)
	}
	if err := end(r.t.Context(), id, d.LockToken); err != nil {
		r.t.Fatal(err)
	}
}

func TestFeedback(t *testing.T) {
	r := newRig(t)
	rcv, err := r.plain("service").NewReceiver(r.ctx(), "amqps://hub1.azure-devices.net/messages/servicebound/feedback", &goamqp.ReceiverOptions{Credit: 5})
	if err != nil {
		t.Fatal(err)
	}
	r.settle("ok", r.hub.CompleteC2D)
	receive := func() (*goamqp.Message, []iothub.FeedbackRecord) {
		t.Helper()
		m, err := rcv.Receive(r.ctx(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var records []iothub.FeedbackRecord
		if err := json.Unmarshal(m.GetData(), &records); err != nil {
			t.Fatalf("%v: %s", err, m.GetData())
		}
		return m, records
	}
	m, records := receive()
	if len(records) != 1 || records[0].OriginalMessageID != "ok" || records[0].StatusCode != iothub.OutcomeSuccess || records[0].DeviceID != "d" {
		t.Errorf("%+v", records)
	}
	if *m.Properties.ContentType != iothub.FeedbackContentType || string(m.Properties.UserID) != "hub1" || len(m.DeliveryTag) != 16 {
		t.Errorf("%+v, tag %x", m.Properties, m.DeliveryTag)
	}
	// Given back, it comes again; accepted, it does not.
	if err := rcv.ReleaseMessage(r.ctx(), m); err != nil {
		t.Fatal(err)
	}
	again, records := receive()
	if len(records) != 1 || records[0].OriginalMessageID != "ok" {
		t.Errorf("%+v", records)
	}
	if err := rcv.AcceptMessage(r.ctx(), again); err != nil {
		t.Fatal(err)
	}
	r.settle("no", r.hub.RejectC2D)
	r.advance(16 * time.Second)
	m, records = receive()
	if len(records) != 1 || records[0].OriginalMessageID != "no" || records[0].Description != "Rejected" {
		t.Errorf("%+v", records)
	}
	// A link that ends without settling gives its message to the next.
	if err := rcv.Close(r.ctx()); err != nil {
		t.Fatal(err)
	}
	_ = m
	if rcv, err = r.plain("service").NewReceiver(r.ctx(), "/messages/serviceBound/feedback", nil); err != nil {
		t.Fatal(err)
	}
	_, records = receive()
	if len(records) != 1 || records[0].OriginalMessageID != "no" {
		t.Errorf("%+v", records)
	}
}

// Senders in parallel: everything accepted is queued once.
func TestConcurrentSenders(t *testing.T) {
	r := newRig(t)
	var wg sync.WaitGroup
	for range 4 {
		s := r.plain("iothubowner")
		wg.Go(func() {
			snd, err := s.NewSender(r.ctx(), "/messages/devicebound", nil)
			if err != nil {
				t.Error(err)
				return
			}
			for range 10 {
				if err := snd.Send(r.ctx(), c2dMessage(toDevice, "x"), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n, err := r.hub.PurgeC2D(t.Context(), iothub.ID{DeviceID: "d"}); err != nil || n != 40 {
		t.Error(n, err)
	}
}
