package hub

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/iothub"
)

// registered is what the naive registry knows of an identity.
type registered struct {
	disabled bool
	reason   string
	by       string // who manages a module
	edge     bool
	scope    string
	parents  []string
	tags     map[string]any
	// etag and twinETag are as the hub says; they must move exactly when they should.
	etag, twinETag string
}

// naiveRegistry is the truth that random operations are compared with.
type naiveRegistry struct {
	f    *fixture
	t    *rapid.T
	all  map[iothub.ID]*registered
	edge []string // scopes that ever were
}

// registryWrite is a random write.
type registryWrite struct {
	disabled, edge bool
	reason, by     string
	scope          string
	parents        []string
	tags           map[string]any
}

func (n *naiveRegistry) draw(t *rapid.T, id iothub.ID) registryWrite {
	w := registryWrite{
		disabled: rapid.IntRange(0, 4).Draw(t, "disabled") == 0, edge: rapid.IntRange(0, 2).Draw(t, "edge") == 0,
		reason: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "reason"), by: rapid.SampledFrom([]string{"", "me"}).Draw(t, "by"),
	}
	scopes := append([]string{"", "", "nonsense", "ms-azure-iot-edge://nobody-1"}, n.edge...)
	w.scope = rapid.SampledFrom(scopes).Draw(t, "scope")
	if old := n.all[id]; old != nil && rapid.Bool().Draw(t, "same scope") {
		w.scope = old.scope
	}
	if rapid.IntRange(0, 3).Draw(t, "parents") == 0 {
		w.parents = []string{rapid.SampledFrom(scopes[1:]).Draw(t, "parent")}
	}
	return w
}

func (w registryWrite) request() iothub.IdentityRequest {
	req := iothub.IdentityRequest{
		Status: iothub.StatusEnabled, DeviceScope: w.scope, ParentScopes: w.parents,
		Capabilities: &iothub.Capabilities{IoTEdge: w.edge}, StatusReason: &w.reason, ManagedBy: &w.by,
	}
	if w.disabled {
		req.Status = iothub.StatusDisabled
	}
	return req
}

// apply says what a write would make of an identity, nil for a new one.
func (n *naiveRegistry) apply(id iothub.ID, old *registered, w registryWrite) (*registered, iothub.Code) {
	now := registered{tags: map[string]any{}}
	if old != nil {
		now = *old
		now.tags = maps.Clone(old.tags)
	}
	if id.IsModule() {
		now.by = w.by
		return &now, 0
	}
	wasEdge := now.edge
	now.disabled, now.reason, now.edge = w.disabled, w.reason, w.edge
	before := now.parents
	switch {
	case wasEdge && w.edge:
		if w.scope != now.scope {
			return nil, iothub.CodeArgumentInvalid
		}
		now.parents = w.parents
	case w.edge:
		now.parents = w.parents
		if n.owner(w.scope) == id.DeviceID {
			now.scope = w.scope
		} else {
			if now.scope = "new"; w.parents == nil && w.scope != "" {
				now.parents = []string{w.scope}
			}
		}
	case w.scope == "" || wasEdge && w.scope == now.scope:
		now.scope, now.parents = "", nil
	default:
		now.scope, now.parents = w.scope, []string{w.scope}
	}
	if len(now.parents) > 0 && now.parents[0] == now.scope && now.edge {
		return nil, iothub.CodeInvalidDeviceScope
	}
	if len(now.parents) > 0 && !slices.Equal(now.parents, before) {
		owner := n.all[iothub.ID{DeviceID: n.owner(now.parents[0])}]
		if owner == nil || !owner.edge || owner.scope != now.parents[0] {
			return nil, iothub.CodeInvalidDeviceScope
		}
	}
	return &now, 0
}

// owner is whose scope it is; the names of the devices have one letter.
func (n *naiveRegistry) owner(scope string) string {
	const prefix = "ms-azure-iot-edge://"
	if len(scope) > len(prefix)+2 && scope[len(prefix)+1] == '-' {
		return scope[len(prefix) : len(prefix)+1]
	}
	return ""
}

// put is a create (etag "") or an update.
func (n *naiveRegistry) put(id iothub.ID, w registryWrite, etag string) iothub.Code {
	host, old := n.all[id.Device()], n.all[id]
	if id.IsModule() && (host == nil || host.disabled) {
		return iothub.CodeIotHubUnauthorizedAccess
	}
	switch {
	case etag == "" && old == nil, etag != "" && old != nil && (etag == "*" || etag == old.etag):
	case etag == "" && id.IsModule():
		// What the request says is looked at first.
		if _, code := n.apply(id, nil, w); code != 0 {
			return code
		}
		return iothub.CodeModuleAlreadyExistsOnDevice
	case etag == "":
		if _, code := n.apply(id, nil, w); code != 0 {
			return code
		}
		return iothub.CodeDeviceAlreadyExists
	case old == nil && id.IsModule():
		return iothub.CodeModuleNotFound
	case old == nil:
		return iothub.CodeDeviceNotFound
	default:
		return iothub.CodePreconditionFailed
	}
	now, code := n.apply(id, old, w)
	if code != 0 {
		return code
	}
	now.etag = ""
	n.all[id] = now
	if now.edge {
		for _, m := range []string{"$edgeAgent", "$edgeHub"} {
			system := iothub.ID{DeviceID: id.DeviceID, ModuleID: m}
			if n.all[system] == nil {
				n.all[system] = &registered{by: "iotEdge", tags: map[string]any{}}
			}
		}
	}
	return 0
}

