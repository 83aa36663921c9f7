package journal

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

const childDir = "HUBNERITE_JOURNAL_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir, store.Durability(os.Getenv(childDir+"_MODE")))
		return
	}
	os.Exit(m.Run())
}

func killOptions(mode store.Durability) Options {
	return Options{Partitions: 4, Durability: mode, SegmentBytes: 128 << 10, Retention: -1}
}

// child appends until it is killed, and prints partition and number of each
// record once it is acknowledged. The payload says the same.
func child(dir string, mode store.Durability) {
	l, err := Open(dir, killOptions(mode))
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	var mu sync.Mutex
	out := bufio.NewWriter(os.Stdout)
	for p := range 4 {
		info, err := l.Info(p)
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		go func() {
			if p%2 == 1 && info.Next%7 != 0 {
				l.Hold()
			}
			for n := info.Next; ; n++ {
				// Half of the senders announce their records, and so write them themselves.
				if p%2 == 1 && n%7 == 0 {
					l.Hold()
				}
				payload := make([]byte, 16+n%300)
				binary.LittleEndian.PutUint64(payload, uint64(p))
				binary.LittleEndian.PutUint64(payload[8:], uint64(n))
				l.Append(context.Background(), p, time.Now(), payload, func(r store.LogRecord, err error) {
					mu.Lock()
					defer mu.Unlock()
					if err != nil || r.SequenceNumber != n {
						_, _ = fmt.Fprintln(out, "error:", r.SequenceNumber, n, err)
					}
					_, _ = fmt.Fprintln(out, p, r.SequenceNumber)
					_ = out.Flush()
				})
				if p%2 == 1 && n%7 == 6 {
					l.Release()
				}
			}
		}()
	}
	select {}
}

// TestKill kills a process that appends, several times on the same journal:
// every acknowledged record is there, in order and once.
func TestKill(t *testing.T) {
	for _, mode := range []store.Durability{store.DurabilityOS, store.DurabilityFsync} {
		t.Run(string(mode), func(t *testing.T) {
			dir := t.TempDir()
			var acknowledged [4]int64
			for round := range 5 {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), childDir+"="+dir, childDir+"_MODE="+string(mode))
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				lines := bufio.NewScanner(out)
				for n := 0; lines.Scan(); n++ {
					if n == 300+round*397 {
						if err := cmd.Process.Kill(); err != nil {
							t.Fatal(err)
						}
					}
					first, second, _ := strings.Cut(lines.Text(), " ")
					p, err1 := strconv.Atoi(first)
					number, err2 := strconv.ParseInt(second, 10, 64)
					if err1 != nil || err2 != nil || p < 0 || p > 3 {
						if n > 300+round*397 {
							break // the last line may be half written
						}
						t.Fatalf("child: %s", lines.Text())
					}
					acknowledged[p] = max(acknowledged[p], number+1)
				}
				_ = cmd.Wait()
				l, err := Open(dir, killOptions(mode))
				if err != nil {
					t.Fatal(err)
				}
				for p := range 4 {
					all := payloads(t, l, p)
					if int64(len(all)) < acknowledged[p] {
						t.Errorf("round %d: partition %d holds %d records, %d were acknowledged", round, p, len(all), acknowledged[p])
					}
					for n, payload := range all {
						b := []byte(payload)
						if binary.LittleEndian.Uint64(b) != uint64(p) || binary.LittleEndian.Uint64(b[8:]) != uint64(n) || len(b) != 16+n%300 {
							t.Fatalf("round %d: partition %d, record %d holds something else", round, p, n)
						}
					}
					acknowledged[p] = int64(len(all))
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
