package amqphub

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
)

// connect is a device that sends telemetry.
func (r *rig) connect(id iothub.ID) *hub.Connection {
	r.t.Helper()
	c, err := r.hub.Connect(r.t.Context(), id, hub.ConnectionOptions{
		Protocol: "test", ModelID: "dtmi:example:thing;1",
		Grant: iothub.Grant{Policy: "device", Rights: iothub.DeviceConnect, AuthMethod: iothub.AuthMethod{Scope: "device", Type: "sas", Issuer: "iothub"}},
	}, silentClient{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c
}

// silentClient is a device that is told nothing.
type silentClient struct{ hub.Client }

func (silentClient) Disconnect(*iothub.Error) {}

func (r *rig) sendTelemetry(c *hub.Connection, messages ...iothub.Telemetry) {
	r.t.Helper()
	for _, m := range messages {
		done := make(chan error, 1)
		c.SendTelemetry(r.t.Context(), m, func(err error) { done <- err })
		if err := <-done; err != nil {
			r.t.Fatal(err)
		}
	}
}

// bodies sends n numbered messages and returns the partition they went to.
func (r *rig) bodies(n int) int {
	r.t.Helper()
	c := r.connect(iothub.ID{DeviceID: "d"})
	defer c.Close()
	for i := range n {
		r.advance(time.Second)
		r.sendTelemetry(c, iothub.Telemetry{Body: []byte(strconv.Itoa(i))})
	}
	for p := range r.hub.Partitions() {
		if info, err := r.hub.PartitionInfo(p); err == nil && info.Next > 0 {
			return p
		}
	}
	return 0
}

const selector = "apache.org:selector-filter:string"

// readerOptions are those of the Go client, with a selector.
func readerOptions(text string, credit int32, properties map[string]any) *goamqp.ReceiverOptions {
	o := &goamqp.ReceiverOptions{Credit: credit, Properties: properties}
	if text != "" {
		o.Filters = []goamqp.LinkFilter{goamqp.NewLinkFilter(selector, 0x468C00000004, text)}
	}
	return o
}

func readerAddress(partition int) string {
	return fmt.Sprintf("hub1/ConsumerGroups/$Default/Partitions/%d", partition)
}

func (r *rig) receiveEvent(rcv *goamqp.Receiver) *goamqp.Message {
	r.t.Helper()
	m, err := rcv.Receive(r.ctx(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// Every start position, in the spellings of the SDKs, reads what it should.
func TestStartPositions(t *testing.T) {
	r := newRig(t)
	partition := r.bodies(10)
	events, err := r.hub.ReadEvents(t.Context(), partition, 0, 10)
	if err != nil || len(events) != 10 {
		t.Fatal(len(events), err)
	}
	fourth := events[4]
	s := r.plain("service")
	for text, first := range map[string]int{
		"":                                    0,
		"amqp.annotation.x-opt-offset > '-1'": 0,
		fmt.Sprintf("amqp.annotation.x-opt-offset > '%d'", fourth.Offset):                            5,
		fmt.Sprintf("amqp.annotation.x-opt-offset >= '%d'", fourth.Offset):                           4,
		"amqp.annotation.x-opt-sequence-number > '4'":                                                5,
		"amqp.annotation.x-opt-sequence-number >= 4":                                                 4,
		fmt.Sprintf("amqp.annotation.x-opt-enqueued-time > '%d'", fourth.EnqueuedTime.UnixMilli()):   5,
		fmt.Sprintf("amqp.annotation.x-opt-enqueued-time >= %d", fourth.EnqueuedTime.UnixMilli()):    4,
		fmt.Sprintf("amqp.annotation.x-opt-enqueuedtimeutc > %d", fourth.EnqueuedTime.UnixMilli()-1): 4,
	} {
		rcv, err := s.NewReceiver(r.ctx(), readerAddress(partition), readerOptions(text, 1, nil))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for i := first; i < 10; i++ { // credit 1 at a time, so the window is as small as can be
			if got := string(r.receiveEvent(rcv).GetData()); got != strconv.Itoa(i) {
				t.Fatalf("%q: got %s, want %d", text, got, i)
			}
		}
		if err := rcv.Close(r.ctx()); err != nil {
			t.Error(err)
		}
	}
	for _, text := range []string{"amqp.annotation.x-opt-offset > '@latest'", "amqp.annotation.x-opt-sequence-number > '10'"} {
		rcv, err := s.NewReceiver(r.ctx(), readerAddress(partition), readerOptions(text, 5, nil))
		if err != nil {
			t.Fatal(err)
		}
		r.sendTelemetry(r.connect(iothub.ID{DeviceID: "d"}), iothub.Telemetry{Body: []byte("new")})
		if got := string(r.receiveEvent(rcv).GetData()); got != "new" {
			t.Errorf("%q: %s", text, got)
		}
		if err := rcv.Close(r.ctx()); err != nil {
			t.Error(err)
		}
	}
	for text, want := range map[string]string{
		"amqp.annotation.x-opt-offset > '99999999'":    "The supplied offset '99999999' is invalid.",
		"amqp.annotation.x-opt-sequence-number > '99'": "The supplied sequence number '99' is invalid.",
		"amqp.annotation.x-opt-color > '99'":           "cannot be understood",
	} {
		_, err := s.NewReceiver(r.ctx(), readerAddress(partition), readerOptions(text, 1, nil))
		wantCondition(t, text, err, conditionArgument)
		wantDescription(t, text, err, want)
	}
}

func wantDescription(t *testing.T, what string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v; want %q", what, err, want)
	}
}

// What a reader finds in an event, with the exact types.
func TestEventContent(t *testing.T) {
	r := newRig(t)
	c := r.connect(iothub.ID{DeviceID: "d", ModuleID: "m"})
	r.sendTelemetry(c, iothub.Telemetry{
		Body: []byte(`{"t":1}`),
		System: iothub.SystemProperties{
			MessageID: "m1", CorrelationID: "c1", UserID: "u1", ContentType: "application/json", ContentEncoding: "utf-8",
			CreationTime: "2026-01-01T00:00:00Z", Schema: "s1", Component: "part", InterfaceID: "dtmi:i;1",
		},
		Properties: iothub.Properties{{Name: "zone", Value: "north"}, {Name: "ünï", Value: "✓"}},
	})
	partition := r.partitionWithEvents()
	s := r.plain("service")
	o := readerOptions("", 10, map[string]any{receiverNameProperty: "me"})
	o.DesiredCapabilities = []string{string(metricCapability), "com.microsoft:georeplication"}
	rcv, err := s.NewReceiver(r.ctx(), readerAddress(partition), o)
	if err != nil {
		t.Fatal(err)
	}
	m := r.receiveEvent(rcv)
	generation, _ := r.hub.GetIdentity(t.Context(), iothub.ID{DeviceID: "d", ModuleID: "m"})
	a := m.Annotations
	enqueued, isTime := a["x-opt-enqueued-time"].(time.Time)
	if !isTime || !enqueued.Equal(r.Now().Truncate(time.Millisecond)) || a["iothub-enqueuedtime"] != enqueued {
		t.Errorf("times %v, %v", a["x-opt-enqueued-time"], a["iothub-enqueuedtime"])
	}
	for name, want := range map[string]any{
		"x-opt-sequence-number": int64(0), "x-opt-offset": "0",
		"iothub-connection-device-id": "d", "iothub-connection-module-id": "m",
		"iothub-connection-auth-method":        `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`,
		"iothub-connection-auth-generation-id": generation.GenerationID, "iothub-message-source": "Telemetry",
		"dt-dataschema": "dtmi:example:thing;1", "dt-subject": "part", "iothub-interface-id": "dtmi:i;1",
	} {
		if got := a[name]; got != want {
			t.Errorf("%s: %v (%T), want %v", name, got, got, want)
		}
	}
	p := m.Properties
	if p.MessageID != "m1" || p.CorrelationID != "c1" || string(p.UserID) != "u1" || *p.ContentType != "application/json" || *p.ContentEncoding != "utf-8" {
		t.Errorf("%+v", p)
	}
	wantProperties := map[string]any{"zone": "north", "ünï": "✓", "iothub-creation-time-utc": "2026-01-01T00:00:00Z", "iothub-message-schema": "s1"}
	if len(m.ApplicationProperties) != len(wantProperties) {
		t.Errorf("%v", m.ApplicationProperties)
	}
	for name, want := range wantProperties {
		if m.ApplicationProperties[name] != want {
			t.Errorf("%s: %v", name, m.ApplicationProperties[name])
		}
	}
	if len(m.Data) != 1 || string(m.Data[0]) != `{"t":1}` {
		t.Errorf("%q", m.Data)
	}
	d := m.DeliveryAnnotations
	if _, ok := d["last_enqueued_time_utc"].(time.Time); !ok || d["last_enqueued_sequence_number"] != int64(0) || d["last_enqueued_offset"] != "0" {
		t.Errorf("%v", d)
	}
	if _, ok := d["runtime_info_retrieval_time_utc"].(time.Time); !ok {
		t.Errorf("%v", d)
	}
	// One that asked for nothing gets nothing; the least message has neither properties section.
	r.sendTelemetry(r.connect(iothub.ID{DeviceID: "d"}), iothub.Telemetry{})
	plain, err := s.NewReceiver(r.ctx(), readerAddress(partition), readerOptions("amqp.annotation.x-opt-sequence-number > '0'", 10, nil))
	if err != nil {
		t.Fatal(err)
	}
	m = r.receiveEvent(plain)
	if len(m.DeliveryAnnotations) != 0 || m.Properties != nil || len(m.ApplicationProperties) != 0 || len(m.Data) != 1 || m.Annotations["iothub-connection-module-id"] != nil {
		t.Errorf("%+v", m)
	}
}

func (r *rig) partitionWithEvents() int {
	for p := range r.hub.Partitions() {
		if info, err := r.hub.PartitionInfo(p); err == nil && info.Next > info.First {
			return p
		}
	}
	r.t.Fatal("no partition has an event")
	return 0
}

func epoch(level int64, name string) map[string]any {
	return map[string]any{epochProperty: level, receiverNameProperty: name}
}

func TestOwnerLevels(t *testing.T) {
	r := newRig(t)
	partition := r.bodies(1)
	address := readerAddress(partition)
	attach := func(properties map[string]any) (*goamqp.Receiver, error) {
		return r.plain("service").NewReceiver(r.ctx(), address, readerOptions("amqp.annotation.x-opt-offset > '@latest'", 10, properties))
	}
	must := func(properties map[string]any) *goamqp.Receiver {
		t.Helper()
		rcv, err := attach(properties)
		if err != nil {
			t.Fatal(err)
		}
		return rcv
	}
	stolen := func(rcv *goamqp.Receiver, want string) {
		t.Helper()
		_, err := rcv.Receive(r.ctx(), nil)
		wantCondition(t, want, err, "amqp:link:stolen")
		wantDescription(t, "stolen", err, want)
	}
	free := must(nil)
	first := must(epoch(1, "first"))
	stolen(free, "New receiver 'first' with higher epoch of '1' is created hence current receiver 'nil' with epoch")
	_, err := attach(nil)
	wantCondition(t, "no epoch", err, "amqp:link:stolen")
	wantDescription(t, "no epoch", err, "At least one receiver for the endpoint is created with epoch of '1', and so non-epoch receiver is not allowed. "+
		"Either reconnect with a higher epoch, or make sure all epoch receivers are closed or disconnected.")
	_, err = attach(epoch(0, "low"))
	wantCondition(t, "lower epoch", err, "amqp:link:stolen")
	wantDescription(t, "lower epoch", err, "Receiver 'first' with a higher epoch '1' already exists. Receiver 'low' with epoch 0 cannot be created.")
	same := must(epoch(1, "same"))
	stolen(first, "New receiver 'same' with higher epoch of '1' is created hence current receiver 'first' with epoch '1' is getting disconnected.")
	// The one that has it reads; another partition and another group are free.
	r.sendTelemetry(r.connect(iothub.ID{DeviceID: "d"}), iothub.Telemetry{Body: []byte("x")})
	if got := string(r.receiveEvent(same).GetData()); got != "x" {
		t.Error(got)
	}
	if err := r.hub.AddConsumerGroup("other"); err != nil {
		t.Fatal(err)
	}
	other := fmt.Sprintf("hub1/ConsumerGroups/OTHER/Partitions/%d", partition)
	if _, err := r.plain("service").NewReceiver(r.ctx(), other, nil); err != nil {
		t.Error(err)
	}
	// Once it is gone, anyone may read.
	if err := same.Close(r.ctx()); err != nil {
		t.Fatal(err)
	}
	must(nil)
	_, err = attach(map[string]any{epochProperty: int64(-1)})
	wantCondition(t, "negative epoch", err, conditionOutOfRange)
}

func TestReaderQuota(t *testing.T) {
	r := newRig(t)
	s := r.plain("service")
	var readers []*goamqp.Receiver
	for i := range maxReaders {
		var properties map[string]any
		if i > 0 {
			properties = map[string]any{receiverNameProperty: fmt.Sprint("r", i)}
		}
		rcv, err := s.NewReceiver(r.ctx(), readerAddress(0), readerOptions("", 1, properties))
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, rcv)
	}
	_, err := s.NewReceiver(r.ctx(), readerAddress(0), nil)
	wantCondition(t, "sixth reader", err, "amqp:resource-limit-exceeded")
	wantDescription(t, "sixth reader", err, "Exceeded the maximum number of allowed receivers per partition in a consumer group which is 5. "+
		"List of connected receivers - nil, r1, r2, r3, r4.")
	wantDescription(t, "sixth reader", err, "SystemTracker:hub1:eventhub:hub1~0|$default, Timestamp:")
	if _, err := s.NewReceiver(r.ctx(), readerAddress(1), nil); err != nil {
		t.Error(err)
	}
	if err := readers[0].Close(r.ctx()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.NewReceiver(r.ctx(), readerAddress(0), nil); err != nil {
		t.Error(err)
	}
}

func TestEventRefusals(t *testing.T) {
	r := newRig(t)
	s := r.plain("service")
	for address, want := range map[string]struct{ condition, text string }{
		"hub1/ConsumerGroups/none/Partitions/0":       {"amqp:not-found", "The messaging entity 'hub1:eventhub:hub1~0|none' could not be found."},
		"hub1/ConsumerGroups/$Default/Partitions/99":  {conditionOutOfRange, "The specified partition is invalid for an EventHub partition sender or receiver."},
		"hub1/ConsumerGroups/$Default/Partitions/x":   {conditionOutOfRange, "The specified partition is invalid"},
		"hub1/ConsumerGroups/$Default/Partitions/00":  {conditionOutOfRange, "The specified partition is invalid"},
		"other/ConsumerGroups/$Default/Partitions/0":  {"amqp:not-found", "The messaging entity 'other' could not be found."},
		"other/$management":                           {"amqp:not-found", "could not be found"},
		"hub1":                                        {"amqp:not-found", "no AMQP node"},
		"hub1/ConsumerGroups/$Default/Partitions/0/x": {"amqp:not-found", ""},
	} {
		_, err := s.NewReceiver(r.ctx(), address, nil)
		wantCondition(t, address, err, want.condition)
		wantDescription(t, address, err, want.text)
	}
	for _, address := range []string{"hub1", "hub1/Partitions/0", "messages/events"} {
		_, err := s.NewSender(r.ctx(), address, nil)
		wantCondition(t, address, err, "amqp:unauthorized-access")
		wantDescription(t, address, err, "'Send' claim(s) are required")
	}
	_, err := r.plain("registryRead").NewReceiver(r.ctx(), readerAddress(0), nil)
	wantCondition(t, "policy without ServiceConnect", err, "amqp:unauthorized-access")
	anonymous := r.dial(goamqp.SASLTypeAnonymous())
	_, err = anonymous.NewReceiver(r.ctx(), readerAddress(0), nil)
	wantCondition(t, "no token", err, "amqp:unauthorized-access")
}

// Whatever a client says of events, reading goes on; settled, unsettled, and
// settled by the client first or after the server.
func TestSettlement(t *testing.T) {
	r := newRig(t)
	const events = 20
	partition := r.bodies(events)
	s := r.plain("service")
	for _, snd := range []goamqp.SenderSettleMode{goamqp.SenderSettleModeUnsettled, goamqp.SenderSettleModeSettled, goamqp.SenderSettleModeMixed} {
		for _, rcvMode := range []goamqp.ReceiverSettleMode{goamqp.ReceiverSettleModeFirst, goamqp.ReceiverSettleModeSecond} {
			name := fmt.Sprintf("snd %d, rcv %d", snd, rcvMode)
			o := readerOptions("", 3, nil)
			o.SettlementMode, o.RequestedSenderSettleMode = &rcvMode, &snd
			rcv, err := s.NewReceiver(r.ctx(), readerAddress(partition), o)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for i := range events {
				m := r.receiveEvent(rcv)
				if got := string(m.GetData()); got != strconv.Itoa(i) {
					t.Fatalf("%s: %s, want %d", name, got, i)
				}
				end := []func() error{
					func() error { return rcv.AcceptMessage(r.ctx(), m) },
					func() error { return rcv.ReleaseMessage(r.ctx(), m) },
					func() error { return rcv.RejectMessage(r.ctx(), m, nil) },
				}[i%3]
				if err := end(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if err := rcv.Close(r.ctx()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A reader that takes nothing holds up neither others nor senders.
func TestStalledReader(t *testing.T) {
	r := newRig(t)
	c := r.connect(iothub.ID{DeviceID: "d"})
	s := r.plain("service")
	r.sendTelemetry(c, iothub.Telemetry{Body: []byte("first")})
	partition := r.partitionWithEvents()
	for _, credit := range []int32{-1, 1} { // no credit at all; the rest of the window never comes
		if _, err := r.plain("service").NewReceiver(r.ctx(), readerAddress(partition), readerOptions("", credit, nil)); err != nil {
			t.Fatal(err)
		}
	}
	rcv, err := s.NewReceiver(r.ctx(), readerAddress(partition), readerOptions("", 100, nil))
	if err != nil {
		t.Fatal(err)
	}
	const events = 2000
	body := make([]byte, 2000)
	go func() {
		for range events {
			c.SendTelemetry(context.WithoutCancel(t.Context()), iothub.Telemetry{Body: body}, func(error) {})
		}
	}()
	for range events + 1 {
		r.receiveEvent(rcv)
	}
}

// The Event Hubs client itself, over the plain listener.
func TestEventHubsClient(t *testing.T) {
	r := newRig(t)
	partition := strconv.Itoa(r.bodies(5))
	key := ""
	for _, p := range registry.DefaultPolicies() {
		if p.Name == "service" {
			key = p.PrimaryKey
		}
	}
	client, err := azeventhubs.NewConsumerClientFromConnectionString(
		"Endpoint=sb://"+r.addr+"/;SharedAccessKeyName=service;SharedAccessKey="+key+";UseDevelopmentEmulator=true", "hub1", azeventhubs.DefaultConsumerGroup, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := client.Close(r.ctx()); err != nil {
			t.Error(err)
		}
	}()
	properties, err := client.GetEventHubProperties(r.ctx(), nil)
	if err != nil || properties.Name != "hub1" || len(properties.PartitionIDs) != 4 {
		t.Fatal(properties, err)
	}
	of, err := client.GetPartitionProperties(r.ctx(), partition, nil)
	if err != nil || of.LastEnqueuedSequenceNumber != 4 || of.IsEmpty {
		t.Fatal(of, err)
	}
	yes, level, sequence := true, int64(3), int64(2)
	for _, c := range []struct {
		start azeventhubs.StartPosition
		want  string
	}{
		{azeventhubs.StartPosition{Earliest: &yes}, "01234"},
		{azeventhubs.StartPosition{SequenceNumber: &sequence}, "34"},
		{azeventhubs.StartPosition{SequenceNumber: &sequence, Inclusive: true}, "234"},
		{azeventhubs.StartPosition{Offset: &of.LastEnqueuedOffset, Inclusive: true}, "4"},
		{azeventhubs.StartPosition{EnqueuedTime: &of.LastEnqueuedOn, Inclusive: true}, "4"},
	} {
		reader, err := client.NewPartitionClient(partition, &azeventhubs.PartitionClientOptions{StartPosition: c.start, OwnerLevel: &level})
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for got.Len() < len(c.want) {
			events, err := reader.ReceiveEvents(r.ctx(), 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				got.Write(e.Body)
				if e.SystemProperties["iothub-connection-device-id"] != "d" {
					t.Errorf("%v", e.SystemProperties)
				}
			}
		}
		if got.String() != c.want {
			t.Errorf("%s, want %s", got.String(), c.want)
		}
		// Not closed: the next one has the same owner level and takes over.
		defer func() { _ = reader.Close(r.ctx()) }()
	}
}