func (n *naiveRegistry) delete(id iothub.ID, etag string) iothub.Code {
	host, old := n.all[id.Device()], n.all[id]
	switch {
	case id.IsModule() && (host == nil || host.disabled):
		return iothub.CodeIotHubUnauthorizedAccess
	case id.IsModule() && id.ModuleID[0] == '$':
		return iothub.CodeSystemModuleModifyUnauthorizedAccess
	case old == nil && id.IsModule():
		return iothub.CodeModuleNotFound
	case old == nil:
		return iothub.CodeDeviceNotFound
	case etag != "*" && etag != old.etag:
		return iothub.CodePreconditionFailed
	}
	maps.DeleteFunc(n.all, func(other iothub.ID, _ *registered) bool {
		return other == id || !id.IsModule() && other.DeviceID == id.DeviceID
	})
	return 0
}

// patch merges tags.
func (n *naiveRegistry) patch(id iothub.ID, tags map[string]any, etag string) iothub.Code {
	old := n.all[id]
	switch {
	case old == nil:
		return iothub.CodeDeviceNotFound
	case etag != "" && etag != old.twinETag:
		return iothub.CodePreconditionFailed
	}
	maps.Copy(old.tags, tags)
	old.twinETag = ""
	return 0
}

// compare reads everything back, and takes over the etags that moved.
func (n *naiveRegistry) compare() {
	ctx := context.Background()
	records, _, err := n.f.registry.Export(ctx, "", 1000)
	if err != nil {
		n.t.Fatal(err)
	}
	if len(records) != len(n.all) {
		n.t.Fatalf("%d identities, want %d", len(records), len(n.all))
	}
	devices, disabled := 0, 0
	for _, r := range records {
		i, want := r.Identity, n.all[r.Identity.ID]
		if want == nil {
			n.t.Fatalf("%s should not be there", i.ID)
		}
		if want.scope == "new" {
			if want.scope = i.DeviceScope; n.owner(i.DeviceScope) != i.ID.DeviceID || slices.Contains(n.edge, i.DeviceScope) {
				n.t.Fatalf("the new scope of %s is %q", i.ID, i.DeviceScope)
			}
			n.edge = append(n.edge, i.DeviceScope)
		}
		got := registered{
			disabled: i.Status == iothub.StatusDisabled, reason: i.StatusReason, by: i.ManagedBy, edge: i.Capabilities.IoTEdge,
			scope: i.DeviceScope, parents: i.ParentScopes, tags: r.Twin.Tags, etag: i.ETag, twinETag: r.Twin.ETagText(),
		}
		if want.etag == "" {
			want.etag = i.ETag
		}
		if want.twinETag == "" {
			want.twinETag = r.Twin.ETagText()
		}
		if d := cmp.Diff(*want, got, cmp.AllowUnexported(registered{}), cmpopts.EquateEmpty()); d != "" {
			n.t.Fatalf("%s:\n%s", i.ID, d)
		}
		if !i.ID.IsModule() {
			devices++
			if got.disabled {
				disabled++
			}
		}
	}
	counts, err := n.f.Counts(ctx)
	if err != nil || counts.Devices != devices || counts.DisabledDevices != disabled || counts.Modules != len(records)-devices {
		n.t.Fatalf("%+v, %v", counts, err)
	}
}

// Random operations, alone and in bulk, against a naive registry.
func TestRegistryModel(t *testing.T) {
	ids := []iothub.ID{
		{DeviceID: "a"},
		{DeviceID: "b"},
		{DeviceID: "c"},
		{DeviceID: "d"},
		{DeviceID: "a", ModuleID: "m"},
		{DeviceID: "b", ModuleID: "m"},
		{DeviceID: "b", ModuleID: "n"},
		{DeviceID: "a", ModuleID: "$edgeAgent"},
	}
	rapid.Check(t, func(t *rapid.T) {
		f := startFixture(t)
		defer func() { _ = f.Close() }()
		n := &naiveRegistry{f: f, t: t, all: map[iothub.ID]*registered{}}
		ctx := context.Background()
		drawID := func(t *rapid.T) iothub.ID { return rapid.SampledFrom(ids).Draw(t, "id") }
		drawETag := func(t *rapid.T, id iothub.ID) string {
			if old := n.all[id]; old != nil && rapid.Bool().Draw(t, "current") {
				return old.etag
			}
			return rapid.SampledFrom([]string{"*", "*", "stale"}).Draw(t, "etag")
		}
		same := func(what string, id iothub.ID, err error, want iothub.Code) {
			if got := iothub.ErrorCode(err); got != want || err != nil && got == 0 {
				t.Fatalf("%s %s: %v, want %v", what, id, err, want)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				id := drawID(t)
				if id.IsModule() && id.ModuleID[0] == '$' {
					t.Skip("the system's")
				}
				w := n.draw(t, id)
				_, err := f.CreateIdentity(ctx, id, w.request())
				same("create", id, err, n.put(id, w, ""))
			},
			"replace": func(t *rapid.T) {
				id := drawID(t)
				w, etag := n.draw(t, id), drawETag(t, id)
				_, err := f.ReplaceIdentity(ctx, id, w.request(), etag)
				if id.IsModule() && id.ModuleID[0] == '$' {
					if err == nil {
						t.Fatal("a module of the system was replaced")
					}
					return
				}
				same("replace", id, err, n.put(id, w, etag))
			},
			"delete": func(t *rapid.T) {
				id := drawID(t)
				etag := drawETag(t, id)
				same("delete", id, f.DeleteIdentity(ctx, id, etag), n.delete(id, etag))
			},
			"bulk": func(t *rapid.T) { n.bulk(t, ids) },
			"": func(t *rapid.T) {
				n.t = t
				n.compare()
			},
		})
	})
}

