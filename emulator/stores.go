package emulator

import (
	"errors"

	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/memory"
)

// stores are the three parts that the hub needs, from one or two implementations.
type stores struct {
	records store.Records
	queues  store.Queues
	log     store.Log
	close   func() error
}

func openStores(c Config) (stores, error) {
	if c.DataDir == "" {
		m := memory.New(memory.Options{Now: c.Now})
		return stores{m.Records(), m.Queues(), m.Log(), m.Close}, nil
	}
	return stores{}, errors.New("there is no store for a data directory yet; keep everything in memory")
}
