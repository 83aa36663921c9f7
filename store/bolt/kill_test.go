package bolt

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

const childPath = "HUBNERITE_BOLT_TEST_PATH"

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		child(path, store.Durability(os.Getenv(childPath+"_MODE")))
		return
	}
	os.Exit(m.Run())
}

// child updates one device per goroutine and appends to its queue until it is
// killed, and prints device, revision and number of what was acknowledged.
func child(path string, mode store.Durability) {
	s, err := Open(path, Options{Durability: mode})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	var mu sync.Mutex
	for d := range 4 {
		go func() {
			ctx := context.Background()
			id := iothub.ID{DeviceID: fmt.Sprint("d", d)}
			for {
				r, err := s.Records().Get(ctx, id)
				if err != nil {
					r = newRecord(id.DeviceID)
				}
				r.Identity.StatusReason = fmt.Sprint(r.Revision + 1)
				revision, err := s.Records().Put(ctx, r)
				if err != nil {
					fmt.Println("error:", err)
				}
				n, err := s.Queues().Append(ctx, id.String(), fmt.Append(nil, revision))
				if err != nil {
					fmt.Println("error:", err)
				}
				mu.Lock()
				fmt.Println(d, revision, n)
				mu.Unlock()
			}
		}()
	}
	select {}
}

// TestKill kills a process that writes, several times on the same file: every
// acknowledged write is there, and each entry once.
func TestKill(t *testing.T) {
	for _, mode := range []store.Durability{store.DurabilityOS, store.DurabilityFsync} {
		t.Run(string(mode), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "hub.db")
			var acknowledged [4]map[uint64]bool
			for d := range acknowledged {
				acknowledged[d] = map[uint64]bool{}
			}
			for round := range 5 {
				limit := 60 + round*37
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), childPath+"="+path, childPath+"_MODE="+string(mode))
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				lines := bufio.NewScanner(out)
				for n := 0; lines.Scan(); n++ {
					if n == limit {
						if err := cmd.Process.Kill(); err != nil {
							t.Fatal(err)
						}
					}
					fields := strings.Fields(lines.Text())
					if len(fields) != 3 || fields[0] == "error:" {
						if n > limit {
							break // the last line may be half written
						}
						t.Fatalf("child: %s", lines.Text())
					}
					d, err1 := strconv.Atoi(fields[0])
					revision, err2 := strconv.ParseUint(fields[1], 10, 64)
					if err1 != nil || err2 != nil {
						t.Fatalf("child: %s", lines.Text())
					}
					acknowledged[d][revision] = true
				}
				_ = cmd.Wait()
				compareKilled(t, path, acknowledged[:])
			}
		})
	}
}

func compareKilled(t *testing.T, path string, acknowledged []map[uint64]bool) {
	t.Helper()
	s := mustOpen(t, path, Options{})
	defer func() { _ = s.Close() }()
	ctx := context.Background()
	for d := range acknowledged {
		if len(acknowledged[d]) == 0 {
			continue
		}
		id := iothub.ID{DeviceID: fmt.Sprint("d", d)}
		r, err := s.Records().Get(ctx, id)
		if err != nil || r.Identity.StatusReason != fmt.Sprint(r.Revision) {
			t.Fatalf("%s: revision %d (%s), %v", id, r.Revision, r.Identity.StatusReason, err)
		}
		entries, err := s.Queues().Load(ctx, id.String())
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for i, e := range entries {
			if e.Number != uint64(i+1) || seen[string(e.Payload)] {
				t.Fatalf("%s: entry %d has number %d and payload %s", id, i, e.Number, e.Payload)
			}
			seen[string(e.Payload)] = true
		}
		for revision := range acknowledged[d] {
			if revision > r.Revision || !seen[fmt.Sprint(revision)] {
				t.Errorf("%s: write %d was acknowledged and is lost", id, revision)
			}
		}
	}
}
