package emulator

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hubnerite/hubnerite/internal/filelock"
	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/bolt"
	"github.com/hubnerite/hubnerite/store/journal"
	"github.com/hubnerite/hubnerite/store/memory"
)

// What the data directory holds besides the certificates.
const (
	databaseFile = "hub.db"
	telemetryDir = "telemetry"
	lockName     = "lock"
)

// ErrDataDirInUse is returned by Start when another process uses the data directory.
var ErrDataDirInUse = errors.New("another process uses the data directory")

// stores are the parts that the hub needs.
type stores struct {
	records   store.Records
	queues    store.Queues
	documents store.Documents
	log       store.Log
	// copyTo writes the content to an empty folder, or returns it when it is in memory.
	copyTo func(dir string) (*memory.Store, error)
	close  func() error
}

// openStores opens or makes the stores in a folder. In memory they begin with the content of from, or
// with nothing when it is nil.
func (e *Emulator) openStores(dir string, from *memory.Store) (stores, error) {
	c := e.cfg
	if c.DataDir == "" {
		m := from
		if m == nil {
			m = memory.New(memory.Options{Now: c.Now, Partitions: c.Partitions})
		} else {
			m = m.Clone()
		}
		return stores{
			records: m.Records(), queues: m.Queues(), documents: m.Documents(), log: m.Log(), close: m.Close,
			copyTo: func(string) (*memory.Store, error) { return m.Clone(), nil },
		}, nil
	}
	durability := store.Durability(c.Durability)
	if err := e.prepareDatabase(dir); err != nil {
		return stores{}, err
	}
	database, err := bolt.Open(filepath.Join(dir, databaseFile), bolt.Options{Durability: durability, Logger: c.Logger})
	if err != nil {
		return stores{}, openError(c.DataDir, err)
	}
	log, err := journal.Open(filepath.Join(dir, telemetryDir), journal.Options{
		Durability: durability, Partitions: c.Partitions, Now: c.Now, Logger: c.Logger,
	})
	if err != nil {
		return stores{}, errors.Join(openError(c.DataDir, err), database.Close())
	}
	return stores{
		records: database.Records(), queues: database.Queues(), documents: database.Documents(), log: log,
		close: func() error { return errors.Join(log.Close(), database.Close()) },
		copyTo: func(dir string) (*memory.Store, error) {
			return nil, errors.Join(database.Backup(filepath.Join(dir, databaseFile)), log.Backup(filepath.Join(dir, telemetryDir)))
		},
	}, nil
}

// prepareDatabase begins the database of a hub that is made or reset at run time as a copy of an empty one, which takes a fraction
// of the time, unless all shall be synced.
func (e *Emulator) prepareDatabase(dir string) error {
	path := filepath.Join(dir, databaseFile)
	if e.cfg.Durability == string(store.DurabilityFsync) || dir == e.dir || exists(path) {
		return nil
	}
	e.emptyOnce.Do(func() { e.empty, e.emptyErr = bolt.Empty(e.dir) })
	if e.emptyErr != nil {
		return e.emptyErr
	}
	return os.WriteFile(path, e.empty, 0o600)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func openError(dir string, err error) error {
	if errors.Is(err, store.ErrLocked) || errors.Is(err, filelock.ErrLocked) {
		return fmt.Errorf("%w %s", ErrDataDirInUse, dir)
	}
	return fmt.Errorf("data directory: %w", err)
}
