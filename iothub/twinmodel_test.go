package iothub

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// naiveSection is a section of a twin as a list of paths: what stands at each, and
// when it was written. It knows no trees, unlike the code under test.
type naiveSection struct {
	version int64
	nodes   map[string]naiveNode
}

// naiveNode is a value that is no object, or, with a nil value, an object.
type naiveNode struct {
	value   any
	at      string
	version int64
}

func newNaiveSection(at time.Time) *naiveSection {
	return &naiveSection{version: 1, nodes: map[string]naiveNode{"": {at: FormatTime(at)}}}
}

// remove forgets a path and everything below it.
func (s *naiveSection) remove(path string) {
	for p := range s.nodes {
		if p == path || strings.HasPrefix(p, path+"/") {
			delete(s.nodes, p)
		}
	}
}

// write applies a patch at a path; stamped says whether nodes get the version.
func (s *naiveSection) write(path string, patch map[string]any, at time.Time, stamped bool) {
	stamp := func(value any) naiveNode {
		n := naiveNode{value: value, at: FormatTime(at)}
		if stamped {
			n.version = s.version
		}
		return n
	}
	s.nodes[path] = stamp(nil)
	for name, value := range patch {
		below := path + "/" + name
		switch value := value.(type) {
		case nil:
			s.remove(below)
		case map[string]any:
			s.write(below, value, at, stamped)
		default:
			s.remove(below)
			s.nodes[below] = stamp(value)
		}
	}
}

// flatten is the way back: from a section as the service sends it to paths.
func flatten(t *rapid.T, section map[string]any) *naiveSection {
	s := &naiveSection{nodes: map[string]naiveNode{}}
	version, err := section["$version"].(json.Number).Int64()
	if err != nil {
		t.Fatalf("$version: %v", err)
	}
	s.version = version
	metadata := section["$metadata"].(map[string]any)
	delete(section, "$version")
	delete(section, "$metadata")
	s.flatten(t, "", section, metadata)
	return s
}

func (s *naiveSection) flatten(t *rapid.T, path string, value any, metadata map[string]any) {
	n := naiveNode{at: metadata["$lastUpdated"].(string)}
	if v, ok := metadata["$lastUpdatedVersion"].(json.Number); ok {
		n.version, _ = v.Int64()
	}
	delete(metadata, "$lastUpdated")
	delete(metadata, "$lastUpdatedVersion")
	object, isObject := value.(map[string]any)
	if !isObject {
		n.value = value
	}
	s.nodes[path] = n
	if len(metadata) != len(object) {
		t.Fatalf("at %q there are %d members and metadata of %d", path, len(object), len(metadata))
	}
	for name, below := range object {
		m, ok := metadata[name].(map[string]any)
		if !ok {
			t.Fatalf("no metadata of %s/%s", path, name)
		}
		s.flatten(t, path+"/"+name, below, m)
	}
}

// Random patches, replacements and reports, good and bad, against the naive
// sections: values, times and versions of every node as a back end reads them.
func TestTwinModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tw := NewTwin(twinTestTime)
		tags, desired, reported := newNaiveSection(twinTestTime), newNaiveSection(twinTestTime), newNaiveSection(twinTestTime)
		etag, version := uint64(1), int64(2)
		patches := genObject(3, true)
		for i := range rapid.IntRange(1, 12).Draw(t, "writes") {
			now := twinTestTime.Add(time.Duration(i+1) * time.Second)
			var p TwinPatch
			if rapid.Bool().Draw(t, "tags") {
				p.Tags = patches.Draw(t, "tag patch")
			}
			if rapid.Bool().Draw(t, "desired") {
				p.Desired = patches.Draw(t, "desired patch")
			}
			var next Twin
			var err error
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0, 1: // a patch
				if next, err = tw.Patch(p, now); err != nil {
					t.Fatal(err)
				}
				if p.Tags != nil {
					tags.write("", p.Tags, now, false)
				}
				if p.Desired != nil {
					desired.version++
					desired.write("", p.Desired, now, true)
				}
				etag, version = etag+1, version+1
			case 2: // a replacement
				if next, err = tw.Replace(p, now); err != nil {
					t.Fatal(err)
				}
				desired.version++
				tags.remove("")
				desired.remove("")
				tags.write("", p.Tags, now, false)
				desired.write("", p.Desired, now, true)
				etag, version = etag+1, version+1
			case 3, 4: // a report
				patch := patches.Draw(t, "report")
				if next, err = tw.Report(patch, now); err != nil {
					t.Fatal(err)
				}
				reported.version++
				reported.write("", patch, now, false)
			default: // something that is refused as a whole
				bad := patches.Draw(t, "bad patch")
				bad["a.b"] = true
				for _, write := range []func() (Twin, error){
					func() (Twin, error) { return tw.Patch(TwinPatch{Tags: p.Tags, Desired: bad}, now) },
					func() (Twin, error) { return tw.Replace(TwinPatch{Tags: bad, Desired: p.Desired}, now) },
					func() (Twin, error) { return tw.Report(bad, now) },
				} {
					if _, err := write(); ErrorCode(err) != CodeArgumentInvalid {
						t.Fatalf("a bad name: %v", err)
					}
				}
				next = tw
			}
			tw = next
			// Through the store and back, and as a back end reads it.
			stored, err := json.Marshal(tw)
			if err != nil {
				t.Fatal(err)
			}
			var restored Twin
			if err := json.Unmarshal(stored, &restored); err != nil {
				t.Fatal(err)
			}
			for name, twin := range map[string]Twin{"as written": tw, "as restored": restored} {
				text, err := MarshalTwin(Identity{}, twin, ConnectionInfo{})
				if err != nil {
					t.Fatal(err)
				}
				doc, err := DecodeObject(text)
				if err != nil {
					t.Fatal(err)
				}
				properties := doc["properties"].(map[string]any)
				opt := cmp.AllowUnexported(naiveSection{}, naiveNode{})
				if diff := cmp.Diff(desired, flatten(t, properties["desired"].(map[string]any)), opt); diff != "" {
					t.Fatalf("desired %s: %s", name, diff)
				}
				if diff := cmp.Diff(reported, flatten(t, properties["reported"].(map[string]any)), opt); diff != "" {
					t.Fatalf("reported %s: %s", name, diff)
				}
				if diff := cmp.Diff(tags.values(), doc["tags"]); diff != "" {
					t.Fatalf("tags %s: %s", name, diff)
				}
				if twin.ETag != etag || fmt.Sprint(doc["version"]) != fmt.Sprint(version) || doc["etag"] != twin.ETagText() {
					t.Fatalf("%s: etag %d, version %v, want %d and %d", name, twin.ETag, doc["version"], etag, version)
				}
			}
		}
	})
}

// values returns the paths as a tree again.
func (s *naiveSection) values() map[string]any {
	root := map[string]any{}
	for path, n := range s.nodes {
		if path == "" {
			continue
		}
		names := strings.Split(path[1:], "/")
		at := root
		for _, name := range names[:len(names)-1] {
			if at[name] == nil {
				at[name] = map[string]any{}
			}
			at = at[name].(map[string]any)
		}
		last := names[len(names)-1]
		switch {
		case n.value != nil:
			at[last] = n.value
		case at[last] == nil:
			at[last] = map[string]any{}
		}
	}
	return root
}
