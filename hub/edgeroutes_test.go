package hub

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// routed creates an edge device with modules and routes, in JSON.
func (f *fixture) routed(name, desired string, modules ...string) {
	f.t.Helper()
	ctx := context.Background()
	id := iothub.ID{DeviceID: name}
	if _, err := f.CreateIdentity(ctx, id, iothub.IdentityRequest{Capabilities: &iothub.Capabilities{IoTEdge: true}}); err != nil {
		f.t.Fatalf("edge device: %v", err)
	}
	for _, m := range modules {
		f.device(name + "/" + m)
	}
	if desired != "" {
		f.edgeRoutes(name, desired)
	}
}

func (f *fixture) edgeRoutes(name, desired string) {
	f.t.Helper()
	values, err := iothub.DecodeObject([]byte(desired))
	if err != nil {
		f.t.Fatalf("desired: %v", err)
	}
	id := iothub.ID{DeviceID: name, ModuleID: "$edgeHub"}
	if _, err := f.ReplaceTwin(context.Background(), id, iothub.TwinPatch{Desired: values}, ""); err != nil {
		f.t.Fatalf("routes: %v", err)
	}
}

func (f *fixture) output(c *Connection, output, body string) {
	f.t.Helper()
	done := make(chan error, 1)
	data := []byte(body)
	c.SendTelemetry(context.Background(), iothub.Telemetry{
		System: iothub.SystemProperties{OutputName: output, MessageID: "m-" + body}, Body: data, Properties: iothub.Properties{{Name: "k", Value: "v"}},
	}, func(err error) { done <- err })
	clear(data) // The caller's again.
	if err := <-done; err != nil {
		f.t.Fatalf("send %q: %v", body, err)
	}
}

// inputs receives and completes everything at the inputs, as input=body.
func (f *fixture) inputs(c *Connection) []string {
	f.t.Helper()
	var got []string
	for d, ok := c.ReceiveInput(); ok; d, ok = c.ReceiveInput() {
		got = append(got, d.Message.Input+"="+string(d.Message.Body))
		if err := f.CompleteC2D(context.Background(), c.ID(), d.LockToken); err != nil {
			f.t.Fatalf("complete: %v", err)
		}
	}
	return got
}

// upstream returns the bodies of what reached the hub.
func (f *fixture) upstream() []string {
	f.t.Helper()
	var got []string
	for p := range f.Partitions() {
		events, err := f.ReadEvents(context.Background(), p, 0, 1000)
		if err != nil {
			f.t.Fatalf("events: %v", err)
		}
		for _, e := range events {
			if e.Source == "" {
				got = append(got, string(e.Body))
			}
		}
	}
	return got
}

func wantTexts(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestEdgeRoutes(t *testing.T) {
	f := newFixture(t)
	f.routed("edge1", `{"schemaVersion":"1.1","routes":{
		"a":"FROM /messages/modules/sensor/outputs/out1 INTO BrokeredEndpoint(\"/modules/filter/inputs/in1\")",
		"b":{"route":"FROM /messages/modules/sensor/outputs/* WHERE k = 'v' INTO BrokeredEndpoint('/modules/filter/inputs/in2')","priority":3,"timeToLiveSecs":60},
		"c":"FROM /messages/modules/filter/* INTO $upstream",
		"broken":"FROM nowhere", "removed":""}}`, "sensor", "filter")
	sensor, _ := f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "sensor"}, "mqtt")
	filter, client := f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "filter"}, "mqtt")
	filter.EnableInputs(true)
	f.output(sensor, "out1", "one")
	<-client.waiting
	d, ok := filter.ReceiveInput()
	if !ok || d.Message.Input != "in2" || d.Message.From != sensor.ID() || d.Message.System.MessageID != "m-one" || len(d.Message.Properties) != 1 {
		t.Fatalf("first delivery: %+v, %v", d, ok)
	}
	if err := f.CompleteC2D(context.Background(), filter.ID(), d.LockToken); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, "inputs", f.inputs(filter), "in1=one")
	f.output(sensor, "out2", "two")
	f.output(sensor, "", "dropped")
	wantTexts(t, "inputs", f.inputs(filter), "in2=two")
	f.output(filter, "any", "three")
	f.output(filter, "", "four")
	wantTexts(t, "inputs of the sender", f.inputs(filter))
	wantTexts(t, "upstream", f.upstream(), "three", "four")
}

