package seed

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Merge makes one seed of several, which are used up. The parts of a hub, a device, a module or a twin may be in several files, and what one file names another one may
// have. The same value may be there twice, another one for the same thing is Problems; so is what only the whole is wrong in. One file is returned as it is.
func Merge(files ...*File) (*File, error) {
	if len(files) == 1 {
		return files[0], nil
	}
	m := &merger{decoder: newDecoder()}
	out := &File{}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
		out.NamesFiles = out.NamesFiles || f.NamesFiles
		if f.root == nil || f.root.kind == kindNull {
			continue
		}
		f.root.from(f.Name)
		f.inline()
		if out.root == nil {
			out.root = &node{kind: kindObject, at: f.root.at}
		}
		m.object(out.root, f.root, mergedHub)
	}
	out.Name = strings.Join(names, " ")
	if out.root == nil {
		return out, nil
	}
	problems := m.problems
	if len(problems) == 0 {
		problems = out.read(Options{})
	}
	if len(problems) == 0 {
		return out, nil
	}
	return nil, sorted(problems, out.Name)
}

// from has the places of a node name their file.
func (n *node) from(file string) {
	n.at.file = file
	for i := range n.members {
		n.members[i].at.file = file
		n.members[i].value.from(file)
	}
	for _, item := range n.items {
		item.from(file)
	}
}

// inline puts the certificates that were read from other files in their places.
func (f *File) inline() {
	hub := func(h *Hub, n *node) {
		for i, item := range list(n, "certificates") {
			for j := range item.members {
				if item.members[j].name == "file" {
					item.members[j].name = "certificate"
					item.members[j].value = &node{kind: kindString, at: item.members[j].value.at, text: h.Certificates[i].Certificate}
				}
			}
		}
	}
	hub(&f.Hub, f.root)
	for i, item := range list(f.root, "hubs") {
		hub(&f.Hubs[i].Hub, item)
	}
}

// merger puts nodes together.
type merger struct{ *decoder }

// merging is how the members of an object are put together.
type merging int

const (
	// mergedHub is a hub, or the document.
	mergedHub merging = iota
	// mergedIdentity is a device or a module.
	mergedIdentity
	// mergedValues is a part of a twin.
	mergedValues
)

// object adds the members of b to a.
func (m *merger) object(a, b *node, how merging) {
	for _, new := range b.members {
		i := slices.IndexFunc(a.members, func(old member) bool { return old.name == new.name })
		switch {
		case i < 0:
			if how == mergedHub && new.value.kind == kindArray {
				// Another file may add to it.
				new.value = &node{kind: kindArray, at: new.value.at, items: slices.Clone(new.value.items)}
			}
			a.members = append(a.members, new)
		case a.members[i].value.kind == kindNull && how != mergedValues:
			a.members[i] = new
		case new.value.kind == kindNull && how != mergedValues:
		default:
			m.member(a.members[i].value, new, how)
		}
	}
}

// member adds what b has to the member of its name.
func (m *merger) member(a *node, b member, how merging) {
	switch {
	case how == mergedHub && b.name == "$schema":
	case how == mergedHub && b.value.kind == kindArray && a.kind == kindArray:
		switch b.name {
		case "hubs":
			m.list(a, b.value, "name", mergedHub)
		case "devices":
			m.list(a, b.value, "id", mergedIdentity)
		default:
			// What has the same name and is not the same is refused by the rules of one file.
			m.union(a, b.value)
		}
	case how == mergedIdentity && b.name == "modules" && b.value.kind == kindArray && a.kind == kindArray:
		m.list(a, b.value, "id", mergedIdentity)
	case how == mergedIdentity && slices.Contains([]string{"tags", "desired", "reported"}, b.name), how == mergedValues:
		if a.kind == kindObject && b.value.kind == kindObject {
			m.object(a, b.value, mergedValues)
			return
		}
		m.same(a, b)
	default:
		m.same(a, b)
	}
}

// same complains about another value for the same thing.
func (m *merger) same(a *node, b member) {
	if !reflect.DeepEqual(a.value(), b.value.value()) {
		m.complain(b.value.at, "%s is there already, at %s, with another value", b.name, a.at.inFile())
	}
}

// list adds items that are told apart by a member.
func (m *merger) list(a, b *node, key string, how merging) {
	name := func(n *node) string {
		text := ""
		if found := n.member(key); found != nil && found.kind == kindString {
			text = found.text
		}
		if how == mergedHub {
			text = strings.ToLower(text) // of hubs
		}
		return text
	}
	known := make(map[string]*node, len(a.items))
	for _, item := range a.items {
		known[name(item)] = item
	}
	for _, item := range b.items {
		there := known[name(item)]
		if there == nil {
			a.items = append(a.items, item)
			continue
		}
		// The name itself may be in another case.
		rest := *item
		rest.members = slices.DeleteFunc(slices.Clone(item.members), func(one member) bool { return one.name == key })
		m.object(there, &rest, how)
	}
}

// union adds the items that are not there.
func (m *merger) union(a, b *node) {
	for _, item := range b.items {
		value := item.value()
		if !slices.ContainsFunc(a.items, func(there *node) bool { return reflect.DeepEqual(there.value(), value) }) {
			a.items = append(a.items, item)
		}
	}
}

// inFile returns file:line:column, for a place that names its file.
func (p Position) inFile() string { return fmt.Sprintf("%s:%d:%d", p.file, p.Line, p.Column) }
