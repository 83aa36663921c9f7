//go:build conformance

package conformance

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
)

// crashScenarios end the emulator in the middle of writes.
func crashScenarios() []scenario {
	return []scenario{{"kill9", nil, kill9}, {"kill9_events", nil, kill9Events}, {"kill9_uploads", nil, kill9Uploads}}
}

// crashRounds is how often the emulator is killed: HUBNERITE_CRASH_ROUNDS, or the usual number.
func crashRounds(t *testing.T, usual int) int {
	t.Helper()
	text := os.Getenv("HUBNERITE_CRASH_ROUNDS")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const (
	crashSenders = 3 // devices that send telemetry and report properties
	crashQueues  = 2 // devices that messages wait for
)

// crash is what the kill -9 test knows to be acknowledged.
type crash struct {
	t   *testing.T
	hub *hub
	*caller
	killed atomic.Bool

	mu        sync.Mutex
	telemetry map[string][]string       // per device: bodies with a PUBACK
	checked   map[string]int            // per device: how many of telemetry a check has found, before the sequence number in last
	last      map[string]int64          // per device: the highest sequence number a check has seen
	reported  map[string]int            // per device: the last report with an answer 204
	desired   map[string]int            // per device: the last desired value with an answer 200
	queued    map[string][]string       // per device: bodies with an accepted outcome, not yet received
	drained   map[string]bool           // bodies that a device received and completed
	devices   map[string]map[string]any // created devices as the answer showed them; nil once deleted
	unsure    map[string]bool           // devices whose deletion was asked for, but not answered
}

// scenarioLimit is scenarioTimeout, and more where somebody asked for more kills.
func scenarioLimit(t *testing.T) time.Duration {
	t.Helper()
	if strings.Contains(t.Name(), "/docs_") {
		return docsTimeout
	}
	return scenarioTimeout + time.Duration(crashRounds(t, 0))*3*time.Second
}

// kill9 kills the emulator again and again while devices and back ends write, and after each restart looks for everything that
// was acknowledged.
func kill9(t *testing.T, s *site) {
	rounds := crashRounds(t, 20)
	var flags []string
	for i := range crashSenders {
		flags = append(flags, "--device", fmt.Sprint("t", i))
	}
	for i := range crashQueues {
		flags = append(flags, "--device", fmt.Sprint("q", i))
	}
	c := &crash{
		t: t, hub: s.startHub(t, append(flags, "--log-level", "warn")...),
		telemetry: map[string][]string{}, checked: map[string]int{}, last: map[string]int64{}, reported: map[string]int{}, desired: map[string]int{}, queued: map[string][]string{},
		drained: map[string]bool{}, devices: map[string]map[string]any{}, unsure: map[string]bool{},
	}
	started := time.Now()
	for round := range rounds {
		c.caller = newCaller(t, c.hub)
		c.writeUntilKilled(round)
		if t.Failed() {
			return
		}
		c.hub.start()
		c.client.CloseIdleConnections()
		c.check(round == rounds-1)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	total := 0
	for _, bodies := range c.telemetry {
		total += len(bodies)
	}
	t.Logf("%d kills in %s: %d telemetry messages, %d devices, %d C2D messages", rounds, time.Since(started).Round(time.Second),
		total, len(c.devices), len(c.drained))
	if total == 0 || len(c.devices) == 0 || len(c.drained) == 0 {
		t.Error("nothing was acknowledged before the kills: the test proved nothing")
	}
}

// writeUntilKilled runs all writers and kills the emulator under them.
func (c *crash) writeUntilKilled(round int) {
	c.t.Helper()
	c.killed.Store(false)
	var writers sync.WaitGroup
	for i := range crashSenders {
		writers.Go(func() { c.writer("telemetry", func() error { return c.sendTelemetry(fmt.Sprint("t", i), round) }) })
		writers.Go(func() { c.writer("desired", func() error { return c.writeDesired(fmt.Sprint("t", i)) }) })
	}
	writers.Go(func() { c.writer("c2d", func() error { return c.sendC2D(round) }) })
	writers.Go(func() { c.writer("registry", func() error { return c.writeDevices(round) }) })
	time.Sleep(time.Duration(150+rand.IntN(350)) * time.Millisecond)
	c.killed.Store(true)
	c.hub.kill()
	writers.Wait()
}

// writer runs one writer, whose error counts unless the kill explains it.
func (c *crash) writer(name string, run func() error) {
	if err := run(); err != nil && !c.killed.Load() {
		c.t.Errorf("%s before the kill: %v", name, err)
	}
}

// sendTelemetry publishes with many messages in flight, and reports a property now and then, until the connection ends.
func (c *crash) sendTelemetry(device string, round int) error {
	report := 0
	c.mu.Lock()
	report = c.reported[device]
	c.mu.Unlock()
	room := make(chan struct{}, 64)
	client, err := c.dial(device, func(topic string, _ []byte) {
		rest, ok := strings.CutPrefix(topic, "$iothub/twin/res/204/?$rid=")
		if !ok {
			c.t.Errorf("%s: unexpected topic %s", device, topic)
			return
		}
		text, _, _ := strings.Cut(rest, "&")
		n, err := strconv.Atoi(text)
		if err != nil {
			c.t.Errorf("%s: topic %s", device, topic)
		}
		c.mu.Lock()
		c.reported[device] = max(c.reported[device], n)
		c.mu.Unlock()
	})
	if err != nil {
		return err
	}
	defer client.close()
	if err := client.subscribe("$iothub/twin/res/#"); err != nil {
		return err
	}
	for n := 0; ; n++ {
		select {
		case room <- struct{}{}:
		case <-client.ended:
			return io.ErrUnexpectedEOF
		}
		body := fmt.Sprintf("%s-%d-%d", device, round, n)
		err := client.publish("devices/"+device+"/messages/events/n="+strconv.Itoa(n), []byte(body), func() {
			c.mu.Lock()
			c.telemetry[device] = append(c.telemetry[device], body)
			c.mu.Unlock()
			<-room
		})
		if err == nil && n%100 == 0 {
			report++
			err = client.publish(fmt.Sprintf("$iothub/twin/PATCH/properties/reported/?$rid=%d", report),
				fmt.Appendf(nil, `{"n":%d}`, report), func() {})
		}
		if err != nil {
			return err
		}
	}
}

// writeDesired patches a twin, one write after the other.
func (c *crash) writeDesired(device string) error {
	c.mu.Lock()
	n := c.desired[device]
	c.mu.Unlock()
	for {
		n++
		status, answer, err := c.call("PATCH", "/twins/"+device, map[string]any{"properties": map[string]any{"desired": map[string]any{"n": n}}}, "*")
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("PATCH of a twin: %d %v", status, answer)
		}
		c.mu.Lock()
		c.desired[device] = n
		c.mu.Unlock()
	}
}

// sendC2D sends to both queues until they are nearly full.
func (c *crash) sendC2D(round int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	hub := connectionFields(c.hub.ready.ConnectionStrings["service"])
	host := hub["HostName"]
	first, _, _ := strings.Cut(host, ".")
	conn, err := amqp.Dial(ctx, fmt.Sprintf("amqps://127.0.0.1:%d", c.hub.ready.Ports.AMQP), &amqp.ConnOptions{
		HostName: host, TLSConfig: c.tls,
		SASLType: amqp.SASLTypePlain("service@sas.root."+first, signature(host, hub["SharedAccessKey"], "service")),
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		return err
	}
	sender, err := session.NewSender(ctx, "/messages/devicebound", nil)
	if err != nil {
		return err
	}
	for n := range 40 {
		for q := range crashQueues {
			device := fmt.Sprint("q", q)
			body := fmt.Sprintf("%s-%d-%d", device, round, n)
			to := "/devices/" + device + "/messages/devicebound"
			err := sender.Send(ctx, &amqp.Message{
				Properties: &amqp.MessageProperties{To: &to, MessageID: body}, Data: [][]byte{[]byte(body)},
			}, nil)
			if err != nil {
				return err
			}
			c.mu.Lock()
			c.queued[device] = append(c.queued[device], body)
			c.mu.Unlock()
		}
	}
	return nil
}

// writeDevices creates devices and deletes every third of them again.
func (c *crash) writeDevices(round int) error {
	for n := 0; ; n++ {
		id := fmt.Sprintf("made-%d-%d", round, n)
		status, made, err := c.call("PUT", "/devices/"+id, map[string]any{"deviceId": id}, "")
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("PUT of a device: %d %v", status, made)
		}
		c.mu.Lock()
		c.devices[id] = made
		if n%3 == 2 {
			c.unsure[id] = true
		}
		c.mu.Unlock()
		if n%3 != 2 {
			continue
		}
		if status, answer, err := c.call("DELETE", "/devices/"+id, nil, "*"); err != nil {
			return err
		} else if status != http.StatusNoContent {
			return fmt.Errorf("DELETE of a device: %d %v", status, answer)
		}
		c.mu.Lock()
		c.devices[id] = nil
		delete(c.unsure, id)
		c.mu.Unlock()
	}
}

// check looks for everything acknowledged, and takes the waiting messages. Telemetry is looked for from where the check before
// ended, but the final check reads all of it again.
func (c *crash) check(final bool) {
	c.t.Helper()
	if final {
		clear(c.checked)
		clear(c.last)
	}
	for device, bodies := range c.telemetry {
		since, ok := c.last[device]
		if !ok {
			since = -1
		}
		kept := map[string]bool{}
		for _, m := range c.hub.messagesSince(device, since) {
			if m.SequenceNumber <= since {
				c.t.Errorf("%s: sequence number %d after %d", device, m.SequenceNumber, since)
			}
			since = m.SequenceNumber
			kept[m.Body] = true
		}
		bodies = bodies[c.checked[device]:]
		lost := slices.DeleteFunc(slices.Clone(bodies), func(body string) bool { return kept[body] })
		if len(lost) > 0 {
			c.t.Errorf("%s: %d of %d acknowledged messages are lost, such as %s", device, len(lost), len(bodies), lost[0])
		}
		c.checked[device] += len(bodies)
		c.last[device] = since
	}
	for i := range crashSenders {
		c.checkTwin(fmt.Sprint("t", i))
	}
	for id, made := range c.devices {
		status, got, err := c.call("GET", "/devices/"+id, nil, "")
		switch {
		case err != nil:
			c.t.Errorf("GET of device %s: %v", id, err)
		case made == nil && status != http.StatusNotFound:
			c.t.Errorf("the deleted device %s is back: %d", id, status)
		case made == nil, c.unsure[id] && status == http.StatusNotFound:
			delete(c.devices, id)
			delete(c.unsure, id)
		case status != http.StatusOK:
			c.t.Errorf("the device %s is lost: %d", id, status)
		case got["etag"] != made["etag"] || got["generationId"] != made["generationId"] ||
			fmt.Sprint(got["authentication"]) != fmt.Sprint(made["authentication"]):
			c.t.Errorf("the device %s changed:\nacknowledged %v\nread         %v", id, made, got)
		}
	}
	for i := range crashQueues {
		c.drain(fmt.Sprint("q", i))
	}
}

// checkTwin finds the last acknowledged writes, or one later write whose answer the kill swallowed.
func (c *crash) checkTwin(device string) {
	c.t.Helper()
	status, twin, err := c.call("GET", "/twins/"+device, nil, "")
	if err != nil || status != http.StatusOK {
		c.t.Errorf("GET of twin %s: %d %v", device, status, err)
		return
	}
	properties, _ := twin["properties"].(map[string]any)
	for section, want := range map[string]int{"desired": c.desired[device], "reported": c.reported[device]} {
		values, _ := properties[section].(map[string]any)
		n, _ := values["n"].(float64)
		if int(n) < want {
			c.t.Errorf("%s: %s is %v, but %d was acknowledged", device, section, n, want)
		}
		// Every write raised the version by one, acknowledged or not.
		if version, _ := values["$version"].(float64); n > 0 && int(version) < int(n)+1 {
			c.t.Errorf("%s: %s has version %v after %v writes", device, section, version, n)
		}
	}
	desired, _ := properties["desired"].(map[string]any)
	if n, _ := desired["n"].(float64); int(n) > c.desired[device]+1 {
		c.t.Errorf("%s: desired is %v, but only %d was ever sent", device, n, c.desired[device]+1)
	}
	c.desired[device] = max(c.desired[device], intOf(desired["n"]))
	reported, _ := properties["reported"].(map[string]any)
	c.reported[device] = max(c.reported[device], intOf(reported["n"]))
}

// drain receives and completes what waits for a device.
func (c *crash) drain(device string) {
	c.t.Helper()
	var mu sync.Mutex
	var got []string
	client, err := c.dial(device, func(_ string, payload []byte) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(payload))
	})
	if err != nil {
		c.t.Errorf("%s: %v", device, err)
		return
	}
	defer client.close()
	if err := client.subscribe("devices/" + device + "/messages/devicebound/#"); err != nil {
		c.t.Errorf("%s: %v", device, err)
		return
	}
	deadline := time.Now().Add(time.Minute)
	for {
		_, identity, err := c.call("GET", "/devices/"+device, nil, "")
		if err == nil && intOf(identity["cloudToDeviceMessageCount"]) == 0 && identity["cloudToDeviceMessageCount"] != nil {
			break
		}
		if time.Now().After(deadline) {
			c.t.Errorf("%s: the queue is not empty in time: %v, %v", device, identity["cloudToDeviceMessageCount"], err)
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, body := range got {
		if c.drained[body] {
			c.t.Errorf("%s: %s came again after it was completed", device, body)
		}
		c.drained[body] = true
	}
	// Everything acknowledged is there, in the order it was sent.
	at := 0
	for _, body := range c.queued[device] {
		for at < len(got) && got[at] != body {
			at++
		}
		if at == len(got) {
			c.t.Errorf("%s: %s was accepted and is lost or out of order; received %v", device, body, got)
			break
		}
	}
	c.queued[device] = nil
}

func (c *crash) dial(device string, onPublish func(string, []byte)) (*mqttClient, error) {
	text := connectionFields(c.hub.ready.Devices[device])
	host := text["HostName"]
	token := signature(host+"/devices/"+device, text["SharedAccessKey"], "")
	return dialMQTT(fmt.Sprintf("127.0.0.1:%d", c.hub.ready.Ports.MQTT), c.tls, host, device, token, onPublish)
}

func intOf(value any) int {
	n, _ := value.(float64)
	return int(n)
}
