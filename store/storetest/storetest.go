// Package storetest is the executable form of the storage contract: suites that
// every implementation of package store passes.
//
// The suites use nothing but the contract. Where a store is durable they close
// and reopen it in between.
package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// Data is an opened store of records, queues and documents.
type Data struct {
	Records   store.Records
	Queues    store.Queues
	Documents store.Documents
	Close     func() error
}

// DataBackend opens stores of records and queues.
type DataBackend struct {
	// Open opens the store in a folder, created before or empty.
	Open func(dir string) (Data, error)
	// Durable says that a store closed and opened again in the same folder holds
	// what it held.
	Durable bool
}

// LogOptions are what the suite asks of a log. Zero fields are defaults.
type LogOptions struct {
	Partitions int
	// MaxBytes and Retention bound what the log keeps. A log may keep twice as
	// much; the suite checks no closer.
	MaxBytes  int64
	Retention time.Duration
	Now       func() time.Time
}

// LogBackend opens logs.
type LogBackend struct {
	Open    func(dir string, o LogOptions) (store.Log, error)
	Durable bool
}

// fixture is an open store of a test.
type fixture struct {
	Data
	t       *testing.T
	backend DataBackend
	dir     string
}

func open(t *testing.T, b DataBackend) *fixture {
	t.Helper()
	f := &fixture{t: t, backend: b, dir: t.TempDir()}
	f.start()
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func (f *fixture) start() {
	f.t.Helper()
	d, err := f.backend.Open(f.dir)
	if err != nil {
		f.t.Fatalf("open: %v", err)
	}
	f.Data = d
}

// reopen closes and opens a durable store again; others stay as they are.
func (f *fixture) reopen() {
	f.t.Helper()
	if !f.backend.Durable {
		return
	}
	if err := f.Close(); err != nil {
		f.t.Fatalf("close: %v", err)
	}
	f.start()
}

func (f *fixture) put(r store.Record) store.Record {
	f.t.Helper()
	revision, err := f.Records.Put(context.Background(), r)
	if err != nil {
		f.t.Fatalf("put %s: %v", r.Identity.ID, err)
	}
	if revision != r.Revision+1 {
		f.t.Fatalf("put %s: revision %d after %d", r.Identity.ID, revision, r.Revision)
	}
	r.Revision = revision
	return r
}

func (f *fixture) get(id iothub.ID) store.Record {
	f.t.Helper()
	r, err := f.Records.Get(context.Background(), id)
	if err != nil {
		f.t.Fatalf("get %s: %v", id, err)
	}
	return r
}

func (f *fixture) append(queue, payload string) uint64 {
	f.t.Helper()
	n, err := f.Queues.Append(context.Background(), queue, []byte(payload))
	if err != nil {
		f.t.Fatalf("append to %s: %v", queue, err)
	}
	return n
}

// load returns the payloads of a queue and checks that its numbers rise.
func (f *fixture) load(queue string) []string {
	f.t.Helper()
	entries, err := f.Queues.Load(context.Background(), queue)
	if err != nil {
		f.t.Fatalf("load %s: %v", queue, err)
	}
	out := []string{}
	last := uint64(0)
	for _, e := range entries {
		if e.Number <= last {
			f.t.Fatalf("%s: number %d after %d", queue, e.Number, last)
		}
		last = e.Number
		out = append(out, string(e.Payload))
	}
	return out
}

func (f *fixture) wantErr(what string, err, want error) {
	f.t.Helper()
	if !errors.Is(err, want) {
		f.t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

func (f *fixture) wantCounts(want store.Counts) {
	f.t.Helper()
	got, err := f.Records.Count(context.Background())
	if err != nil || got != want {
		f.t.Errorf("count: %+v, %v, want %+v", got, err, want)
	}
}

func diff(want, got any) string {
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.FilterValues(func(a, b []byte) bool {
		return len(a) > 0 && len(b) > 0 // byte by byte is far too slow
	}, cmp.Comparer(bytes.Equal)))
}

func device(id string) iothub.ID         { return iothub.ID{DeviceID: id} }
func module(device, id string) iothub.ID { return iothub.ID{DeviceID: device, ModuleID: id} }

// record returns a new record with a twin that is easy to get wrong: numbers
// whose text matters, characters that JSON escapes, empty and deep objects.
func record(id iothub.ID) store.Record {
	at := time.Date(2026, 5, 17, 9, 8, 7, 654_000_000, time.UTC)
	twin := iothub.NewTwin(at)
	twin.Tags = map[string]any{"room": map[string]any{"floor": json.Number("1.0"), "empty": map[string]any{}}}
	twin.Desired.Values = map[string]any{
		"big": json.Number("12345678901234567890123"), "exp": json.Number("1E+2"), "neg": json.Number("-0"),
		"text": "<é\u2028\"\\>&", "list": []any{json.Number("1.50"), nil, true, map[string]any{"a": "b"}},
	}
	twin.Desired.Metadata.LastUpdatedVersion = 7
	twin.Desired.Metadata.Children = map[string]*iothub.Metadata{
		"big": {LastUpdated: at.Add(time.Minute), LastUpdatedVersion: 6},
	}
	twin.ModelID = "dtmi:com:example:Thermostat;1"
	thumbprint := "0123456789ABCDEF0123456789ABCDEF01234567"
	identity := iothub.Identity{
		ID: id, GenerationID: "638512345678901234", ETag: "NTIzNDU2", Status: iothub.StatusEnabled,
		StatusReason: "new <one>", StatusUpdatedTime: at,
		Authentication: iothub.Authentication{
			SymmetricKey:   iothub.SymmetricKey{PrimaryKey: "cHJpbWFyeS1wcmltYXJ5", SecondaryKey: "c2Vjb25kYXJ5LXNlY29uZGFyeQ=="},
			X509Thumbprint: iothub.X509Thumbprint{PrimaryThumbprint: &thumbprint},
			Type:           iothub.AuthSAS,
		},
		Capabilities: iothub.Capabilities{IoTEdge: true}, DeviceScope: "ms-azure-iot-edge://x-1",
		ParentScopes: []string{"ms-azure-iot-edge://y-2"},
	}
	return store.Record{Identity: identity, Twin: twin, MQTTSession: map[string]byte{"$iothub/methods/POST/#": 0, "devices/d/messages/devicebound/#": 1}}
}
