package registry

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/bolt"
)

// Values that are read alone are those of the whole record.
func TestFields(t *testing.T) {
	b, err := bolt.Open(filepath.Join(t.TempDir(), "hub.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	at := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	for i := range 3 {
		twin, err := iothub.NewTwin(at).Patch(iothub.TwinPatch{
			Tags:    map[string]any{"n": json.Number(fmt.Sprint(i)), "text": `a "b" \ <c> é`, "list": []any{"x", map[string]any{"y": json.Number("1e2")}}, "o": map[string]any{"p": true}},
			Desired: map[string]any{"a": map[string]any{"b": json.Number("-1.5")}},
		}, at.Add(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		rec := store.Record{Twin: twin, Identity: iothub.Identity{
			ID: iothub.ID{DeviceID: fmt.Sprint("d", i)}, GenerationID: "7", ETag: "MQ==", Status: iothub.StatusEnabled,
			Authentication: iothub.Authentication{Type: iothub.AuthSAS},
		}}
		if i == 1 {
			rec.Twin.ModelID, rec.Identity.StatusReason, rec.Identity.Capabilities.IoTEdge = "dtmi:a:b;1", "why", true
			thumbprint := "A1B2"
			rec.Identity.Authentication.X509Thumbprint.PrimaryThumbprint = &thumbprint
			rec.Identity.StatusUpdatedTime = at.Add(1500 * time.Millisecond)
			rec.Identity.DeviceScope, rec.Identity.ParentScopes = "scope", []string{"one", "two"}
		}
		if i == 2 {
			rec.Identity.Status, rec.Identity.ETag = "", ""
		}
		if _, err := b.Records().Put(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	// A list over all the names, as paths.
	q, err := query.NewParser().Query(`SELECT tags.n AS a, tags.text AS b, tags.list AS c, tags.list[1] AS d, tags.list[1].y AS e, tags.list[0].z AS f, tags.o AS g,
		tags.o.p AS h, tags.none.x AS i, tags.n.x AS j, tags AS k, properties.desired.a.b AS l, properties.desired.$version AS m,
		properties.desired.$metadata AS n, properties.desired.$metadata.a.b.$lastUpdated AS o, properties.desired.$metadata.a.$lastUpdatedVersion AS p,
		properties.reported.$version AS q, properties.reported.$version.x AS r, modelId AS s, version AS t, status AS u, deviceEtag AS v,
		authenticationType AS w, capabilities.iotEdge AS x, capabilities AS y, statusReason AS z, deviceScope AS a1, parentScopes AS b1, parentScopes[1] AS c1,
		parentScopes[5] AS d1, properties.desired.$metadata.none AS e1,
		etag AS f1, statusUpdateTime AS g1, x509Thumbprint AS h1, x509Thumbprint.primaryThumbprint AS i1, x509Thumbprint.secondaryThumbprint AS j1,
		status.x AS k1, status[0] AS l1, modelId.x AS m1, statusUpdateTime[1] AS n1, etag[0] AS o1 FROM devices`)
	if err != nil {
		t.Fatal(err)
	}
	var paths []*query.Path
	for _, c := range q.Columns {
		paths = append(paths, c.Path)
	}
	fields, ok := fieldsOf(paths)
	if !ok {
		t.Fatal("a name has no field")
	}
	table := newTable(b.Records(), "devices")
	rows := 0
	err = table.project(t.Context(), b.Records().(store.Projector), fields, func(id iothub.ID, row rowRevision, values []query.Value) error {
		rows++
		rec, err := b.Records().Get(t.Context(), id)
		if err != nil {
			return err
		}
		doc := query.TwinDocument{Identity: &rec.Identity, Twin: &rec.Twin}
		for i, p := range paths {
			want := doc.Stored(p)
			_, isObject := want.(map[string]any)
			if _, alike := values[i].(map[string]any); isObject && alike {
				continue // conditions see no more
			}
			if !reflect.DeepEqual(values[i], want) {
				t.Errorf("%s of %s: %#v, want %#v", p, id, values[i], want)
			}
		}
		if row != (rowRevision{7, 1}) {
			t.Errorf("%s: %+v", id, row)
		}
		return nil
	})
	if err != nil || rows != 3 {
		t.Errorf("%d rows, error %v", rows, err)
	}
}
