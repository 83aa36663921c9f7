package hub

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
)

// Pages are read while devices come, change and go: no row comes twice, rows
// are in order, and what was there all along is there.
func TestQueryPagesWhileDataChanges(t *testing.T) {
	f := newFixture(t)
	const stable = 40
	patch := func(id iothub.ID, tags map[string]any) {
		if _, err := f.PatchTwin(t.Context(), id, iothub.TwinPatch{Tags: tags}, ""); err != nil {
			t.Error(err)
		}
	}
	for i := range stable {
		patch(f.device(fmt.Sprintf("stable-%03d", i)), map[string]any{"site": "x"})
	}
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			id := iothub.ID{DeviceID: fmt.Sprintf("stable-%03d-%d", n%stable, n%3)}
			if _, err := f.CreateIdentity(t.Context(), id, iothub.IdentityRequest{}); err != nil {
				t.Error(err)
			}
			patch(id, map[string]any{"site": "x"})
			patch(iothub.ID{DeviceID: fmt.Sprintf("stable-%03d", n%stable)}, map[string]any{"n": json.Number(fmt.Sprint(n))})
			if err := f.DeleteIdentity(t.Context(), id, "*"); err != nil {
				t.Error(err)
			}
		}
	})
	for round := range 20 {
		text := []string{"SELECT deviceId FROM devices WHERE tags.site = 'x'", "SELECT deviceId FROM devices WHERE tags.site > 'w'", "SELECT deviceId FROM devices"}[round%3]
		seen, last, token := 0, "", ""
		for {
			page, err := f.Query(t.Context(), QueryRequest{Text: text, PageSize: 1 + round%5, Continuation: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range page.Items {
				var row struct{ DeviceID string }
				if err := json.Unmarshal(item, &row); err != nil {
					t.Fatal(err)
				}
				if row.DeviceID <= last {
					t.Fatalf("%s: %s after %s", text, row.DeviceID, last)
				}
				if last = row.DeviceID; len(last) == len("stable-000") {
					seen++
				}
			}
			if token = page.Continuation; token == "" {
				break
			}
		}
		if seen != stable {
			t.Errorf("%s: %d of %d rows that were there all along", text, seen, stable)
		}
	}
	close(stop)
	group.Wait()
}

// A continuation token survives a restart of the hub, and TOP counts over all pages.
func TestQueryContinuation(t *testing.T) {
	f := fleet(t)
	const text = "SELECT TOP 3 deviceId FROM devices"
	page, err := f.Query(t.Context(), QueryRequest{Text: text, PageSize: 2})
	if err != nil || len(page.Items) != 2 {
		t.Fatalf("%d rows, error %v", len(page.Items), err)
	}
	f.restart()
	page, err = f.Query(t.Context(), QueryRequest{Text: text, PageSize: 2, Continuation: page.Continuation})
	if err != nil || len(page.Items) != 1 || string(page.Items[0]) != `{"deviceId":"c"}` || page.Continuation != "" {
		t.Errorf("%s, continuation %q, error %v", page.Items, page.Continuation, err)
	}
}

// The hub's page limit holds whatever is asked for.
func TestQueryPageLimit(t *testing.T) {
	f := newFixture(t)
	for i := range MaxQueryPage + 5 {
		f.device(fmt.Sprintf("d%04d", i))
	}
	for _, size := range []int{0, 1000, MaxQueryPage} {
		page, err := f.Query(t.Context(), QueryRequest{Text: "SELECT * FROM devices", PageSize: size})
		if err != nil || len(page.Items) != MaxQueryPage || page.Continuation == "" {
			t.Errorf("size %d: %d rows, continuation %q, error %v", size, len(page.Items), page.Continuation, err)
		}
	}
}

// The rows of devices.jobs are filtered by their own members, in pages.
func TestQueryObjects(t *testing.T) {
	q, err := query.NewParser().Query("SELECT * FROM devices.jobs j WHERE j.jobId = 'a' AND devices.jobs.outcome.deviceMethodResponse.status > 200 AND STATUS != 'failed'")
	if err != nil {
		t.Fatal(err)
	}
	row := func(status float64) query.Object {
		return query.Object{"jobId": "a", "status": "completed", "outcome": map[string]any{"deviceMethodResponse": map[string]any{"status": status}}}
	}
	if !q.Where.Matches(row(404)) || q.Where.Matches(row(200)) || q.Where.Matches(query.Object{"jobId": "a"}) {
		t.Error("the condition does not select by the job's members")
	}
}
