package bolt

import (
	"path/filepath"
	"testing"

	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/storetest"
)

func TestContract(t *testing.T) {
	for name, o := range map[string]Options{
		"os":    {},
		"fsync": {Durability: store.DurabilityFsync, CacheBytes: 1}, // all reads come from the file
	} {
		t.Run(name, func(t *testing.T) {
			storetest.RunData(t, storetest.DataBackend{Durable: true, Open: func(dir string) (storetest.Data, error) {
				s, err := Open(filepath.Join(dir, "hub.db"), o)
				if err != nil {
					return storetest.Data{}, err
				}
				return storetest.Data{Records: s.Records(), Queues: s.Queues(), Documents: s.Documents(), Close: s.Close}, nil
			}})
		})
	}
}
