package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/hubnerite/hubnerite/store"
)

// Backup writes a file at path that Open opens: what was acknowledged before the call, and nothing half. The store goes
// on working meanwhile. It is as durable as the store's writes are.
func (s *Store) Backup(path string) error {
	// bbolt opens the file once more, by the function that openFile gave it.
	s.backups.Lock()
	defer s.backups.Unlock()
	err := s.db.View(func(tx *bbolt.Tx) error { return tx.CopyFile(path, 0o600) })
	switch {
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return store.ErrClosed
	case err != nil:
		return fmt.Errorf("bolt: backup to %s: %w", path, err)
	case s.noSync:
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), syncDir(filepath.Dir(path)))
}

// Empty returns the content of a file without records. A new store whose file begins with it opens without the syncs by
// which bbolt makes one; dir is for a temporary file.
func Empty(dir string) ([]byte, error) {
	temporary, err := os.MkdirTemp(dir, "empty-")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(temporary, "empty.db")
	s, err := Open(path, Options{})
	if err == nil {
		err = s.Close()
	}
	var content []byte
	if err == nil {
		content, err = os.ReadFile(path)
	}
	return content, errors.Join(err, os.RemoveAll(temporary))
}
