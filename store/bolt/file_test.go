package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

func mustOpen(t testing.TB, path string, o Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newRecord(id string) store.Record {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return store.Record{
		Identity: iothub.Identity{ID: iothub.ID{DeviceID: id}, Status: iothub.StatusEnabled, StatusUpdatedTime: at},
		Twin:     iothub.NewTwin(at),
	}
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	s := mustOpen(t, path, Options{})
	if _, err := Open(path, Options{LockTimeout: time.Millisecond}); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, path, Options{LockTimeout: time.Millisecond})
}

func TestUnreadableFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	s := mustOpen(t, path, Options{})
	err := s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(keySchema), binary.BigEndian.AppendUint64(nil, schemaVersion+1))
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("newer schema: %v", err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("not a database. "), 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); err == nil {
		t.Error("garbage was opened")
	}
	if _, err := Open(filepath.Join(t.TempDir(), "no", "folder"), Options{}); err == nil {
		t.Error("a missing folder was opened")
	}
}

// TestCountsAreRebuilt removes the counts, as a file without them would lack.
func TestCountsAreRebuilt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	s := mustOpen(t, path, Options{})
	for i := range 5 {
		r := newRecord(fmt.Sprint("d", i))
		if i < 2 {
			r.Identity.Status = iothub.StatusDisabled
		}
		if _, err := s.Records().Put(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	m := newRecord("d0")
	m.Identity.ID.ModuleID = "m"
	if _, err := s.Records().Put(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketMeta)).Delete([]byte(keyCounts)) })
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := mustOpen(t, path, Options{}).Records().Count(context.Background())
	if want := (store.Counts{Devices: 5, DisabledDevices: 2, Modules: 1}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestOneBadWrite commits writes of which one cannot be stored: the others are.
func TestOneBadWrite(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "hub.db"), Options{})
	ctx := context.Background()
	if _, err := s.Records().Put(ctx, newRecord("d")); err != nil {
		t.Fatal(err)
	}
	bad := errors.New("cannot be stored")
	first, release := make(chan struct{}), make(chan struct{})
	s.writeAsync(0, func(*batch) error { close(first); <-release; return nil }, func(error) {})
	<-first // what comes now gathers for one transaction
	var group sync.WaitGroup
	for i := range 5 {
		group.Add(1)
		name := fmt.Sprint("/", i)
		s.writeAsync(0, func(b *batch) error {
			if _, err := b.append(name, []byte("x")); err != nil {
				return err
			}
			if i == 2 {
				return bad
			}
			return nil
		}, func(err error) {
			if (i == 2) != errors.Is(err, bad) {
				t.Errorf("write %d: %v", i, err)
			}
			group.Done()
		})
	}
	close(release)
	group.Wait()
	for i := range 5 {
		entries, err := s.Queues().Load(ctx, fmt.Sprint("/", i))
		if err != nil || len(entries) == 1 == (i == 2) {
			t.Errorf("queue %d: %d entries, %v", i, len(entries), err)
		}
	}
	r := newRecord("e")
	r.Twin.Tags = map[string]any{"n": json.Number("nonsense")}
	if _, err := s.Records().Put(ctx, r); err == nil {
		t.Error("a record that has no JSON was stored")
	}
}

// TestCompaction opens a file that is mostly empty and keeps what is in it.
func TestCompaction(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	s := mustOpen(t, path, Options{})
	ctx := context.Background()
	if _, err := s.Records().Put(ctx, newRecord("d")); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := s.Queues().Append(ctx, "d", make([]byte, 30<<10)); err != nil {
			t.Fatal(err)
		}
	}
	numbers := make([]uint64, 98)
	for i := range numbers {
		numbers[i] = uint64(i + 1)
	}
	if err := errors.Join(s.Queues().Remove(ctx, "d", numbers...), s.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, path, Options{CompactBytes: 1 << 20})
	after, err := os.Stat(path)
	if err != nil || after.Size() > before.Size()/4 {
		t.Errorf("%d bytes, were %d, %v", after.Size(), before.Size(), err)
	}
	if _, err := os.Stat(path + ".compact"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file is left: %v", err)
	}
	if _, err := Open(path, Options{LockTimeout: time.Millisecond}); !errors.Is(err, ErrLocked) {
		t.Errorf("the new file is not locked: %v", err)
	}
	if _, err := s.Records().Get(ctx, iothub.ID{DeviceID: "d"}); err != nil {
		t.Error(err)
	}
	if n, err := s.Queues().Append(ctx, "d", nil); err != nil || n != 101 {
		t.Errorf("number %d after compaction, %v", n, err)
	}
}

// fill stores n devices.
func fill(t testing.TB, s *Store, n int) {
	t.Helper()
	var group sync.WaitGroup
	for i := range n {
		group.Add(1)
		r := newRecord(fmt.Sprintf("device-%07d", i))
		r.Revision = 1
		value, err := encodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		key := recordKey(r.Identity.ID)
		s.writeAsync(len(value), func(b *batch) error {
			count(&b.counts, key, value, 1)
			return b.records.Put(key, value)
		}, func(err error) {
			if err != nil {
				t.Error(err)
			}
			group.Done()
		})
	}
	group.Wait()
}

// TestOpenReadsNoRecords damages every record: opening does not notice.
func TestOpenReadsNoRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	s := mustOpen(t, path, Options{})
	fill(t, s, 100)
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucketRecords))
		for i := range 100 {
			if err := b.Put(recordKey(iothub.ID{DeviceID: fmt.Sprintf("device-%07d", i)}), []byte("x")); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, path, Options{})
	if c, err := s.Records().Count(context.Background()); err != nil || c.Devices != 100 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := s.Records().Get(context.Background(), iothub.ID{DeviceID: "device-0000007"}); err == nil {
		t.Error("a damaged record was read")
	}
}