// bulk does some entries for different devices in one operation.
func (n *naiveRegistry) bulk(t *rapid.T, ids []iothub.ID) {
	chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(ids[:7]), 1, 4, func(id iothub.ID) string { return id.DeviceID }).Draw(t, "ids")
	var entries []iothub.ExportImportDevice
	var want []iothub.Code
	for _, id := range chosen {
		w := n.draw(t, id)
		// What one entry does must not decide about another one.
		w.scope, w.parents = "", nil
		if old := n.all[id]; old != nil && old.edge {
			w.scope = old.scope
		}
		w.edge = w.edge && w.scope != ""
		mode := rapid.SampledFrom(iothub.ImportModes()).Draw(t, "mode")
		request := w.request()
		e := iothub.ExportImportDevice{
			ID: id.DeviceID, ModuleID: id.ModuleID, ImportMode: string(mode), Status: request.Status, StatusReason: request.StatusReason,
			Capabilities: request.Capabilities, DeviceScope: w.scope, ManagedBy: request.ManagedBy, ETag: "stale", TwinETag: "stale",
		}
		old := n.all[id]
		if old != nil && rapid.Bool().Draw(t, "current") {
			e.ETag, e.TwinETag = old.etag, old.twinETag
		}
		tags := map[string]any{rapid.SampledFrom([]string{"p", "q"}).Draw(t, "tag"): rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")}
		if rapid.Bool().Draw(t, "tags") {
			e.Tags, _ = json.Marshal(tags)
			w.tags = tags
		}
		entries = append(entries, e)
		want = append(want, n.entry(id, mode, w, e))
	}
	for i, err := range n.f.Bulk(context.Background(), entries, BulkOptions{}) {
		if got := iothub.ErrorCode(err); got != want[i] || err != nil && got == 0 {
			t.Fatalf("%s %s: %v, want %v", entries[i].ImportMode, chosen[i], err, want[i])
		}
	}
}

// entry does an entry of a bulk operation.
func (n *naiveRegistry) entry(id iothub.ID, mode iothub.ImportMode, w registryWrite, e iothub.ExportImportDevice) iothub.Code {
	old := n.all[id]
	etag := "*"
	switch mode {
	case iothub.ImportDelete:
		return n.delete(id, etag)
	case iothub.ImportDeleteIfMatchETag:
		return n.delete(id, e.ETag)
	case iothub.ImportUpdateTwin:
		return n.patch(id, w.tags, "")
	case iothub.ImportUpdateTwinIfMatchETag:
		return n.patch(id, w.tags, e.TwinETag)
	case iothub.ImportUpdateIfMatchETag, iothub.ImportCreateOrUpdateIfMatchETag:
		etag = e.ETag
	}
	creates := mode == iothub.ImportCreate || mode == iothub.ImportCreateOrUpdate || mode == iothub.ImportCreateOrUpdateIfMatchETag
	if creates && (old == nil || mode == iothub.ImportCreate) {
		code := n.put(id, w, "")
		if now := n.all[id]; code == 0 && w.tags != nil {
			maps.Copy(now.tags, w.tags)
		}
		return code
	}
	host := n.all[id.Device()]
	switch {
	case creates && id.IsModule() && (host == nil || host.disabled):
		return iothub.CodeIotHubUnauthorizedAccess
	case old == nil && id.IsModule() && host != nil:
		return iothub.CodeModuleNotFound
	case old == nil:
		return iothub.CodeDeviceNotFound
	case etag != "*" && etag != old.etag, e.TwinETag != old.twinETag:
		return iothub.CodePreconditionFailed
	}
	now, code := n.apply(id, old, w)
	if code != 0 {
		return code
	}
	if now.etag = ""; w.tags != nil {
		maps.Copy(now.tags, w.tags)
		now.twinETag = ""
	}
	n.all[id] = now
	return 0
}
