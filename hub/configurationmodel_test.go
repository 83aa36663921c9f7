package hub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// configurationModel recomputes naively: desired properties are a flat map of
// paths, and a configuration is a list of them.
type configurationModel struct {
	devices        map[string]*modelDevice
	configurations map[string]*modelConfiguration
	made           int
}

type modelDevice struct {
	site    string
	desired map[string]int
	// by are the configurations that were applied, as they were made.
	by map[string]int
}

type modelConfiguration struct {
	site            string // "" is all
	priority, order int
	paths           map[string]int
}

func (c *modelConfiguration) matches(d *modelDevice) bool { return c.site == "" || c.site == d.site }

// recompute brings every device up to date.
func (m *configurationModel) recompute() {
	for _, d := range m.devices {
		matching := map[string]int{}
		var list []*modelConfiguration
		for id, c := range m.configurations {
			if c.matches(d) {
				matching[id] = c.order
				list = append(list, c)
			}
		}
		for id, order := range d.by {
			c := m.configurations[id]
			if _, stays := matching[id]; !stays && c != nil && c.order == order {
				for path := range c.paths {
					delete(d.desired, path)
				}
			}
		}
		slices.SortFunc(list, func(a, b *modelConfiguration) int {
			if a.priority != b.priority {
				return a.priority - b.priority
			}
			return a.order - b.order
		})
		for _, c := range list {
			maps.Copy(d.desired, c.paths)
		}
		d.by = matching
	}
}

func flatten(prefix string, v map[string]any, into map[string]int) {
	for name, member := range v {
		if object, ok := member.(map[string]any); ok {
			flatten(prefix+name+".", object, into)
			continue
		}
		n := 0
		_, _ = fmt.Sscan(fmt.Sprint(member), &n)
		into[prefix+name] = n
	}
}

