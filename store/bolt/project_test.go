package bolt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// projectAll reads all pages. A row is "id revision values".
func projectAll(t *testing.T, s *Store, filter store.ListFilter, paths [][]string, limit int) []string {
	t.Helper()
	var rows []string
	resume := ""
	for {
		next, err := s.Records().(store.Projector).Project(context.Background(), filter, paths, resume, limit, func(p store.Projection) error {
			rows = append(rows, fmt.Sprintf("%s %d %s", p.ID, p.Revision, p.Values))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if next == "" {
			return rows
		}
		resume = next
	}
}

// A projection has the values that the whole record has in its JSON.
func TestProject(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "hub.db"), Options{})
	at := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	put := func(id iothub.ID, tags, reported string) {
		t.Helper()
		r := store.Record{Identity: iothub.Identity{ID: id, GenerationID: "7", Status: iothub.StatusEnabled, StatusReason: `a "quoted" \ one`}, Twin: iothub.NewTwin(at)}
		for text, section := range map[string]*map[string]any{tags: &r.Twin.Tags, reported: &r.Twin.Reported.Values} {
			v, err := iothub.DecodeObject([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			*section = v
		}
		if _, err := s.Records().Put(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	put(iothub.ID{DeviceID: "a"}, `{"site":"x","o":{"p":{"q":[1,{"r":"}"}]},"z":"\\\"}]"},"n":-1.50e3}`, `{"b":true,"<k>":"less","none":null}`)
	put(iothub.ID{DeviceID: "a", ModuleID: "m"}, `{"site":"y"}`, `{}`)
	put(iothub.ID{DeviceID: "b"}, `{}`, `{"o":[]}`)
	paths := [][]string{
		{"identity", "GenerationID"},
		{"identity", "StatusReason"},
		{"twin", "tags", "site"},
		{"twin", "tags", "o"},
		{"twin", "tags", "o", "p", "q"},
		{"twin", "tags", "o", "z"},
		{"twin", "tags", "n"},
		{"twin", "reported", "values", "<k>"},
		{"twin", "reported", "values", "none"},
		{"twin", "reported", "version"},
		{"twin", "tags", "site", "deeper"},
		{"twin", "tags", "site"},
	}
	// The same, the long way round.
	whole := func(filter store.ListFilter) []string {
		records, _, err := s.Records().List(context.Background(), filter, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		var rows []string
		for _, r := range records {
			encoded, err := encodeRecord(r)
			if err != nil {
				t.Fatal(err)
			}
			body := encoded[recordHeader:]
			values := make([][]byte, len(paths))
			for i, path := range paths {
				at := json.RawMessage(body)
				for _, name := range path {
					var members map[string]json.RawMessage
					if json.Unmarshal(at, &members) != nil {
						at = nil
						break
					}
					at = members[name]
				}
				values[i] = at
			}
			rows = append(rows, fmt.Sprintf("%s %d %s", r.Identity.ID, r.Revision, values))
		}
		return rows
	}
	for _, filter := range []store.ListFilter{{}, {Kind: "devices"}, {Kind: "modules"}, {DeviceID: "a"}, {Kind: "modules", DeviceID: "a"}, {DeviceID: "none"}} {
		want := whole(filter)
		for _, limit := range []int{1, 2, 100} {
			if diff := cmp.Diff(want, projectAll(t, s, filter, paths, limit)); diff != "" {
				t.Errorf("%+v, pages of %d: %s", filter, limit, diff)
			}
		}
	}
	if rows := projectAll(t, s, store.ListFilter{Kind: "devices"}, nil, 1); len(rows) != 2 {
		t.Errorf("without paths: %q", rows)
	}
	stop := errors.New("stop")
	_, err := s.Records().(store.Projector).Project(context.Background(), store.ListFilter{}, paths, "", 10, func(store.Projection) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = s.Records().(store.Projector).Project(context.Background(), store.ListFilter{}, paths, "", 10, func(store.Projection) error { return nil })
	if !errors.Is(err, store.ErrClosed) {
		t.Errorf("after closing: %v", err)
	}
}

// FuzzProjector walks over damaged documents: it may fail, never panic.
func FuzzProjector(f *testing.F) {
	f.Add([]byte(`{"identity":{"ID":{}},"twin":{"tags":{"a":[1,"}"],"b":"\\\""}}}`))
	f.Add([]byte(`{"twin":{"tags":{"a"`))
	f.Add([]byte(`{"twin":{"tags":{"\u0061":1}},"x":[[}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		want := &member{}
		want.add([]string{"twin", "tags", "a"}, 0)
		want.add([]string{"twin", "tags"}, 1)
		p := projector{text: text, values: make([][]byte, 2), left: 2}
		err := p.object(want)
		var doc struct {
			Twin struct{ Tags map[string]json.RawMessage }
		}
		compact, _ := json.Marshal(json.RawMessage(text))
		if json.Unmarshal(text, &doc) == nil && string(compact) == string(text) && err != nil {
			t.Errorf("%s: %v", text, err)
		}
	})
}
