//go:build conformance

package conformance

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/Azure/go-amqp"
)

const (
	crashMQTTDevices = 4
	crashAMQPDevices = 2
	crashInFlight    = 16 // messages of a device under way
)

// crashEvents is the second kill -9 test: what a back end reads as events after the kills.
type crashEvents struct {
	t   *testing.T
	hub *hub
	*caller
	killed atomic.Bool

	mu       sync.Mutex
	ledger   eventLedger
	followed map[string][]crashEvent // what was read while the devices sent, per partition
	before   map[string][]crashEvent // what the check before this one read
}

// kill9Events kills the emulator again and again while devices send numbered telemetry, and reads all of it with an Event Hubs
// client: every acknowledged message is there exactly once, each device's in order, and the sequence numbers have no gap. What was
// read once stays, also when it was read right before the kill.
func kill9Events(t *testing.T, s *site) {
	rounds := crashRounds(t, 50)
	var flags []string
	for i := range crashMQTTDevices {
		flags = append(flags, "--device", fmt.Sprint("m", i))
	}
	for i := range crashAMQPDevices {
		flags = append(flags, "--device", fmt.Sprint("a", i))
	}
	c := &crashEvents{t: t, hub: s.startHub(t, append(flags, "--log-level", "warn")...), ledger: eventLedger{}, followed: map[string][]crashEvent{}}
	started := time.Now()
	for round := range rounds {
		c.caller = newCaller(t, c.hub)
		c.sendUntilKilled()
		if t.Failed() {
			return
		}
		c.hub.start()
		if round%10 == 9 || round == rounds-1 {
			c.check()
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	acknowledged, events := 0, 0
	for _, d := range c.ledger {
		acknowledged += len(d.acknowledged)
		if len(d.acknowledged) == 0 {
			t.Error("a device had nothing acknowledged before the kills: the test proved nothing")
		}
	}
	for _, all := range c.before {
		events += len(all)
	}
	followed := 0
	for _, all := range c.followed {
		followed += len(all)
	}
	if followed == 0 {
		t.Error("nothing was read before the kills: the test proved less than it should")
	}
	t.Logf("%d kills in %s: %d messages acknowledged, %d events, %d of them read before the kills", rounds,
		time.Since(started).Round(time.Second), acknowledged, events, followed)
}

// sendUntilKilled lets all devices send and kills the emulator under them.
func (c *crashEvents) sendUntilKilled() {
	c.t.Helper()
	c.killed.Store(false)
	stopFollowing := c.follow()
	defer stopFollowing()
	var senders sync.WaitGroup
	send := func(device string, run func(device string) error) {
		senders.Go(func() {
			if err := run(device); err != nil && !c.killed.Load() {
				c.t.Errorf("%s before the kill: %v", device, err)
			}
		})
	}
	for i := range crashMQTTDevices {
		send(fmt.Sprint("m", i), c.sendMQTT)
	}
	for i := range crashAMQPDevices {
		send(fmt.Sprint("a", i), c.sendAMQP)
	}
	time.Sleep(time.Duration(100+rand.IntN(150)) * time.Millisecond)
	c.killed.Store(true)
	c.hub.kill()
	senders.Wait()
}

// next is the number of the device's next message; numbers are never used twice, whatever became of the message.
func (c *crashEvents) next(device string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.ledger[device]
	if d == nil {
		d = &deviceLedger{}
		c.ledger[device] = d
	}
	d.sent++
	return d.sent
}

func (c *crashEvents) acknowledge(device string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.ledger[device]
	d.acknowledged = append(d.acknowledged, n)
}

func (c *crashEvents) sendMQTT(device string) error {
	text := connectionFields(c.hub.ready.Devices[device])
	host := text["HostName"]
	token := signature(host+"/devices/"+device, text["SharedAccessKey"], "")
	client, err := dialMQTT(fmt.Sprintf("127.0.0.1:%d", c.hub.ready.Ports.MQTT), c.tls, host, device, token, func(string, []byte) {})
	if err != nil {
		return err
	}
	defer client.close()
	room := make(chan struct{}, crashInFlight)
	for {
		select {
		case room <- struct{}{}:
		case <-client.ended:
			return io.ErrUnexpectedEOF
		}
		n := c.next(device)
		err := client.publish("devices/"+device+"/messages/events/", fmt.Appendf(nil, "%s %d", device, n), func() {
			c.acknowledge(device, n)
			<-room
		})
		if err != nil {
			return err
		}
	}
}

func (c *crashEvents) sendAMQP(device string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	text := connectionFields(c.hub.ready.Devices[device])
	host := text["HostName"]
	first, _, _ := strings.Cut(host, ".")
	conn, err := amqp.Dial(ctx, fmt.Sprintf("amqps://127.0.0.1:%d", c.hub.ready.Ports.AMQP), &amqp.ConnOptions{
		HostName: host, TLSConfig: c.tls,
		SASLType: amqp.SASLTypePlain(device+"@sas."+first, signature(host+"/devices/"+device, text["SharedAccessKey"], "")),
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		return err
	}
	sender, err := session.NewSender(ctx, "/devices/"+device+"/messages/events", nil)
	if err != nil {
		return err
	}
	var waiting sync.WaitGroup
	defer waiting.Wait()
	room := make(chan struct{}, crashInFlight)
	for {
		room <- struct{}{}
		n := c.next(device)
		receipt, err := sender.SendWithReceipt(ctx, amqp.NewMessage(fmt.Appendf(nil, "%s %d", device, n)), nil)
		if err != nil {
			return err
		}
		waiting.Go(func() {
			defer func() { <-room }()
			state, err := receipt.Wait(ctx)
			if err != nil {
				return // the connection is gone, which the next send notices
			}
			if _, ok := state.(*amqp.StateAccepted); !ok {
				c.t.Errorf("%s: message %d: %v", device, n, state)
				return
			}
			c.acknowledge(device, n)
		})
	}
}

// check reads every partition from the earliest event on and compares.
func (c *crashEvents) check() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client := c.consumer()
	defer func() { _ = client.Close(ctx) }()
	about, err := client.GetEventHubProperties(ctx, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	read := map[string][]crashEvent{}
	for _, partition := range about.PartitionIDs {
		events, err := readPartition(ctx, client, partition)
		if err != nil {
			c.t.Fatalf("partition %s: %d events, then %v", partition, len(events), err)
		}
		read[partition] = events
	}
	complaints := append(c.ledger.compare(read), compareReads(c.before, read)...)
	complaints = append(complaints, compareFollowed(c.followed, read)...)
	for i, complaint := range complaints {
		if i == 20 {
			c.t.Errorf("and %d more", len(complaints)-i)
			break
		}
		c.t.Error(complaint)
	}
	c.before = read
}

// readPartition reads up to the sequence number that the partition says is its last.
func readPartition(ctx context.Context, client *azeventhubs.ConsumerClient, partition string) (events []crashEvent, err error) {
	about, err := client.GetPartitionProperties(ctx, partition, nil)
	if err != nil || about.IsEmpty {
		return nil, err
	}
	earliest := true
	reader, err := client.NewPartitionClient(partition, &azeventhubs.PartitionClientOptions{
		StartPosition: azeventhubs.StartPosition{Earliest: &earliest}, Prefetch: 2000,
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close(ctx) }()
	for len(events) == 0 || events[len(events)-1].sequence < about.LastEnqueuedSequenceNumber {
		some, err := reader.ReceiveEvents(ctx, 1, nil)
		if err != nil {
			return events, err
		}
		for _, e := range some {
			event, err := crashEventOf(e)
			if err != nil {
				return events, err
			}
			events = append(events, event)
		}
	}
	return events, nil
}

func crashEventOf(e *azeventhubs.ReceivedEventData) (crashEvent, error) {
	device, text, _ := strings.Cut(string(e.Body), " ")
	n, err := strconv.Atoi(text)
	if err != nil || e.SystemProperties["iothub-connection-device-id"] != device {
		return crashEvent{}, fmt.Errorf("event %d is %q of %v", e.SequenceNumber, e.Body, e.SystemProperties["iothub-connection-device-id"])
	}
	return crashEvent{e.SequenceNumber, device, n}, nil
}

// consumer is an Event Hubs client on the port without TLS.
func (c *crashEvents) consumer() *azeventhubs.ConsumerClient {
	c.t.Helper()
	var info struct {
		EventHub struct {
			Plain string `json:"emulatorConnectionString"`
		} `json:"eventHub"`
	}
	c.hub.adminGet("/info", &info)
	client, err := azeventhubs.NewConsumerClientFromConnectionString(info.EventHub.Plain, "", azeventhubs.DefaultConsumerGroup, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return client
}

// follow reads what comes from now on, until the function that it returns is called.
func (c *crashEvents) follow() (stop func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	client := c.consumer()
	about, err := client.GetEventHubProperties(ctx, nil)
	if err != nil {
		cancel()
		c.t.Fatal(err)
	}
	var readers sync.WaitGroup
	for _, partition := range about.PartitionIDs {
		readers.Go(func() { c.followPartition(ctx, client, partition) })
	}
	return func() {
		cancel()
		readers.Wait()
		closing, done := context.WithTimeout(context.Background(), time.Minute)
		defer done()
		_ = client.Close(closing)
	}
}

func (c *crashEvents) followPartition(ctx context.Context, client *azeventhubs.ConsumerClient, partition string) {
	latest := true
	reader, err := client.NewPartitionClient(partition, &azeventhubs.PartitionClientOptions{StartPosition: azeventhubs.StartPosition{Latest: &latest}})
	if err != nil {
		c.t.Error(err)
		return
	}
	defer func() { _ = reader.Close(ctx) }()
	for {
		some, err := reader.ReceiveEvents(ctx, 1, nil)
		if err != nil {
			if !c.killed.Load() {
				c.t.Errorf("reading partition %s before the kill: %v", partition, err)
			}
			return
		}
		for _, e := range some {
			event, err := crashEventOf(e)
			if err != nil {
				c.t.Error(err)
				return
			}
			c.mu.Lock()
			c.followed[partition] = append(c.followed[partition], event)
			c.mu.Unlock()
		}
	}
}
