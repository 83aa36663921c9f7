package memory

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/hubnerite/hubnerite/store"
)

type documents data

// GetDocument returns a document.
func (m *documents) GetDocument(ctx context.Context, collection, key string) (store.Document, error) {
	d := (*data)(m)
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.checkLocked(ctx); err != nil {
		return store.Document{}, err
	}
	doc, ok := d.documents[collection][key]
	if !ok {
		return store.Document{}, store.ErrNotFound
	}
	doc.Payload = bytes.Clone(doc.Payload)
	return doc, nil
}

// PutDocument writes a document under its revision.
func (m *documents) PutDocument(ctx context.Context, collection string, doc store.Document) (uint64, error) {
	d := (*data)(m)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkLocked(ctx); err != nil {
		return 0, err
	}
	old, exists := d.documents[collection][doc.Key]
	switch {
	case doc.Revision == 0 && exists:
		return 0, store.ErrExists
	case doc.Revision != 0 && !exists:
		return 0, store.ErrNotFound
	case doc.Revision != old.Revision:
		return 0, store.ErrConflict
	}
	doc.Revision++
	doc.Payload = bytes.Clone(doc.Payload)
	if d.documents[collection] == nil {
		d.documents[collection] = map[string]store.Document{}
	}
	d.documents[collection][doc.Key] = doc
	return doc.Revision, nil
}

// DeleteDocument removes a document.
func (m *documents) DeleteDocument(ctx context.Context, collection, key string, revision uint64) error {
	d := (*data)(m)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkLocked(ctx); err != nil {
		return err
	}
	old, ok := d.documents[collection][key]
	switch {
	case !ok:
		return store.ErrNotFound
	case revision != 0 && revision != old.Revision:
		return store.ErrConflict
	}
	delete(d.documents[collection], key)
	return nil
}

// ListDocuments returns a page of documents. The resume key is the last key of a
// page. It sorts all keys that match: good enough for what fits in memory.
func (m *documents) ListDocuments(ctx context.Context, collection, prefix, resume string, limit int) ([]store.Document, string, error) {
	d := (*data)(m)
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.checkLocked(ctx); err != nil {
		return nil, "", err
	}
	var keys []string
	for key := range maps.Keys(d.documents[collection]) {
		if strings.HasPrefix(key, prefix) && (resume == "" || key > resume) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	next := ""
	if limit = max(limit, 1); len(keys) > limit {
		keys = keys[:limit]
		next = keys[limit-1]
	}
	var page []store.Document
	for _, key := range keys {
		doc := d.documents[collection][key]
		doc.Payload = bytes.Clone(doc.Payload)
		page = append(page, doc)
	}
	return page, next, nil
}
