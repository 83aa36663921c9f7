package admin

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConsumerGroups(t *testing.T) {
	w := newWorld(t)
	list := func(want ...ConsumerGroup) {
		t.Helper()
		var got struct{ ConsumerGroups []ConsumerGroup }
		w.decode(w.get("/consumer-groups"), 200, &got)
		if diff := cmp.Diff(want, got.ConsumerGroups); diff != "" {
			t.Error(diff)
		}
	}
	list(ConsumerGroup{"$Default"})
	var got ConsumerGroup
	for range 2 {
		if w.decode(w.call("PUT", "/consumer-groups/Dash-1", ""), 200, &got); got.Name != "Dash-1" {
			t.Error(got)
		}
	}
	if w.decode(w.get("/consumer-groups/dash-1"), 200, &got); got.Name != "Dash-1" {
		t.Error(got)
	}
	list(ConsumerGroup{"$Default"}, ConsumerGroup{"Dash-1"})
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"PUT", "/consumer-groups/a%20b", 400},
		{"GET", "/consumer-groups/none", 404},
		{"DELETE", "/consumer-groups/none", 404},
		{"DELETE", "/consumer-groups/$Default", 400},
		{"DELETE", "/consumer-groups/DASH-1", 204},
	} {
		if rec := w.call(c.method, c.path, ""); rec.Code != c.status {
			t.Errorf("%s %s: %d, want %d; %s", c.method, c.path, rec.Code, c.status, rec.Body)
		}
	}
	list(ConsumerGroup{"$Default"})
}
