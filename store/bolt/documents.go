package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/hubnerite/hubnerite/store"
)

// documents keeps each collection in a bucket of its own: keys to a revision (8
// bytes, big-endian) and the payload.
type documents Store

// GetDocument returns a document.
func (d *documents) GetDocument(ctx context.Context, collection, key string) (store.Document, error) {
	s := (*Store)(d)
	if err := s.ended(); err != nil {
		return store.Document{}, err
	}
	var value []byte
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		if c := tx.Bucket([]byte(bucketDocuments)).Bucket([]byte(collection)); c != nil {
			value = bytes.Clone(c.Get([]byte(key)))
		}
		return nil
	})
	switch {
	case err != nil:
		return store.Document{}, err
	case value == nil:
		return store.Document{}, store.ErrNotFound
	}
	return decodeDocument(key, value)
}

// PutDocument writes a document under its revision.
func (d *documents) PutDocument(ctx context.Context, collection string, doc store.Document) (uint64, error) {
	key := []byte(doc.Key)
	value := append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(doc.Payload)), doc.Revision+1), doc.Payload...)
	err := (*Store)(d).write(ctx, len(value), func(b *batch) error {
		c := b.documents.Bucket([]byte(collection))
		var old []byte
		if c != nil {
			old = c.Get(key)
		}
		switch {
		case doc.Revision == 0 && old != nil:
			return store.ErrExists
		case doc.Revision != 0 && old == nil:
			return store.ErrNotFound
		case old != nil && documentRevision(old) != doc.Revision:
			return store.ErrConflict
		}
		if c == nil {
			var err error
			if c, err = b.documents.CreateBucket([]byte(collection)); err != nil {
				return err
			}
		}
		return c.Put(key, value)
	})
	if err != nil {
		return 0, err
	}
	return doc.Revision + 1, nil
}

// DeleteDocument removes a document.
func (d *documents) DeleteDocument(ctx context.Context, collection, key string, revision uint64) error {
	return (*Store)(d).write(ctx, 0, func(b *batch) error {
		c := b.documents.Bucket([]byte(collection))
		if c == nil {
			return store.ErrNotFound
		}
		switch old := c.Get([]byte(key)); {
		case old == nil:
			return store.ErrNotFound
		case revision != 0 && documentRevision(old) != revision:
			return store.ErrConflict
		}
		return c.Delete([]byte(key))
	})
}

// ListDocuments returns a page of documents. The resume key is the last key of a
// page.
func (d *documents) ListDocuments(ctx context.Context, collection, prefix, resume string, limit int) ([]store.Document, string, error) {
	s := (*Store)(d)
	if err := s.ended(); err != nil {
		return nil, "", err
	}
	var page []store.Document
	more := false
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte(bucketDocuments)).Bucket([]byte(collection))
		if bucket == nil {
			return nil
		}
		from := []byte(prefix)
		// No key holds 0x00, so that this is just behind resume.
		if after := append([]byte(resume), 0); resume != "" && bytes.Compare(after, from) > 0 {
			from = after
		}
		c := bucket.Cursor()
		for k, v := c.Seek(from); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, v = c.Next() {
			if len(page) == max(limit, 1) {
				more = true
				return nil
			}
			doc, err := decodeDocument(string(k), bytes.Clone(v))
			if err != nil {
				return err
			}
			page = append(page, doc)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	if !more {
		return page, "", nil
	}
	return page, page[len(page)-1].Key, nil
}

func decodeDocument(key string, value []byte) (store.Document, error) {
	if len(value) < 8 {
		return store.Document{}, errors.New("bolt: a stored document is damaged")
	}
	return store.Document{Key: key, Payload: value[8:], Revision: documentRevision(value)}, nil
}

// documentRevision returns the revision in an encoded document, 0 for a damaged one.
func documentRevision(value []byte) uint64 {
	if len(value) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}
