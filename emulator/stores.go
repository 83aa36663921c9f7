package emulator

import (
	"errors"
	"fmt"
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
	close     func() error
}

// openStores opens or makes the stores in a folder, or new ones in memory.
func openStores(c Config, dir string) (stores, error) {
	if c.DataDir == "" {
		m := memory.New(memory.Options{Now: c.Now, Partitions: c.Partitions})
		return stores{m.Records(), m.Queues(), m.Documents(), m.Log(), m.Close}, nil
	}
	durability := store.Durability(c.Durability)
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
	return stores{database.Records(), database.Queues(), database.Documents(), log, func() error {
		return errors.Join(log.Close(), database.Close())
	}}, nil
}

func openError(dir string, err error) error {
	if errors.Is(err, store.ErrLocked) || errors.Is(err, filelock.ErrLocked) {
		return fmt.Errorf("%w %s", ErrDataDirInUse, dir)
	}
	return fmt.Errorf("data directory: %w", err)
}
