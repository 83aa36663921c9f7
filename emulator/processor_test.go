package emulator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
)

// checkpoints is what a blob container is to production: ownership by compare and swap, and checkpoints.
type checkpoints struct {
	mu     sync.Mutex
	owners map[string]azeventhubs.Ownership
	points map[string]azeventhubs.Checkpoint
	tags   int
}

func (c *checkpoints) ClaimOwnership(_ context.Context, wanted []azeventhubs.Ownership, _ *azeventhubs.ClaimOwnershipOptions) ([]azeventhubs.Ownership, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var got []azeventhubs.Ownership
	for _, w := range wanted {
		if has, ok := c.owners[w.PartitionID]; ok && (w.ETag == nil || *w.ETag != *has.ETag) {
			continue
		}
		c.tags++
		tag := azcore.ETag(strconv.Itoa(c.tags))
		w.ETag, w.LastModifiedTime = &tag, time.Now()
		c.owners[w.PartitionID] = w
		got = append(got, w)
	}
	return got, nil
}

func (c *checkpoints) ListOwnership(context.Context, string, string, string, *azeventhubs.ListOwnershipOptions) ([]azeventhubs.Ownership, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []azeventhubs.Ownership
	for _, o := range c.owners {
		all = append(all, o)
	}
	return all, nil
}

func (c *checkpoints) ListCheckpoints(context.Context, string, string, string, *azeventhubs.ListCheckpointsOptions) ([]azeventhubs.Checkpoint, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []azeventhubs.Checkpoint
	for _, p := range c.points {
		all = append(all, p)
	}
	return all, nil
}

func (c *checkpoints) SetCheckpoint(_ context.Context, p azeventhubs.Checkpoint, _ *azeventhubs.SetCheckpointOptions) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.points[p.PartitionID] = p
	return nil
}

// processor is one of the client's processors and what it did.
type processor struct {
	t    *testing.T
	stop func()

	mu         sync.Mutex
	partitions map[string]bool
	bodies     []string
	changed    chan struct{} // closed and replaced with every change
}

func startProcessor(t *testing.T, text string, roots *x509.CertPool, store *checkpoints) *processor {
	t.Helper()
	client, err := azeventhubs.NewConsumerClientFromConnectionString(text, "", azeventhubs.DefaultConsumerGroup, &azeventhubs.ConsumerClientOptions{
		TLSConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	p := &processor{t: t, partitions: map[string]bool{}, changed: make(chan struct{})}
	run, err := azeventhubs.NewProcessor(client, store, &azeventhubs.ProcessorOptions{
		UpdateInterval: 100 * time.Millisecond, PartitionExpirationDuration: 5 * time.Second,
		StartPositions: azeventhubs.StartPositions{Default: azeventhubs.StartPosition{Earliest: &yes}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := run.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	work.Go(func() {
		for {
			partition := run.NextPartitionClient(ctx)
			if partition == nil {
				return
			}
			work.Go(func() { p.read(ctx, partition) })
		}
	})
	p.stop = sync.OnceFunc(func() {
		cancel()
		work.Wait()
		if err := client.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(p.stop)
	return p
}

// read takes the events of a partition until somebody else has it.
func (p *processor) read(ctx context.Context, partition *azeventhubs.ProcessorPartitionClient) {
	id := partition.PartitionID()
	p.change(func() { p.partitions[id] = true })
	defer func() {
		_ = partition.Close(context.Background())
		p.change(func() { delete(p.partitions, id) })
	}()
	for {
		// Long enough to open a link on a busy machine; whoever takes the partition over ends it before.
		wait, cancel := context.WithTimeout(ctx, 10*time.Second)
		events, err := partition.ReceiveEvents(wait, 10, nil)
		cancel()
		for _, e := range events {
			if err := partition.UpdateCheckpoint(context.WithoutCancel(ctx), e, nil); err != nil {
				p.t.Error(err)
			}
			p.change(func() { p.bodies = append(p.bodies, string(e.Body)) })
		}
		var said *azeventhubs.Error
		switch {
		case ctx.Err() != nil:
			return
		case err == nil || errors.Is(err, context.DeadlineExceeded):
		case errors.As(err, &said) && said.Code == azeventhubs.ErrorCodeOwnershipLost:
			return
		default:
			p.t.Error(err)
			return
		}
	}
}

func (p *processor) change(how func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how()
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait waits until the condition holds, which is called with mu held.
func (p *processor) wait(what string, condition func() bool) {
	p.t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		p.mu.Lock()
		ok, changed := condition(), p.changed
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			p.mu.Lock()
			defer p.mu.Unlock()
			p.t.Fatalf("%s: not in time: partitions %v, bodies %q", what, p.partitions, p.bodies)
		}
	}
}

// Processors of the Go client share the partitions, keep checkpoints and take over from one another. The events come from a device
// over HTTPS.
func TestProcessorsShareThePartitions(t *testing.T) {
	e := emulatortest.Run(t, emulatortest.WithDevices("d1"))
	info := e.Info()
	pem, err := os.ReadFile(info.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for name, text := range map[string]string{"TLS": info.EventHub.ConnectionString, "plain": info.EventHub.EmulatorConnectionString} {
		t.Run(name, func(t *testing.T) {
			store := &checkpoints{owners: map[string]azeventhubs.Ownership{}, points: map[string]azeventhubs.Checkpoint{}}
			first, last, after := "first by "+name, "last by "+name, "after by "+name
			post(t, e, first)
			left := startProcessor(t, text, roots, store)
			left.wait("all partitions", func() bool { return len(left.partitions) == 4 })
			left.wait("the event", func() bool { return slices.Contains(left.bodies, first) })
			right := startProcessor(t, text, roots, store)
			right.wait("half of the partitions", func() bool { return len(right.partitions) == 2 })
			left.wait("the other half", func() bool { return len(left.partitions) == 2 })
			left.stop()
			right.wait("all partitions after the other's end", func() bool { return len(right.partitions) == 4 })
			post(t, e, last)
			right.wait("the last event", func() bool { return slices.Contains(right.bodies, last) })
			if slices.Contains(right.bodies, first) {
				t.Errorf("%q is read twice in spite of its checkpoint", first)
			}
			right.stop()
			again := startProcessor(t, text, roots, store)
			post(t, e, after)
			again.wait("reading on", func() bool { return len(again.bodies) > 0 })
			if !slices.Equal(again.bodies, []string{after}) {
				t.Errorf("after the checkpoints: %q", again.bodies)
			}
		})
	}
}

// post sends telemetry as the device d1.
func post(t *testing.T, e *emulator.Emulator, body string) {
	t.Helper()
	info := e.Info()
	token, err := emulator.DeviceToken(info.Devices["d1"], time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	url := "https://localhost:" + strconv.Itoa(info.Ports.HTTPS) + "/devices/d1/messages/events?api-version=2020-03-13"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", token)
	response, err := httpClient(t, e).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		t.Fatal(response.Status)
	}
}
