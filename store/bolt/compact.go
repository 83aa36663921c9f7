package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"go.etcd.io/bbolt"

	"github.com/hubnerite/hubnerite/store"
)

// compact rewrites a large file that is mostly free pages and returns the
// database to go on with. The old file stays in place until the new one is
// complete, and on every failure.
func compact(db *bbolt.DB, path string, o Options) (*bbolt.DB, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bolt: open %s: %w", path, err), db.Close())
	}
	free := int64(db.Stats().FreePageN+db.Stats().PendingPageN) * int64(db.Info().PageSize)
	if info.Size() < o.CompactBytes || free <= info.Size()/2 {
		return db, nil
	}
	temporary := path + ".compact"
	if err := writeCompact(db, temporary); err != nil {
		o.Logger.Warn("store: the file could not be compacted", "err", err)
		_ = os.Remove(temporary)
		return db, nil
	}
	// Renaming under the lock keeps others out, but Windows cannot replace an
	// open file; there nobody else can either.
	err = os.Rename(temporary, path)
	if closeErr := db.Close(); closeErr != nil {
		return nil, fmt.Errorf("bolt: open %s: %w", path, closeErr)
	}
	if err != nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		o.Logger.Warn("store: the file could not be compacted", "err", err)
		_ = os.Remove(temporary)
	} else {
		o.Logger.Info("store: compacted", "file", path, "bytesBefore", info.Size())
	}
	if o.Durability == store.DurabilityFsync {
		if err := syncDir(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("bolt: open %s: %w", path, err)
		}
	}
	return openFile(path, o)
}

func writeCompact(src *bbolt.DB, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	dst, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true, NoGrowSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	return errors.Join(bbolt.Compact(dst, src, 4<<20), dst.Sync(), dst.Close())
}

// syncDir makes the names in a folder durable, where folders can be synced.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
