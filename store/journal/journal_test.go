package journal

import (
	"testing"

	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/storetest"
)

func TestContract(t *testing.T) {
	small := Options{TailBytes: 1, SegmentBytes: 48 << 10, BufferBytes: 1 << 10} // many segments, and all reads from them
	for _, mode := range []struct {
		durability store.Durability
		options    Options
	}{{store.DurabilityNone, Options{}}, {store.DurabilityOS, small}, {store.DurabilityFsync, small}} {
		t.Run(string(mode.durability), func(t *testing.T) {
			storetest.RunLog(t, storetest.LogBackend{Durable: true, Open: func(dir string, asked storetest.LogOptions) (store.Log, error) {
				o := mode.options
				o.Durability, o.Partitions, o.MaxBytes, o.Now = mode.durability, asked.Partitions, asked.MaxBytes, asked.Now
				if o.Retention = asked.Retention; o.Retention == 0 {
					o.Retention = -1 // the suite's times are of the past
				}
				return Open(dir, o)
			}})
		})
	}
}