// Random configurations, twins and restarts, against the naive recomputation.
func TestConfigurationsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := newMovableClock()
		f := startFixture(t, func(o *Options) { o.Now = clock.now })
		defer func() { _ = f.Close() }()
		m := &configurationModel{devices: map[string]*modelDevice{}, configurations: map[string]*modelConfiguration{}}
		ctx := context.Background()
		name := rapid.SampledFrom([]string{"a", "b", "c"})
		site := rapid.SampledFrom([]string{"n", "s", "w"})
		id := rapid.SampledFrom([]string{"k", "l", "m", "o"})
		condition := func(s string) string {
			if s == "" {
				return "*"
			}
			return fmt.Sprintf("tags.site = '%s'", s)
		}
		put := func(id string, c *modelConfiguration, ifMatch string) {
			body := fmt.Sprintf(`{"targetCondition":%q,"priority":%d,"content":{"deviceContent":{`, condition(c.site), c.priority)
			comma := ""
			for path, v := range c.paths {
				body += fmt.Sprintf(`%s"properties.desired.%s":%d`, comma, path, v)
				comma = ","
			}
			if _, err := f.PutConfiguration(ctx, id, []byte(body+"}}}"), ifMatch); err != nil {
				t.Fatalf("put %s: %v", id, err)
			}
		}
		tag := func(device, s string) {
			if _, err := f.PatchTwin(ctx, iothub.ID{DeviceID: device}, iothub.TwinPatch{Tags: map[string]any{"site": s}}, ""); err != nil {
				t.Fatalf("tag: %v", err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"tag": func(t *rapid.T) {
				device, s := name.Draw(t, "device"), site.Draw(t, "site")
				if m.devices[device] == nil {
					f.device(device)
					m.devices[device] = &modelDevice{desired: map[string]int{}, by: map[string]int{}}
					f.settle()
					m.recompute() // before it has a tag
				}
				tag(device, s)
				m.devices[device].site = s
			},
			"delete device": func(t *rapid.T) {
				device := name.Draw(t, "device")
				if m.devices[device] == nil {
					t.Skip("there is none")
				}
				if err := f.DeleteIdentity(ctx, iothub.ID{DeviceID: device}, "*"); err != nil {
					t.Fatalf("delete: %v", err)
				}
				delete(m.devices, device)
			},
			"write desired": func(t *rapid.T) {
				device, v := name.Draw(t, "device"), rapid.IntRange(100, 200).Draw(t, "value")
				if m.devices[device] == nil {
					t.Skip("there is none")
				}
				patch := iothub.TwinPatch{Desired: map[string]any{"x": v, "free": v}}
				if _, err := f.PatchTwin(ctx, iothub.ID{DeviceID: device}, patch, ""); err != nil {
					t.Fatalf("patch: %v", err)
				}
				m.devices[device].desired["x"], m.devices[device].desired["free"] = v, v
			},
			"put": func(t *rapid.T) {
				clock.advance(1)
				name := id.Draw(t, "id")
				c, ifMatch := m.configurations[name], "*"
				if c == nil {
					m.made++
					c, ifMatch = &modelConfiguration{order: m.made, paths: map[string]int{}}, ""
					for _, path := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"x", "y", "o.p", "o.q"}), 1, 3, rapid.ID).Draw(t, "paths") {
						c.paths[path] = rapid.IntRange(1, 9).Draw(t, "value")
					}
				}
				c.priority = rapid.IntRange(0, 2).Draw(t, "priority")
				c.site = rapid.SampledFrom([]string{"", "n", "s"}).Draw(t, "target")
				put(name, c, ifMatch)
				m.configurations[name] = c
			},
			"delete": func(t *rapid.T) {
				name := id.Draw(t, "id")
				if m.configurations[name] == nil {
					t.Skip("there is none")
				}
				if err := f.DeleteConfiguration(ctx, name, ""); err != nil {
					t.Fatalf("delete: %v", err)
				}
				delete(m.configurations, name)
			},
			"restart": func(*rapid.T) { f.restart() },
			"": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
					f.restart() // in the middle of the work
				}
				f.settle()
				m.recompute()
				for device, want := range m.devices {
					got := map[string]int{}
					twin := f.twin(device)
					flatten("", twin.Twin.Desired.Values, got)
					if !maps.Equal(got, want.desired) {
						t.Fatalf("%s has %v, want %v", device, got, want.desired)
					}
					if len(twin.Connection.Configurations) != len(want.by) {
						t.Fatalf("%s has %v, want %v", device, twin.Connection.Configurations, want.by)
					}
				}
				for id, c := range m.configurations {
					n := 0
					for _, d := range m.devices {
						if c.matches(d) {
							n++
						}
					}
					if r, err := f.GetConfiguration(ctx, id); err != nil || r.System[iothub.MetricTargeted] != n {
						t.Fatalf("%s targets %v, %v; want %d", id, r.System, err, n)
					}
				}
			},
		})
	})
}

// faultyDocuments refuse writes while broken.
type faultyDocuments struct {
	store.Documents
	broken atomic.Bool
}

func (d *faultyDocuments) PutDocument(ctx context.Context, collection string, doc store.Document) (uint64, error) {
	if d.broken.Load() {
		return 0, errors.New("no space left")
	}
	return d.Documents.PutDocument(ctx, collection, doc)
}

// What could not be stored is tried again by Sweep.
func TestConfigurationsOnABrokenStore(t *testing.T) {
	f := newFixture(t)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	documents := &faultyDocuments{Documents: f.options.Documents}
	f.options.Documents = documents
	f.start()
	f.configuration("fw", "tags.site='n'", 1, `{"deviceContent":{"properties.desired.a":1}}`, "")
	f.settle()
	documents.broken.Store(true)
	if _, err := f.PutConfiguration(t.Context(), "more", []byte(`{"content":{"deviceContent":{}}}`), ""); err == nil {
		t.Error("a configuration that is not stored is accepted")
	}
	if _, err := f.schedule("j", northPatch); err == nil {
		t.Error("a job that is not stored is accepted")
	}
	f.tagged("n", "a")
	f.wantDesired("a", `{}`, `null`)
	f.Sweep(f.now())
	f.wantDesired("a", `{}`, `null`)
	documents.broken.Store(false)
	f.Sweep(f.now())
	f.wantDesired("a", `{"a":1}`, `{"fw":{"status":"Applied"}}`)
}