func TestEdgeRoutesNotThere(t *testing.T) {
	f := newFixture(t)
	f.routed("edge1", `{"schemaVersion":"1.0"}`, "m")
	f.device("plain")
	f.device("plain/m")
	for _, name := range []string{"edge1/m", "plain/m"} {
		id, _ := iothub.ParseID(name)
		c, _ := f.connect(id, "mqtt")
		f.output(c, "out", name)
	}
	wantTexts(t, "upstream", slices.Sorted(slices.Values(f.upstream())), "edge1/m", "plain/m")

	// From the next message on routes hold, and again none do.
	c, _ := f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "m"}, "mqtt")
	f.edgeRoutes("edge1", `{"routes":{}}`)
	f.output(c, "out", "dropped")
	f.edgeRoutes("edge1", `{"routes":{"up":"FROM /* INTO $upstream"}}`)
	f.output(c, "out", "routed")
	f.edgeRoutes("edge1", `{"routes":[1]}`)
	f.output(c, "out", "malformed")
	f.edgeRoutes("edge1", `{}`)
	f.output(c, "out", "none")
	wantTexts(t, "upstream", slices.Sorted(slices.Values(f.upstream())), "edge1/m", "malformed", "none", "plain/m", "routed")
}

// A connected $edgeHub has applied the routes itself.
func TestEdgeHubItself(t *testing.T) {
	f := newFixture(t)
	f.routed("edge1", `{"routes":{}}`, "m")
	m, _ := f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "m"}, "amqp")
	own, _ := f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "$edgeHub"}, "amqp")
	f.output(m, "", "by the edge hub")
	f.output(own, "", "of the edge hub")
	own.Close()
	f.output(m, "", "dropped")
	wantTexts(t, "upstream", f.upstream(), "by the edge hub", "of the edge hub")
}

func TestEdgeChildren(t *testing.T) {
	f := newFixture(t)
	f.routed("edge1", `{"routes":{
		"leaves":"FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId) INTO BrokeredEndpoint(\"/modules/m/inputs/leaf\")",
		"up":"FROM /messages/* WHERE $body.up = 1 INTO $upstream"}}`, "m")
	parent, err := f.GetIdentity(context.Background(), iothub.ID{DeviceID: "edge1"})
	if err != nil {
		t.Fatal(err)
	}
	leaf := iothub.ID{DeviceID: "leaf"}
	if _, err := f.CreateIdentity(context.Background(), leaf, iothub.IdentityRequest{DeviceScope: parent.DeviceScope}); err != nil {
		t.Fatal(err)
	}
	c, _ := f.connect(leaf, "mqtt")
	f.output(c, "", "hello")
	grant := options("").Grant
	for _, m := range []iothub.Telemetry{
		{Body: []byte(`{"up":1}`), System: iothub.SystemProperties{ContentType: "application/json", ContentEncoding: "utf-8"}},
		{Body: []byte("https")},
	} {
		if err := f.SendTelemetry(context.Background(), leaf, grant, []iothub.Telemetry{m}); err != nil {
			t.Fatal(err)
		}
	}
	m, _ := f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "m"}, "amqp")
	m.EnableInputs(true)
	wantTexts(t, "inputs", f.inputs(m), "leaf=hello", `leaf={"up":1}`, "leaf=https")
	wantTexts(t, "upstream", f.upstream(), `{"up":1}`)
}

// Messages wait for a module that is away, over a restart; the higher priority comes
// first, the order of one priority stays, what has expired is gone.
func TestInputsWait(t *testing.T) {
	clock := newMovableClock()
	f := newFixture(t, func(o *Options) { o.Now = clock.now })
	f.routed("edge1", `{"routes":{
		"late":{"route":"FROM /messages/modules/a/outputs/late INTO BrokeredEndpoint(\"/modules/b/inputs/in\")","priority":9},
		"default":"FROM /messages/modules/a/outputs/default INTO BrokeredEndpoint(\"/modules/b/inputs/in\")",
		"soon":{"route":"FROM /messages/modules/a/outputs/soon INTO BrokeredEndpoint(\"/modules/b/inputs/in\")","priority":0,"timeToLiveSecs":10},
		"both1":{"route":"FROM /messages/modules/a/outputs/both INTO BrokeredEndpoint(\"/modules/b/inputs/in\")","priority":8},
		"both2":{"route":"FROM /messages/modules/a/* WHERE k = 'v' AND $messageId = 'm-both' INTO BrokeredEndpoint(\"/modules/b/inputs/in\")","priority":1}},
		"storeAndForwardConfiguration":{"timeToLiveSecs":100}}`, "a", "b")
	a, _ := f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "a"}, "mqtt")
	for i := range 3 {
		for _, output := range []string{"default", "late", "soon"} {
			f.output(a, output, fmt.Sprint(output, i))
		}
	}
	f.output(a, "both", "both")
	f.restart()
	clock.advance(time.Second)
	b, _ := f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "b"}, "mqtt")
	b.EnableInputs(true)
	d, ok := b.ReceiveInput()
	if !ok || string(d.Message.Body) != "soon0" {
		t.Fatalf("first: %+v", d)
	}
	clock.advance(20 * time.Second)
	b.Close() // gives it back, and it has expired
	b, _ = f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "b"}, "mqtt")
	b.EnableInputs(true)
	wantTexts(t, "inputs", f.inputs(b), "in=both", "in=late0", "in=late1", "in=late2", "in=default0", "in=default1", "in=default2")
	a, _ = f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "a"}, "mqtt")
	f.output(a, "default", "expires")
	clock.advance(100 * time.Second)
	wantTexts(t, "inputs after their time", f.inputs(b))
}

