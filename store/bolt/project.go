package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/hubnerite/hubnerite/store"
)

var errDamaged = errors.New("bolt: a stored record is damaged")

// Project reads single values of records. Source: store.Projector.
func (r *records) Project(ctx context.Context, filter store.ListFilter, paths [][]string, resume string, limit int,
	yield func(store.Projection) error,
) (next string, err error) {
	s := (*Store)(r)
	if err := s.ended(); err != nil {
		return "", err
	}
	want := &member{}
	for i, path := range paths {
		want.add(path, i)
	}
	values := make([][]byte, len(paths))
	count := 0
	var last []byte
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(bucketRecords)).Cursor()
		return each(c, filter, resume, func(k, v []byte) (bool, error) {
			if count == max(limit, 1) {
				next = keyID(last).String()
				return false, nil
			}
			if len(v) < recordHeader || v[0] != recordFormat {
				return false, errDamaged
			}
			clear(values)
			p := projector{text: v[recordHeader:], values: values, left: len(paths)}
			if err := p.object(want); err != nil {
				return false, err
			}
			count++
			last = append(last[:0], k...)
			return true, yield(store.Projection{ID: keyID(k), Revision: revision(v), Values: values})
		})
	})
	if err != nil {
		return "", err
	}
	return next, nil
}

// each calls f with the records of a listing until it returns false.
func each(c *bbolt.Cursor, filter store.ListFilter, resume string, f func(k, v []byte) (bool, error)) error {
	for k, v := seekList(c, filter, resume); k != nil; k, v = c.Next() {
		isModule := k[len(k)-1] != 0
		device, _, _ := bytes.Cut(k, []byte{0})
		if filter.DeviceID != "" && string(device) != filter.DeviceID {
			return nil
		}
		if filter.Kind == "modules" && !isModule || filter.Kind == "devices" && isModule {
			continue
		}
		if more, err := f(k, v); !more || err != nil {
			return err
		}
	}
	return nil
}

// member is a wanted part of a document: itself when it has slots to put the
// value in, and members of it.
type member struct {
	slots   []int
	members map[string]*member
}

func (m *member) add(path []string, slot int) {
	for _, name := range path {
		if m.members == nil {
			m.members = map[string]*member{}
		}
		if m.members[name] == nil {
			m.members[name] = &member{}
		}
		m = m.members[name]
	}
	m.slots = append(m.slots, slot)
}

// projector walks over a JSON document that json.Marshal wrote, so without
// blanks, and notes the wanted values.
type projector struct {
	text   []byte
	at     int
	values [][]byte
	// left is how many values were not met yet.
	left int
}

// object walks over the object at the place, and ends early when nothing is left.
func (p *projector) object(want *member) error {
	if p.at >= len(p.text) || p.text[p.at] != '{' {
		return errDamaged
	}
	p.at++
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case '}':
			p.at++
			return nil
		case ',':
			p.at++
		}
		from := p.at
		if !p.skipString() {
			return errDamaged
		}
		name := p.text[from+1 : p.at-1]
		if p.at >= len(p.text) || p.text[p.at] != ':' {
			return errDamaged
		}
		p.at++
		inner := want.find(name)
		if err := p.value(inner); err != nil {
			return err
		}
		if p.left == 0 {
			return nil
		}
	}
	return errDamaged
}

func (m *member) find(name []byte) *member {
	if bytes.IndexByte(name, '\\') >= 0 {
		var text string
		if err := json.Unmarshal([]byte(`"`+string(name)+`"`), &text); err != nil {
			return nil
		}
		return m.members[text]
	}
	return m.members[string(name)]
}

// value walks over a value that is wanted, or holds what is, or neither.
func (p *projector) value(want *member) error {
	from := p.at
	if want != nil && len(want.members) > 0 && p.at < len(p.text) && p.text[p.at] == '{' {
		if err := p.object(want); err != nil || len(want.slots) == 0 {
			return err
		}
		p.at = from
	}
	if !p.skipValue() {
		return errDamaged
	}
	if want != nil {
		for _, slot := range want.slots {
			p.values[slot] = p.text[from:p.at]
			p.left--
		}
	}
	return nil
}

// skipString moves behind the string at the place.
func (p *projector) skipString() bool {
	if p.at >= len(p.text) || p.text[p.at] != '"' {
		return false
	}
	p.at++
	for {
		end := bytes.IndexByte(p.text[p.at:], '"')
		if end < 0 {
			return false
		}
		end += p.at
		// A quote behind an odd number of backslashes belongs to the string.
		slashes := 0
		for i := end - 1; i >= p.at && p.text[i] == '\\'; i-- {
			slashes++
		}
		p.at = end + 1
		if slashes%2 == 0 {
			return true
		}
	}
}

// skipValue moves behind the value at the place.
func (p *projector) skipValue() bool {
	depth := 0
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case '"':
			if !p.skipString() {
				return false
			}
			if depth == 0 {
				return true
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return true
			}
			if depth--; depth == 0 {
				p.at++
				return true
			}
		case ',':
			if depth == 0 {
				return true
			}
		}
		p.at++
	}
	return false
}
