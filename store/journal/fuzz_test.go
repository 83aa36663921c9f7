package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

// wholeRecords parses a segment naively: the records that a journal must keep.
func wholeRecords(data []byte, partitions int) []store.LogRecord {
	states, ok := decodeHeader(data, 1, partitions)
	if !ok {
		return nil
	}
	var out []store.LogRecord
	for data = data[headerSize(partitions):]; len(data) >= frameHeader; {
		r, n, ok := parseHeader(data, partitions)
		if !ok || len(data) < frameHeader+n || !whole(salt(1), data[:frameHeader+n]) {
			break
		}
		st := &states[r.Partition]
		if r.SequenceNumber < st.next || r.Offset < st.offset || r.EnqueuedTime.Before(st.lastTime) {
			break
		}
		r.Payload = data[frameHeader : frameHeader+n]
		st.advance(r)
		out = append(out, r)
		data = data[frameHeader+n:]
	}
	return out
}

func sampleSegment() []byte {
	states := []state{{last: -1}, {next: 5, offset: 700, last: 600, lastTime: time.UnixMilli(1000).UTC()}}
	data := encodeHeader(1, states)
	for i := range 6 {
		st := &states[i%2]
		r := store.LogRecord{
			Partition: i % 2, SequenceNumber: st.next, Offset: st.offset,
			EnqueuedTime: time.UnixMilli(2000 + int64(i)).UTC(), Payload: bytes.Repeat([]byte{byte(i)}, i*5),
		}
		data = appendFrame(data, salt(1), r)
		st.advance(r)
	}
	return data
}

// FuzzRecovery opens a journal whose only segment holds arbitrary bytes: it
// opens, keeps the whole records at the start, and goes on behind them. Every
// input is also tried with the header of a good segment before it. The committer
// makes coverage vary from run to run, so give -fuzzminimizetime 1x.
func FuzzRecovery(f *testing.F) {
	good := sampleSegment()
	s := &segment{number: 1}
	f.Add([]byte{})
	f.Add(good)
	f.Add(good[headerSize(2):])
	f.Add(good[:len(good)-7])
	f.Add(append(bytes.Clone(good), make([]byte, 5000)...))
	f.Add(append(bytes.Clone(good), s.encodeIndex(int64(len(good)), [][]entry{{{0, 0, time.UnixMilli(2000), headerSize(2)}}, nil})...))
	f.Add(append(bytes.Clone(good), good[headerSize(2):]...))
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, data := range [][]byte{input, append(good[:headerSize(2):headerSize(2)], input...)} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, segmentName(1)), data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "meta.json"), []byte(`{"version":1,"partitions":2}`), 0o600); err != nil {
				t.Fatal(err)
			}
			want := wholeRecords(data, 2)
			for round := range 2 {
				l, err := Open(dir, Options{Partitions: 2, Durability: store.DurabilityNone, Retention: -1, TailBytes: 1})
				if err != nil {
					t.Fatalf("open: %v", err)
				}
				for p := range 2 {
					var mine []string
					for _, r := range want {
						if r.Partition == p {
							mine = append(mine, string(r.Payload))
						}
					}
					if got := payloads(t, l, p); len(got) != len(mine)+round {
						t.Fatalf("round %d: partition %d holds %d records, want %d", round, p, len(got), len(mine)+round)
					} else {
						for i := range mine {
							if got[i] != mine[i] {
								t.Fatalf("record %d of partition %d differs", i, p)
							}
						}
					}
					if _, err := put(l, p, "next"); err != nil {
						t.Fatalf("append: %v", err)
					}
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