func TestInputsSettled(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t)
	f.routed("edge1", `{"routes":{"r":"FROM /* INTO BrokeredEndpoint(\"/modules/b/inputs/in\")"}}`, "a", "b")
	a, _ := f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "a"}, "amqp")
	b, _ := f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "b"}, "amqp")
	b.EnableInputs(true)
	for _, body := range []string{"1", "2", "3"} {
		f.output(a, "", body)
	}
	for range 2*f.options.C2D.MaxDeliveryCount + 20 { // no limit here
		d, ok := b.ReceiveInput()
		if !ok || string(d.Message.Body) != "1" {
			t.Fatalf("got %+v", d)
		}
		if err := f.AbandonC2D(ctx, b.ID(), d.LockToken); err != nil {
			t.Fatal(err)
		}
	}
	d, _ := b.ReceiveInput()
	if err := f.RejectC2D(ctx, b.ID(), d.LockToken); err != nil {
		t.Fatal(err)
	}
	wantCode(t, f.CompleteC2D(ctx, b.ID(), d.LockToken), iothub.CodeDeviceMessageLockLost)
	if d, _ = b.ReceiveInput(); string(d.Message.Body) != "2" {
		t.Fatalf("after the rejected one: %+v", d)
	}
	b.EnableInputs(false)
	b.EnableInputs(true)
	wantTexts(t, "inputs", f.inputs(b), "in=2", "in=3")
	if n := f.count(b.ID()); n != 0 {
		t.Errorf("%d cloud-to-device messages", n)
	}
}

// The queue of a deleted module is gone, and a new module of that name gets nothing of it.
func TestInputsOfDeletedModule(t *testing.T) {
	f := newFixture(t)
	f.routed("edge1", `{"routes":{"r":"FROM /* INTO BrokeredEndpoint(\"/modules/b/inputs/in\")"}}`, "a")
	a, _ := f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "a"}, "mqtt")
	f.output(a, "", "nobody there")
	id := f.device("edge1/b")
	f.output(a, "", "old")
	if err := f.DeleteIdentity(context.Background(), id, "*"); err != nil {
		t.Fatal(err)
	}
	if entries, err := f.store.Queues().Load(context.Background(), inputQueueName(id)); err != nil || len(entries) != 0 {
		t.Errorf("left over: %v, %v", entries, err)
	}
	f.device("edge1/b")
	f.output(a, "", "new")
	b, _ := f.connect(id, "mqtt")
	b.EnableInputs(true)
	wantTexts(t, "inputs", f.inputs(b), "in=new")
}

func TestInputQueueIsBounded(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t)
	f.routed("edge1", `{"routes":{"r":"FROM /* INTO BrokeredEndpoint(\"/modules/b/inputs/in\")"}}`, "a", "b")
	a, _ := f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "a"}, "mqtt")
	b := iothub.ID{DeviceID: "edge1", ModuleID: "b"}
	f.output(a, "", "first")
	entries, err := f.store.Queues().Load(ctx, inputQueueName(b))
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	for range maxInputQueue - 2 {
		if _, err := f.store.Queues().Append(ctx, inputQueueName(b), entries[0].Payload); err != nil {
			t.Fatal(err)
		}
	}
	f.restart() // to read the queue again
	a, _ = f.connect(iothub.ID{DeviceID: "edge1", ModuleID: "a"}, "mqtt")
	f.output(a, "", "last")
	refused := make(chan error, 1)
	a.SendTelemetry(ctx, iothub.Telemetry{Body: []byte("too many")}, func(err error) { refused <- err })
	wantCode(t, <-refused, iothub.CodeDeviceMaximumQueueDepthExceeded)
}
