package bolt

import (
	"path/filepath"
	"testing"

	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/storetest"
)

func TestContract(t *testing.T) {
	for _, mode := range []store.Durability{store.DurabilityOS, store.DurabilityFsync} {
		// A cache that holds next to nothing makes reads come from the file.
		for name, cacheBytes := range map[string]int64{"cached": 0, "uncached": 1} {
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				storetest.RunData(t, storetest.DataBackend{Durable: true, Open: func(dir string) (storetest.Data, error) {
					s, err := Open(filepath.Join(dir, "hub.db"), Options{Durability: mode, CacheBytes: cacheBytes})
					if err != nil {
						return storetest.Data{}, err
					}
					return storetest.Data{Records: s.Records(), Queues: s.Queues(), Close: s.Close}, nil
				}})
			})
		}
	}
}
