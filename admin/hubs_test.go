package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/hub"
)

// host keeps a list of what it was asked for.
type host struct {
	asked []string
}

func (h *host) ask(s string) error {
	h.asked = append(h.asked, s)
	if strings.Contains(s, "none") {
		return &Refusal{http.StatusNotFound, "There is no such thing."}
	}
	return nil
}

func (h *host) Hubs() []HubInfo {
	return []HubInfo{{Name: "hub1", Default: true, HostNames: []string{"localhost"}}}
}

func (h *host) HubInfo(name string) (HubInfo, error) {
	return HubInfo{Name: name, HostNames: []string{name}}, h.ask("info " + name)
}

func (h *host) CreateHub(_ context.Context, r HubRequest) (HubInfo, error) {
	return HubInfo{Name: r.Name, HostNames: r.HostNames}, h.ask("create " + r.Name + " " + strings.Join(r.HostNames, ",") + r.PolicyKeys["service"])
}

func (h *host) DeleteHub(_ context.Context, name string) error { return h.ask("delete " + name) }

func (h *host) Reset(_ context.Context, hub string, seed bool) error {
	if seed {
		hub += " seeded"
	}
	return h.ask("reset " + hub)
}

func (h *host) Snapshot(_ context.Context, name, hub string) (SnapshotInfo, error) {
	return SnapshotInfo{Name: name, Hubs: []string{hub}}, h.ask("snapshot " + name + " of " + hub)
}

func (h *host) Snapshots() []SnapshotInfo { return []SnapshotInfo{{Name: "s", Hubs: []string{"hub1"}}} }

func (h *host) SnapshotInfo(name string) (SnapshotInfo, error) {
	return SnapshotInfo{Name: name, Hubs: []string{"hub1"}}, h.ask("describe " + name)
}

func (h *host) DeleteSnapshot(name string) error { return h.ask("forget " + name) }

func (h *host) Restore(_ context.Context, name, hub string) error {
	return h.ask("restore " + name + " of " + hub)
}

func (w *world) do(method, target, body string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, target, strings.NewReader(body))
	r.Host = "localhost:8484"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

// each sends requests and compares what the host was asked for.
func (h *host) each(w *world, list [][5]string) {
	w.t.Helper()
	for _, c := range list {
		h.asked = nil
		rec := w.do(c[0], c[1], c[2])
		if got := strings.Join(h.asked, "; "); http.StatusText(rec.Code) != c[3] || got != c[4] {
			w.t.Errorf("%s %s: %d %q, want %s %q; %s", c[0], c[1], rec.Code, got, c[3], c[4], rec.Body)
		}
	}
}

func TestHubs(t *testing.T) {
	h := new(host)
	w := newWorld(t, func(o *Options) { o.Hosting = h })
	h.each(w, [][5]string{
		{"GET", "/hubs", "", "OK", ""},
		{"GET", "/hubs/x", "", "OK", "info x"},
		{"GET", "/hubs/none", "", "Not Found", "info none"},
		{"POST", "/hubs", `{"name":"x","hostNames":["a","b"],"policyKeys":{"service":"k"}}`, "Created", "create x a,bk"},
		{"POST", "/hubs", `{}`, "Unprocessable Entity", ""},
		{"POST", "/hubs", `{"name":"x","misspelt":1}`, "Unprocessable Entity", ""},
		{"DELETE", "/hubs/x", "", "No Content", "delete x"},
		{"DELETE", "/hubs/none", "", "Not Found", "delete none"},
		// Other requests are about one hub.
		{"GET", "/consumer-groups?hub=hub1", "", "OK", ""},
		{"GET", "/consumer-groups?hub=other", "", "Not Found", ""},
		{"GET", "/messages/live?hub=other", "", "Not Found", ""},
		{"GET", "/info?hub=other", "", "Not Found", ""},
	})
}

func TestHealthNamesHubs(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Hosting = new(host) })
	var health Health
	w.decode(w.get("/health"), http.StatusOK, &health)
	if strings.Join(health.Hubs, " ") != "hub1" {
		t.Errorf("%+v", health)
	}
}

// A request goes to the hub that it names.
func TestHubParameter(t *testing.T) {
	other := newWorld(t)
	var first func(string) (*hub.Hub, bool)
	w := newWorld(t, func(o *Options) {
		first = o.Hub
		o.Hub = func(name string) (*hub.Hub, bool) {
			if name == "other" {
				return other.hub, true
			}
			return first(name)
		}
	})
	if rec := w.do("PUT", "/consumer-groups/theirs?hub=other", ""); rec.Code != http.StatusOK {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if got := strings.Join(other.hub.ConsumerGroups(), " "); got != "$Default theirs" {
		t.Errorf("the other hub has %q", got)
	}
	if got := strings.Join(w.hub.ConsumerGroups(), " "); got != "$Default" {
		t.Errorf("the default hub has %q", got)
	}
}

func TestResetAndSnapshots(t *testing.T) {
	h := new(host)
	w := newWorld(t, func(o *Options) { o.Keeping = h })
	h.each(w, [][5]string{
		{"POST", "/reset", "", "No Content", "reset "},
		{"POST", "/reset?seed=true", "", "No Content", "reset  seeded"},
		{"POST", "/reset?hub=*", "", "No Content", "reset *"},
		{"POST", "/reset?hub=none", "", "Not Found", "reset none"},
		{"POST", "/reset?seed=perhaps", "", "Unprocessable Entity", ""},
		{"POST", "/hubs/x/reset?seed=true", "", "No Content", "reset x seeded"},
		{"GET", "/snapshots", "", "OK", ""},
		{"GET", "/snapshots/s", "", "OK", "describe s"},
		{"GET", "/snapshots/none", "", "Not Found", "describe none"},
		{"PUT", "/snapshots/s", "", "OK", "snapshot s of *"},
		{"PUT", "/snapshots/s?hub=x", "", "OK", "snapshot s of x"},
		{"POST", "/snapshots/s/restore", "", "No Content", "restore s of *"},
		{"POST", "/snapshots/s/restore?hub=x", "", "No Content", "restore s of x"},
		{"POST", "/snapshots/none/restore", "", "Not Found", "restore none of *"},
		{"DELETE", "/snapshots/s", "", "No Content", "forget s"},
		{"DELETE", "/snapshots/none", "", "Not Found", "forget none"},
	})
}
